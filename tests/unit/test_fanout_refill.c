/*
 * A crowd comes back for the same rows. After some replays the window is filled with these rows
 * again, and serves the other clients. Each client gets every row, and a gap if it missed deleted
 * ones.
 * links: stream/fanout stream/fanout_sweep stream/fanout_feed stream/fanout_look stream/fanout_step stream/fanout_kept stream/fanout_end stream/fanout_poll stream/poll stream/groups log/filter log/channel base/utf8 base/buffer protocol/sse protocol/wire log/gap stream/window stream/run protocol/record stream/subscriber stream/lane protocol/framing stream/leave log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database stream/opening log/copied base/clock base/logging base/metrics base/file log/place log/trouble base/who
 * libs: -lsqlite3 -Wl,--wrap=eventlog_begin,--wrap=eventlog_hold,--wrap=eventlog_bounds,--wrap=clock_us,--wrap=clock_ms,--wrap=clock_awake_ms
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "changing.h"
#include "fanned.h"
#include "stream/fanout_impl.h"

enum { CROWD = 3 * FANOUT_REFILL_REPLAYS, ROWS = 600, LARGE = 300000 };

static struct client {
	struct sink sink;
	struct subscriber subscriber;
	struct follower follower;
	bool finished;
} crowd[CROWD];

static ssize_t take(struct sink *sink, const struct iovec *iov, int count)
{
	struct client *c = (struct client *)sink;
	size_t taken = 0;

	for (int i = 0; i < count; i++) {
		receive(&c->follower, iov[i].iov_base, iov[i].iov_len);
		taken += iov[i].iov_len;
	}
	check_events(&c->follower);
	return (ssize_t)taken;
}

static void note_want(struct sink *sink, bool want)
{
	assert_false(want); /* it takes everything */
}

static void note_finished(struct sink *sink)
{
	((struct client *)sink)->finished = true;
}

static const struct sink_operations operations = {
	.write = take, .want_write = note_want, .finished = note_finished};

/* All clients of the crowd ask for the rows of all channels after this position. */
static void come_back(int64_t position)
{
	const struct position asked = {.kind = POSITION_AT, .id = position, .tail = -1};
	const size_t length = 1;

	memset(crowd, 0, sizeof(crowd));
	for (int i = 0; i < CROWD; i++) {
		struct client *c = &crowd[i];

		c->sink.operations = &operations;
		c->follower.request_id = 1;
		c->follower.position = position;
		eventstream_init(&c->follower.parser);
		assert_true(fanned_open(&c->subscriber, &c->sink,
			filter_new(filters[0].channels, &length, 1, NULL, NULL, 0), &asked, 1,
			false));
	}
}

static void leave(void)
{
	for (int i = 0; i < CROWD; i++) {
		assert_false(crowd[i].finished);
		fanout_gone(fanned.fanout, &crowd[i].subscriber, LEAVE_CLIENT);
		eventstream_free(&crowd[i].follower.parser);
	}
}

static void look(void)
{
	bool news;

	assert_int_equal(fanout_look(fanned.fanout, &news), EVENTLOG_OK);
}

static void take_turns(void)
{
	while (fanned.wants_turn)
		fanned_turn();
}

/* Each client has all rows, and so many gaps. Returns how many rows single clients read. */
static size_t serve(int64_t position, size_t gaps)
{
	uint64_t before = metrics_get(METRIC_ROWS_REPLAYED), replayed;

	come_back(position);
	take_turns();
	replayed = metrics_get(METRIC_ROWS_REPLAYED) - before;
	look();
	take_turns();
	for (int i = 0; i < CROWD; i++) {
		pass_over(&crowd[i].follower, model.newest + 1);
		assert_int_equal(crowd[i].follower.gaps, gaps);
	}
	leave();
	return (size_t)replayed;
}

/* No client needed to read the rows after a position by itself, except the first few. */
static void expect_shared(size_t replayed, int64_t position)
{
	assert_in_range(replayed, 1, FANOUT_REFILL_REPLAYS * (model.newest - position));
}

static int set_up(void **state)
{
	fanned_begin(NULL, "events", 1000000);
	changing_begin();
	changing.busy = false;
	insert_some(ROWS);
	look();
	return 0;
}

static int tear_down(void **state)
{
	changing_end();
	fanned_end();
	return 0;
}

static void test_a_crowd_shares_one_read(void **state)
{
	expect_shared(serve(100, 0), 100);
	/* Also the next one, of which each client is new. */
	expect_shared(serve(0, 0), 0);
}

/* The window has only the rows after the last deleted one, which no client may skip there. */
static void test_rows_that_were_deleted(void **state)
{
	delete_range(300, 310);
	assert_true(serve(100, 1) > CROWD * (299 - 100));
	expect_shared(serve(310, 0), 310);
	delete_range(ROWS, ROWS);
	serve(310, 1);
}

/* They are in the log, and the fan-out has not noticed them. */
static void test_rows_that_no_look_has_found_yet(void **state)
{
	insert_some(20);
	serve(100, 0);
	insert_some(20);
	delete_range(ROWS + 30, ROWS + 31);
	serve(100, 1);
}

static void test_a_row_too_large_to_be_in_a_window_with_others(void **state)
{
	insert_row(0, 0, LARGE);
	insert_some(20);
	look();
	serve(ROWS - 10, 0);
}

/* The window begins with the newest 1,024 ids. */
static void test_a_crowd_far_behind(void **state)
{
	insert_some(4 * ROWS);
	look();
	look();
	assert_true(serve(10, 0) < CROWD * 4 * ROWS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_crowd_shares_one_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rows_that_were_deleted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_rows_that_no_look_has_found_yet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_row_too_large_to_be_in_a_window_with_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_crowd_far_behind, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
