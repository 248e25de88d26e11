/* links: stream/opening log/copied log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database log/filter log/channel base/buffer base/utf8 base/clock base/file log/place log/trouble base/who */
/* libs: -lsqlite3 */
/* Where a stream begins: valid and invalid positions, the newest rows, the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "logfile.h"
#include "stream/opening.h"

enum { ROWS = 6000 };

static struct eventlog *eventlog;

/* Row i is of channel c0, c1 or c2; every thousandth of `rare`, and of odd/1 those between. */
static int set_up(void **state)
{
	logfile_begin(NULL);
	must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6000) "
	     "INSERT INTO events(channel) SELECT CASE i % 1000 WHEN 0 THEN 'rare' WHEN 500 THEN "
	     "'odd/1' ELSE 'c' || (i % 3) END FROM n");
	assert_non_null(eventlog = eventlog_new(logfile.path, "events"));
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_OK);
	return 0;
}

static int tear_down(void **state)
{
	eventlog_free(eventlog);
	logfile_end();
	return 0;
}

/* Opens to the end; a bounded number of steps. */
static struct opening open_with(const struct position *asked, const char *channel, int64_t limit)
{
	size_t length = strlen(channel);
	struct filter *f = filter_new(&channel, &length, 1, NULL, NULL, 0);
	struct opening o;

	memset(&o, 0x55, sizeof(o));
	assert_int_equal(opening_begin(&o, eventlog, f, asked, limit), EVENTLOG_OK);
	for (int steps = 0; !o.done; steps++) {
		assert_true(steps < 100);
		assert_int_equal(opening_continue(&o, eventlog, f), EVENTLOG_OK);
	}
	free(f);
	return o;
}

static struct opening open_at(int64_t position, const char *channel, int64_t limit)
{
	return open_with(&(struct position){.kind = POSITION_AT, .id = position, .tail = -1},
		channel, limit);
}

static void expect_gap(const struct opening *o, enum gap reason, const char *requested)
{
	assert_true(o->gap);
	assert_int_equal(o->reason, reason);
	assert_string_equal(o->requested, requested);
}

static void test_no_position_starts_at_the_tail(void **state)
{
	struct opening o = open_with(&(struct position){.tail = -1}, "c0", 0);

	assert_false(o.gap);
	assert_int_equal(o.id, ROWS);
	o = open_with(&(struct position){.tail = 0}, "c0", 0);
	assert_false(o.gap);
	assert_int_equal(o.id, ROWS);
	/* The limit never moves a position back. */
	o = open_with(&(struct position){.tail = -1}, "c0", 100);
	assert_int_equal(o.id, ROWS);
}

static void test_valid_position(void **state)
{
	static const int64_t positions[] = {0, 1, 2999, ROWS - 1, ROWS};

	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		struct opening o = open_at(positions[i], "c1", 0);

		assert_false(o.gap);
		assert_int_equal(o.id, positions[i]);
	}
}

/*
 * A row is inserted and deleted while the newest rows are sought: it is after the position, and
 * reported.
 */
