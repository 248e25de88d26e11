/*
 * When the sweep looks at a stream: heartbeats and checks are on time, and a sweep looks at few of
 * the idle streams.
 * links: stream/fanout stream/fanout_sweep stream/fanout_feed stream/fanout_look stream/fanout_step stream/fanout_kept stream/fanout_end stream/fanout_poll stream/poll stream/groups log/filter log/channel base/utf8 base/buffer protocol/sse protocol/wire log/gap stream/window stream/run protocol/record stream/subscriber stream/lane protocol/framing stream/leave log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database stream/opening log/copied base/clock base/logging base/metrics base/file log/place log/trouble base/who
 * libs: -lsqlite3 -Wl,--wrap=clock_ms,--wrap=clock_awake_ms,--wrap=clock_absent_ms
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fanned.h"

enum { STREAMS = 100, SWEEP = 1000, LONGEST = 100, STALL = 5000 };

static int64_t now_ms;

int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_awake_ms(void);
int64_t __wrap_clock_absent_ms(void);

int64_t __wrap_clock_ms(void)
{
	return now_ms;
}

int64_t __wrap_clock_awake_ms(void)
{
	return now_ms;
}

int64_t __wrap_clock_absent_ms(void)
{
	return 0;
}

/* A client, and when it last got bytes and was last checked. */
static struct client {
	struct sink sink;
	struct subscriber subscriber;
	int64_t written_ms, checked_ms;
	bool full; /* takes no bytes */
	bool finished;
} clients[STREAMS];

static int looks; /* at streams, by sweeps */
static int64_t recheck_ms; /* how often streams must be checked */

static struct client *client_of(struct sink *sink)
{
	return (struct client *)(void *)sink;
}

static ssize_t write_to(struct sink *sink, const struct iovec *iov, int count)
{
	ssize_t total = 0;

	if (client_of(sink)->full)
		return 0;
	client_of(sink)->written_ms = now_ms;
	for (int i = 0; i < count; i++)
		total += (ssize_t)iov[i].iov_len;
	return total;
}

static void want_write(struct sink *sink, bool want)
{
}

static void finished(struct sink *sink)
{
	client_of(sink)->finished = true;
}

static const struct sink_operations operations = {
	.write = write_to, .want_write = want_write, .finished = finished};

static bool recheck(
	void *context, struct subscriber *s, enum leave_reason *reason, int64_t *again_ms)
{
	looks++;
	client_of(s->sink)->checked_ms = now_ms;
	*again_ms = now_ms + recheck_ms;
	return true;
}

static void open_one(struct client *c)
{
	*c = (struct client){.sink = {.operations = &operations}, .checked_ms = now_ms};
	assert_true(fanned_open(
		&c->subscriber, &c->sink, fanned_default(), &(struct position){0}, 1, false));
	/* Not looked into: recheck() above is for all streams with a session. */
	c->subscriber.session = (struct access_session *)(void *)c;
	fanned_turn();
}

/* Opens all streams, in the course of one heartbeat. */
static void begin(int64_t heartbeat_ms, int64_t age_ms)
{
	const struct fanout_calls calls = {.want_turn = fanned_want_turn, .recheck = recheck};
	const struct fanout_limits limits = {.heartbeat_ms = heartbeat_ms,
		.stall_ms = STALL,
		.max_age_ms = age_ms,
		.sweep_ms = SWEEP,
		.retry_ms = 2000,
		.shared = {&framing_fastcgi}};

	now_ms = 1000000;
	recheck_ms = INT32_MAX;
	fanned_begin(NULL, "events", heartbeat_ms);
	fanout_free(fanned.fanout);
	fanned.fanout = fanout_new(fanned.log, &limits, &calls);
	assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
	for (int i = 0; i < STREAMS; i++) {
		open_one(&clients[i]);
		if (i % 10 == 9) {
			now_ms += SWEEP;
			fanout_sweep(fanned.fanout);
		}
	}
	looks = 0;
}

static void end(void)
{
	for (int i = 0; i < STREAMS; i++)
		if (!clients[i].finished)
			fanout_gone(fanned.fanout, &clients[i].subscriber, LEAVE_CLIENT);
	fanned_end();
}

