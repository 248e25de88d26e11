/*
 * Another log is restored into the same file at any moment, also in the middle of a look: a client
 * gets a gap before it gets the first row of the other log.
 * links: stream/fanout stream/fanout_sweep stream/fanout_feed stream/fanout_look stream/fanout_step stream/fanout_kept stream/fanout_end stream/fanout_poll stream/poll stream/groups log/filter log/channel base/utf8 base/buffer protocol/sse protocol/wire log/gap stream/window stream/run protocol/record stream/subscriber stream/lane protocol/framing stream/leave log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database stream/opening log/copied base/clock base/logging base/metrics base/file log/place log/trouble base/who
 * libs: -lsqlite3 -Wl,--wrap=eventlog_hold,--wrap=eventlog_read
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "eager.h"

enum { OLD = 100, NEW = 3 * 512 + 100, MOMENTS = 12 };

static sqlite3 *other; /* the log that is restored */
static int moment; /* restored before this transaction or read; 0: not */

/* As the shell's .restore does it. */
static void restore(void)
{
	sqlite3_backup *backup = sqlite3_backup_init(logfile.writer, "main", other, "main");

	assert_non_null(backup);
	assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
	assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
}

static void pass_moment(void)
{
	if (moment > 0 && --moment == 0)
		restore();
}

enum eventlog_status __real_eventlog_hold(struct eventlog *log);
enum eventlog_status __wrap_eventlog_hold(struct eventlog *log);

enum eventlog_status __wrap_eventlog_hold(struct eventlog *log)
{
	pass_moment();
	return __real_eventlog_hold(log);
}

enum eventlog_status __real_eventlog_read(struct eventlog *log, const struct filter *f,
	int64_t after, int64_t told, size_t max_rows, eventlog_take take, void *context,
	struct eventlog_batch *batch);
enum eventlog_status __wrap_eventlog_read(struct eventlog *log, const struct filter *f,
	int64_t after, int64_t told, size_t max_rows, eventlog_take take, void *context,
	struct eventlog_batch *batch);

enum eventlog_status __wrap_eventlog_read(struct eventlog *log, const struct filter *f,
	int64_t after, int64_t told, size_t max_rows, eventlog_take take, void *context,
	struct eventlog_batch *batch)
{
	pass_moment();
	return __real_eventlog_read(log, f, after, told, max_rows, take, context, batch);
}

/* Rows with the name of their log and their id. */
static void insert_rows(sqlite3 *db, const char *log, int rows)
{
	char *sql =
		sqlite3_mprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
				"LIMIT %d) INSERT INTO events(data) SELECT %Q FROM n",
			rows, log);

	logfile_run(db, sql);
	sqlite3_free(sql);
}

static void parse(struct eventstream *p)
{
	if (eager.subscriber.lane.framing == &framing_fastcgi) {
		fanned_parse(eager.bytes, eager.length, p);
		return;
	}
	eventstream_init(p);
	eventstream_feed(p, (const char *)eager.bytes + sizeof(FANNED_HEAD) - 1,
		eager.length - (sizeof(FANNED_HEAD) - 1));
}

/* Rows of the old log after `id`, a gap, and then all rows of the other log after it. */
static void expect_gap_between(int64_t id, int64_t newest)
{
	struct eventstream p;
	size_t i = 1;

	parse(&p);
	for (; i < p.count && !strcmp(p.events[i].type, "message"); i++) {
		assert_string_equal(p.events[i].data, "old");
		assert_int_equal(atoll(p.events[i].id), ++id);
	}
	assert_true(i < p.count);
	assert_string_equal(p.events[i].type, "gap");
	assert_non_null(strstr(p.events[i].data, "\"replaced\""));
	id = atoll(p.events[i].id);
	while (++i < p.count) {
		assert_string_equal(p.events[i].data, "other");
		assert_int_equal(atoll(p.events[i].id), ++id);
	}
	assert_int_equal(id, newest);
	eventstream_free(&p);
}

static void restore_before_each_transaction(int rows)
{
	for (int n = 1; n <= MOMENTS; n++) {
		moment = 0;
		fanned_begin(NULL, "events", 1000000);
		other = logfile_make(logfile.other, NULL);
		insert_rows(other, "other", rows);
		insert_rows(logfile.writer, "old", OLD);
		eager_look();
		eager_open();
		eager_look();
		insert_rows(logfile.writer, "old", NEW);
		moment = n;
		eager_look();
		/* The look may have taken fewer transactions. */
		if (moment > 0)
			restore();
		moment = 0;
		eager_look();
		expect_gap_between(OLD, rows);
		eager_leave();
		sqlite3_close(other);
		fanned_end();
	}
}

/* A stream that begins at the first row, and reads on: also after all of its reads. */
static void restore_before_each_read(int rows, uint16_t request_id)
{
	const struct position asked = {.kind = POSITION_AT, .id = 0};

	bool before = true;

	for (int n = 1; before; n++) {
		fanned_begin(NULL, "events", 1000000);
		other = logfile_make(logfile.other, NULL);
		insert_rows(other, "other", rows);
		insert_rows(logfile.writer, "old", NEW);
		eager_look();
		eager_ask(&asked, request_id);
		moment = n;
		while (fanned.wants_turn && moment > 0)
			fanned_turn();
		if (!(before = moment == 0))
			restore();
		moment = 0;
		while (fanned.wants_turn)
			fanned_turn();
		eager_look();
		expect_gap_between(0, rows);
		eager_leave();
		sqlite3_close(other);
		fanned_end();
	}
}

static void test_a_longer_log_is_restored_during_a_replay(void **state)
{
	restore_before_each_read(2 * NEW, 1);
}

static void test_a_log_of_the_same_length_is_restored_during_a_replay(void **state)
{
	restore_before_each_read(NEW, 1);
}

static void test_a_shorter_log_is_restored_during_a_replay(void **state)
{
	restore_before_each_read(NEW / 2, 1);
}

static void test_a_log_is_restored_during_a_replay_of_a_cgi_program(void **state)
{
	restore_before_each_read(2 * NEW, 0);
}

static void test_a_longer_log_is_restored(void **state)
{
	restore_before_each_transaction(2 * (OLD + NEW));
}

static void test_a_shorter_log_is_restored(void **state)
{
	restore_before_each_transaction(OLD + 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_longer_log_is_restored),
		cmocka_unit_test(test_a_shorter_log_is_restored),
		cmocka_unit_test(test_a_longer_log_is_restored_during_a_replay),
		cmocka_unit_test(test_a_log_of_the_same_length_is_restored_during_a_replay),
		cmocka_unit_test(test_a_shorter_log_is_restored_during_a_replay),
		cmocka_unit_test(test_a_log_is_restored_during_a_replay_of_a_cgi_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