static void test_row_deleted_while_the_newest_are_sought(void **state)
{
	const char *channel = "odd/*";
	size_t length = strlen(channel);
	struct filter *f = filter_new(&channel, &length, 1, NULL, NULL, 0);
	struct position newest = {.kind = POSITION_NONE, .tail = 3};
	struct eventlog_batch batch = {0};
	struct opening o;

	/* Now the log is scanned. */
	must("DROP INDEX events_channel");
	assert_int_equal(opening_begin(&o, eventlog, f, &newest, 0), EVENTLOG_OK);
	assert_false(o.done);
	must("INSERT INTO events(channel) VALUES ('odd/2'); DELETE FROM events WHERE id > 6000");
	while (!o.done)
		assert_int_equal(opening_continue(&o, eventlog, f), EVENTLOG_OK);
	assert_int_equal(o.id, 3499);
	assert_int_equal(
		eventlog_read(eventlog, f, o.id, o.deletion, 1, NULL, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(batch.pruned.id, 6001);
	free(f);
}

/* A position overrides the newest N. */
static void test_position_and_tail(void **state)
{
	struct opening o =
		open_with(&(struct position){.kind = POSITION_AT, .id = 10, .tail = 5}, "c1", 0);

	assert_int_equal(o.id, 10);
}

static void test_position_of_deleted_rows(void **state)
{
	struct opening o;
	int deletions;

	must("DELETE FROM events WHERE id <= 3000 AND channel = 'c1'");
	deletions = sqlite3_changes(logfile.writer);
	o = open_at(5, "c1", 0);
	expect_gap(&o, GAP_PRUNED, "5");
	/* 6 is of c0, and still there. */
	assert_int_equal(o.id, 5);
	assert_int_equal(o.deletion, deletions);
	assert_int_equal(o.bounds.oldest, 2);
	assert_int_equal(o.bounds.newest, ROWS);
	o = open_at(5, "c2", 0);
	assert_false(o.gap);
}

static void test_position_ahead_of_the_log(void **state)
{
	struct opening o = open_at(ROWS + 1, "c1", 0);

	expect_gap(&o, GAP_FUTURE, "6001");
	assert_int_equal(o.id, ROWS);
	o = open_at(INT64_MAX, "c1", 10);
	expect_gap(&o, GAP_FUTURE, "9223372036854775807");
	assert_int_equal(o.id, ROWS);
}

static void test_malformed_positions(void **state)
{
	struct position asked = {.kind = POSITION_MALFORMED, .text = "caf\xc3\xa9", .tail = 3};
	struct opening o = open_with(&asked, "c1", 0);

	expect_gap(&o, GAP_MALFORMED, "caf\xc3\xa9");
	assert_int_equal(o.id, ROWS);
	asked = (struct position){
		.kind = POSITION_BEYOND, .text = "99999999999999999999", .tail = -1};
	o = open_with(&asked, "c1", 0);
	expect_gap(&o, GAP_FUTURE, "99999999999999999999");
	assert_int_equal(o.id, ROWS);
}

/* The longest text of a position comes back whole. */
static void test_longest_position(void **state)
{
	struct position asked = {.kind = POSITION_MALFORMED, .tail = -1};
	struct opening o;

	memset(asked.text, 'x', POSITION_TEXT_MAX);
	o = open_with(&asked, "c1", 0);
	expect_gap(&o, GAP_MALFORMED, asked.text);
}

static void test_newest_rows(void **state)
{
	static const struct {
		const char *channel;
		int64_t tail, id;
	} all[] = {{"*", 1, ROWS - 1}, {"*", 100, ROWS - 100}, {"*", ROWS, 0}, {"*", ROWS + 1, 0},
		{"rare", 1, 5999}, {"rare", 2, 4999}, {"rare", 6, 999}, {"rare", 7, 999},
		{"none", 1, ROWS}, {"none/*", 1, ROWS}, {"*", INT64_MAX, 0}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct opening o =
			open_with(&(struct position){.tail = all[i].tail}, all[i].channel, 0);

		assert_false(o.gap);
		if (o.id != all[i].id)
			fail_msg("%s %d: %d", all[i].channel, (int)all[i].tail, (int)o.id);
	}
}

/* At most so many rows back, counting matching rows; only a client that loses rows gets a gap. */
static void test_limit(void **state)
{
	struct opening o = open_at(10, "*", 100);

	expect_gap(&o, GAP_LIMIT, "10");
	assert_int_equal(o.id, ROWS - 100);
	o = open_at(ROWS - 101, "*", 100);
	expect_gap(&o, GAP_LIMIT, "5899");
	assert_int_equal(o.id, ROWS - 100);
	o = open_at(ROWS - 100, "*", 100);
	assert_false(o.gap);
	assert_int_equal(o.id, ROWS - 100);
	/* By the scan as by the index. */
	o = open_at(3000, "odd/*", 3);
	assert_false(o.gap);
	assert_int_equal(o.id, 3000);
	o = open_at(3000, "odd/*", 2);
	expect_gap(&o, GAP_LIMIT, "3000");
	assert_int_equal(o.id, 4499);
	/* Only three rows of `rare` are after 3000: all of them are available. */
	o = open_at(3000, "rare", 3);
	assert_false(o.gap);
	assert_int_equal(o.id, 3000);
	o = open_at(3000, "rare", 2);
	expect_gap(&o, GAP_LIMIT, "3000");
	assert_int_equal(o.id, 4999);
	o = open_at(3999, "rare", 2);
	expect_gap(&o, GAP_LIMIT, "3999");
	assert_int_equal(o.id, 4999);
}

/* Of two gaps at once, the unavoidable one is reported; the stream begins where the limit says. */
static void test_limit_after_a_gap(void **state)
{
	struct opening o;

	must("DELETE FROM events WHERE id <= 1000");
	o = open_at(10, "*", 100);
	assert_true(o.gap);
	assert_string_equal(o.requested, "10");
	assert_int_equal(o.id, ROWS - 100);
}

static void test_unreadable_log(void **state)
{
	static const char *const channel = "*";
	static const size_t length = 1;
	struct filter *f = filter_new(&channel, &length, 1, NULL, NULL, 0);
	struct opening o;

	eventlog_close(eventlog);
	for (int kind = POSITION_NONE; kind <= POSITION_BEYOND; kind++)
		assert_int_equal(opening_begin(&o, eventlog, f,
					 &(struct position){.kind = kind, .tail = 1}, 0),
			EVENTLOG_FAULT);
	free(f);
}

/* The newest `rows` rows below an id begin after `id`; `older`: there are more before them. */
static void expect_page(int64_t before, int64_t rows, const char *channel, int64_t id, bool older)
{
	struct opening o =
		open_with(&(struct position){.tail = rows, .before = before}, channel, 0);

	assert_int_equal(o.id, id);
	assert_int_equal(o.older, older);
	assert_false(o.gap);
}

static void test_rows_before_an_id(void **state)
{
	expect_page(4, 2, "*", 1, true);
	expect_page(4, 3, "*", 0, false);
	expect_page(1, 5, "*", 0, false);
	/* By the index: `rare` has every thousandth row. */
	expect_page(4000, 2, "rare", 1999, true);
	expect_page(4001, 4, "rare", 999, false);
	expect_page(INT64_MAX, 1, "rare", 5999, true);
}

static bool is_over(int64_t position, const char *channel, int64_t limit)
{
	struct opening o = open_at(position, channel, limit);

	return opening_is_over(&o);
}

/* Of an ended channel, only a client that has its end has everything. */
static void test_ended_channel(void **state)
{
	struct opening o;

	assert_false(is_over(ROWS, "c0", 0));
	must("INSERT INTO events(channel, event) VALUES ('c0', 'end')");
	must("INSERT INTO events(channel) SELECT 'c1' FROM events LIMIT 5000");
	assert_false(is_over(ROWS, "c0", 0));
	assert_true(is_over(ROWS + 1, "c0", 0));
	assert_true(is_over(ROWS + 1, "c0", 10));
	assert_true(is_over(ROWS + 2, "c0", 0));
	assert_false(is_over(ROWS + 9999, "c0", 0));
	assert_false(is_over(ROWS + 1, "c1", 0));
	assert_false(is_over(ROWS + 1, "*", 0));
	o = open_with(&(struct position){.tail = -1}, "c0", 0);
	assert_true(opening_is_over(&o));
	o = open_with(&(struct position){.tail = 1}, "c0", 0);
	assert_false(opening_is_over(&o));
	must("DELETE FROM events_ended");
	assert_false(is_over(ROWS + 1, "c0", 0));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_position_starts_at_the_tail),
		TEST(test_valid_position),
		TEST(test_row_deleted_while_the_newest_are_sought),
		TEST(test_position_and_tail),
		TEST(test_position_of_deleted_rows),
		TEST(test_position_ahead_of_the_log),
		TEST(test_malformed_positions),
		TEST(test_longest_position),
		TEST(test_newest_rows),
		TEST(test_rows_before_an_id),
		TEST(test_limit),
		TEST(test_limit_after_a_gap),
		TEST(test_ended_channel),
		TEST(test_unreadable_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