/* Sweeps, as late as the loop's timer may be. Ends at a multiple of the sweep's period. */
static void sweep(int sweeps, int64_t late_ms)
{
	int64_t start_ms = now_ms;

	for (int i = 1; i <= sweeps; i++) {
		now_ms = start_ms + (int64_t)i * SWEEP + (late_ms ? random() % late_ms : 0);
		fanout_sweep(fanned.fanout);
		while (fanned.wants_turn)
			fanned_turn();
		now_ms = start_ms + (int64_t)i * SWEEP;
	}
}

static int64_t longest_silence(void)
{
	int64_t longest = 0;

	for (int i = 0; i < STREAMS; i++)
		if (now_ms - clients[i].written_ms > longest)
			longest = now_ms - clients[i].written_ms;
	return longest;
}

static void test_heartbeats_are_on_time(void **state)
{
	static const int64_t heartbeats_ms[] = {1000, 2000, 15000, 15500, 100000};

	for (int i = 0; i < 5; i++)
		for (int late_ms = 0; late_ms <= 300; late_ms += 150) {
			begin(heartbeats_ms[i], 0);
			for (int second = 0; second < LONGEST + 20; second++) {
				sweep(1, late_ms);
				assert_in_range(longest_silence(), 0, heartbeats_ms[i] + 300);
			}
			end();
		}
}

static void test_sweep_looks_at_few_idle_streams(void **state)
{
	begin(15000, 0);
	sweep(60, 0);
	/* Twice for each heartbeat, not 60 times. */
	assert_in_range(looks, 3 * STREAMS, 9 * STREAMS);
	end();
}

static void test_heartbeats_that_are_overdue_after_a_pause_come_at_once(void **state)
{
	begin(15000, 0);
	sweep(20, 0);
	now_ms += 40000;
	fanout_sweep(fanned.fanout);
	assert_int_equal(longest_silence(), 0);
	end();
}

static void test_sweeps_that_are_always_late(void **state)
{
	begin(15000, 0);
	for (int i = 0; i < 60; i++) {
		now_ms += 1600;
		fanout_sweep(fanned.fanout);
		assert_in_range(longest_silence(), 0, 15000 + 1600);
	}
	end();
}

static void test_streams_are_checked_when_they_asked_for_it(void **state)
{
	begin(60000, 0);
	recheck_ms = 5000;
	sweep(20, 0);
	for (int second = 0; second < 20; second++) {
		sweep(1, 0);
		for (int i = 0; i < STREAMS; i++)
			assert_in_range(now_ms - clients[i].checked_ms, 0, 5000);
	}
	end();
}

static void test_ages_end_on_time(void **state)
{
	begin(60000, 20000);
	sweep(9, 0);
	for (int i = 0; i < STREAMS; i++)
		assert_false(clients[i].finished);
	/* A random tenth comes in addition. */
	sweep(14, 0);
	for (int i = 0; i < STREAMS; i++)
		assert_true(clients[i].finished);
	end();
}

static void test_stream_that_begins_to_block_is_ended_on_time(void **state)
{
	int64_t since_ms;
	bool news;

	begin(3600000, 0);
	sweep(20, 0);
	clients[50].full = true;
	must("INSERT INTO events(data) VALUES ('x')");
	assert_int_equal(fanout_look(fanned.fanout, &news), EVENTLOG_OK);
	since_ms = now_ms;
	while (!clients[50].finished && now_ms < since_ms + 100000)
		sweep(1, 0);
	assert_in_range(now_ms - since_ms, STALL, STALL + SWEEP);
	end();
}

static void test_shutdown_reaches_all_streams(void **state)
{
	begin(15000, 0);
	sweep(7, 0);
	fanout_shutdown(fanned.fanout);
	while (fanned.wants_turn)
		fanned_turn();
	for (int i = 0; i < STREAMS; i++)
		assert_true(clients[i].finished);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heartbeats_are_on_time),
		cmocka_unit_test(test_sweep_looks_at_few_idle_streams),
		cmocka_unit_test(test_heartbeats_that_are_overdue_after_a_pause_come_at_once),
		cmocka_unit_test(test_sweeps_that_are_always_late),
		cmocka_unit_test(test_streams_are_checked_when_they_asked_for_it),
		cmocka_unit_test(test_ages_end_on_time),
		cmocka_unit_test(test_stream_that_begins_to_block_is_ended_on_time),
		cmocka_unit_test(test_shutdown_reaches_all_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
