/*
 * The fan-out against a model. A real log; clients that join anywhere with any filter, read any
 * number of bytes, stall, disconnect and resume; rows that are inserted and deleted, and channels
 * that end and are opened again, also between any two transactions of the fan-out; a small window,
 * which is refilled at any time. Each client's parser gets the log of its channels after its
 * position, once, in order, a gap wherever rows of its channels are missing, and the end of its
 * stream when they have ended.
 *
 * The clock is the model's own, so a seed gives the same run each time: MODEL_SEED=7 repeats what
 * failed with seed 7. With TEST_FULL=1 it runs for a minute.
 * links: stream/fanout stream/fanout_sweep stream/fanout_feed stream/fanout_look stream/fanout_step stream/fanout_kept stream/fanout_end stream/fanout_poll stream/poll stream/groups log/filter log/channel base/utf8 base/buffer protocol/sse protocol/wire log/gap stream/window stream/run protocol/record stream/subscriber stream/lane protocol/framing stream/leave log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database stream/opening log/copied base/clock base/logging base/metrics base/file log/place log/trouble base/who
 * libs: -lsqlite3 -Wl,--wrap=window_new,--wrap=eventlog_begin,--wrap=eventlog_hold,--wrap=eventlog_bounds,--wrap=clock_us,--wrap=clock_ms,--wrap=clock_awake_ms
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "changing.h"
#include "fanned.h"
#include "stream/fanout_impl.h"

enum {
	CLIENTS = 12,
	ACTS = 1500, /* in one world */
	TEST_MS = 600, /* CPU time of a test */
	FULL_MS = 20000, /* the same with TEST_FULL=1 */
};

struct client {
	struct sink sink;
	struct subscriber subscriber;
	struct follower follower;
	size_t reopenings; /* in the model when it joined */
	bool open, finished, wants_write;
	size_t room; /* bytes that it takes until it is given more */
};

/* A log and its clients. */
static struct {
	unsigned seed;
	struct client clients[CLIENTS];
} world;

/* What happened in all worlds. */
static struct {
	size_t rows, gaps, ends, refusals;
} told;

struct window *__real_window_new(size_t bytes, size_t entries);
struct window *__wrap_window_new(size_t bytes, size_t entries);

static size_t window_bytes, window_entries;

struct window *__wrap_window_new(size_t bytes, size_t entries)
{
	return __real_window_new(window_bytes, window_entries);
}

static ssize_t take(struct sink *sink, const struct iovec *iov, int count)
{
	struct client *c = (struct client *)sink;
	size_t taken = 0;

	for (int i = 0; i < count && c->room > 0; i++) {
		size_t n = iov[i].iov_len < c->room ? iov[i].iov_len : c->room;

		receive(&c->follower, iov[i].iov_base, n);
		c->room -= n;
		taken += n;
	}
	check_events(&c->follower);
	return (ssize_t)taken;
}

static void note_want(struct sink *sink, bool want)
{
	((struct client *)sink)->wants_write = want;
}

static void note_finished(struct sink *sink)
{
	((struct client *)sink)->finished = true;
}

static const struct sink_operations operations = {
	.write = take, .want_write = note_want, .finished = note_finished};

static size_t list_length(const char *const *list, size_t most, size_t *lengths)
{
	size_t count = 0;

	for (; count < most && list[count]; count++)
		lengths[count] = strlen(list[count]);
	return count;
}

/* The client has the ends of all its channels, unless one was opened again since it came. */
static void expect_end(const struct client *c)
{
	int64_t last = last_end(&c->follower);

	if (c->reopenings == model.reopenings)
		assert_in_range(last, 1, c->follower.position);
}

static void join(struct client *c, int64_t position)
{
	struct position asked = {.kind = POSITION_AT, .id = position, .tail = -1};
	size_t channel_lengths[3], event_lengths[2];
	size_t channel_count =
		list_length(filters[c->follower.filter].channels, 3, channel_lengths);
	size_t event_count = list_length(filters[c->follower.filter].events, 2, event_lengths);
	struct filter *filter = filter_new(filters[c->follower.filter].channels, channel_lengths,
		channel_count, filters[c->follower.filter].events, event_lengths, event_count);

	const struct lane lane = {c->follower.chunked      ? &framing_chunked
				  : c->follower.request_id ? &framing_fastcgi
							   : &framing_none,
		c->follower.request_id, c->follower.envelope ? LANE_ENVELOPE : LANE_PLAIN};

	c->sink.operations = &operations;
	c->follower.position = position;
	c->reopenings = model.reopenings;
	c->open = true;
	eventstream_init(&c->follower.parser);
	if (fanned_open_lane(&c->subscriber, &c->sink, filter, &asked, &lane))
		return;
	expect_end(c);
	told.refusals++;
	c->open = false;
	eventstream_free(&c->follower.parser);
}

static void join_anywhere(struct client *c)
{
	static const uint16_t ids[] = {1, 1, 1, 1, 2, 258, 0};
	size_t back;

	memset(c, 0, sizeof(*c));
	c->follower.filter = (int)below(FILTERS);
	c->follower.envelope = below(4) == 0;
	c->follower.chunked = below(3) == 0;
	if (!c->follower.chunked)
		c->follower.request_id = ids[below(sizeof(ids) / sizeof(ids[0]))];
	c->room = below(2) ? SIZE_MAX : below(5000);
	/* Most clients come back for the newest rows. */
	back = below(below(3) ? 40 : (size_t)model.newest + 1);
	join(c, (int64_t)back < model.newest ? model.newest - (int64_t)back : 0);
}

/* Checks what it has received; drops unfinished events. */
static void forget(struct client *c)
{
	told.rows += c->follower.rows;
	told.gaps += c->follower.gaps;
	c->open = false;
	eventstream_free(&c->follower.parser);
}

static void leave(struct client *c)
{
	if (!c->finished)
		fanout_gone(fanned.fanout, &c->subscriber, LEAVE_CLIENT);
	assert_true(c->finished);
	forget(c);
}

/* With the position that an EventSource would send. */
static void come_back(struct client *c)
{
	struct client old = *c;

	leave(c);
	memset(c, 0, sizeof(*c));
	c->follower.filter = old.follower.filter;
	c->follower.envelope = old.follower.envelope;
	c->follower.request_id = old.follower.request_id;
	c->follower.chunked = old.follower.chunked;
	c->room = !changing.busy || below(2) ? SIZE_MAX : below(5000);
	join(c, old.follower.position);
}

/*
 * A stream ends by itself if its channels have ended, or if its unfinished record was deleted;
 * or because act() ended it.
 */
static void collect(struct client *c)
{
	size_t reopenings = c->reopenings;
	bool has_ended = c->subscriber.reason == LEAVE_ENDED;

	assert_true(c->follower.ended || (!c->follower.request_id && !c->follower.chunked));
	assert_true(is_whole(&c->follower));
	if (has_ended) {
		expect_end(c);
		told.ends++;
	} else if (c->subscriber.reason != LEAVE_REVOKED && c->subscriber.reason != LEAVE_AGE) {
		assert_int_equal(c->subscriber.reason, LEAVE_CUT);
		assert_true(watermark(&c->follower) > c->follower.position);
	}
	come_back(c);
	/* Then its client gets a 204, and stops. */
	if (has_ended && reopenings == model.reopenings)
		assert_false(c->open);
}

static void collect_finished(void)
{
	for (int i = 0; i < CLIENTS; i++)
		if (world.clients[i].open && world.clients[i].finished)
			collect(&world.clients[i]);
}

static void look(void)
{
	bool news;

	assert_int_equal(fanout_look(fanned.fanout, &news), EVENTLOG_OK);
	collect_finished();
}

static void turn(void)
{
	fanned_turn();
	collect_finished();
}

static void give_room(struct client *c, size_t room)
{
	if (!c->open)
		return;
	c->room = room;
	if (c->wants_write)
		fanout_writable(fanned.fanout, &c->subscriber);
}

/* Some web servers hold back a record or chunk until it is whole. */
static void expect_whole_frames(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		const struct client *c = &world.clients[i];

		if (c->open && !c->finished && c->subscriber.where == SUBSCRIBER_IN_GROUP)
			assert_true(is_whole(&c->follower));
	}
}

static void act(void)
{
	struct client *c = &world.clients[below(CLIENTS)];

	switch (below(20)) {
	case 0:
		c->open ? leave(c) : join_anywhere(c);
		break;
	case 1:
		c->open ? come_back(c) : join_anywhere(c);
		break;
	case 2:
		delete_some();
		break;
	case 3:
		give_room(c, 0); /* stalls */
		break;
	case 4:
	case 5:
		give_room(c, below(2) ? below(400) : below(100000));
		break;
	case 6:
		give_room(c, SIZE_MAX);
		break;
	case 7:
	case 8:
		insert_some(below(20) ? 1 + below(4) : below(900));
		break;
	case 9:
	case 10:
		look();
		break;
	case 11:
		/* Otherwise only a crowd causes it, once. */
		fanout_refill(fanned.fanout, (int)below((size_t)fanned.fanout->lane_count));
		break;
	case 12:
		fanout_sweep(fanned.fanout); /* positions, or heartbeats */
		collect_finished();
		break;
	case 13:
		/* It takes a part of a row that the fan-out has not noticed. */
		insert_some(1 + below(4));
		c->open ? come_back(c) : join_anywhere(c);
		turn();
		give_room(c, below(400));
		turn();
		break;
	case 14:
		if (below(3) == 0)
			turn_channel();
		break;
	case 15:
		if (c->open && below(3) == 0)
			fanout_end(fanned.fanout, &c->subscriber,
				below(2) ? LEAVE_REVOKED : LEAVE_AGE);
		break;
	default:
		turn();
	}
}

static void work(void)
{
	do {
		look();
		while (fanned.wants_turn)
			turn();
	} while (fanned.wants_turn);
}

/* All clients read everything, and then have everything. */
static void settle(void)
{
	changing.busy = false;
	for (int i = 0; i < CLIENTS; i++)
		give_room(&world.clients[i], SIZE_MAX);
	work();
	fanout_sweep(fanned.fanout);
	work();
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &world.clients[i];

		if (!c->open)
			continue;
		pass_over(&c->follower, model.newest + 1);
		assert_int_equal(last_end(&c->follower), 0);
	}
	changing.busy = true;
}

static void set_up(unsigned seed, size_t bytes, size_t entries)
{
	memset(&world, 0, sizeof(world));
	world.seed = seed;
	srandom(seed);
	window_bytes = bytes;
	window_entries = entries;
	fanned_by_http = true;
	fanned_begin(NULL, "events", 0);
	changing_begin();
}

static int tear_down(void **state)
{
	changing.busy = false;
	for (int i = 0; i < CLIENTS; i++)
		if (world.clients[i].open)
			leave(&world.clients[i]);
	changing_end();
	fanned_end();
	return 0;
}

static void live(void)
{
	for (int i = 1; i <= ACTS; i++) {
		act();
		expect_whole_frames();
		if (i % 150 == 0)
			settle();
	}
}

static int64_t cpu_ms(void)
{
	return (int64_t)clock() / (CLOCKS_PER_SEC / 1000);
}

/* Worlds, one after the other. If a check fails, the last one is left for the tear-down. */
static void live_often(size_t bytes, size_t entries)
{
	const char *asked = getenv("MODEL_SEED"), *full = getenv("TEST_FULL");
	int64_t until_ms = cpu_ms() + (full && !strcmp(full, "1") ? FULL_MS : TEST_MS);
	unsigned seed = asked ? (unsigned)atoi(asked) : (unsigned)time(NULL) % 1000000 * 1000;
	size_t rows = told.rows;
	int worlds = 0;

	do {
		if (worlds++ > 0)
			tear_down(NULL);
		set_up(seed++, bytes, entries);
		live();
	} while (!asked && cpu_ms() < until_ms);
	/* The run exercised enough. */
	assert_true(told.rows - rows > (size_t)(worlds * ACTS) / 4);
}

static int tear_down_last(void **state)
{
	print_message("the last seed was %u; so far %zu rows, %zu gaps, %zu ends, %zu refusals\n",
		world.seed, told.rows, told.gaps, told.ends, told.refusals);
	return tear_down(state);
}

static void test_roomy_window(void **state)
{
	live_often(4 << 20, 16384);
}

static void test_small_window(void **state)
{
	live_often(200000, 64);
}

static void test_tiny_window(void **state)
{
	live_often(2000, 5);
	assert_true(told.gaps > 0);
	assert_true(told.ends > 0);
	assert_true(told.refusals > 0);
}

#define TEST(function) cmocka_unit_test_teardown(function, tear_down_last)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_roomy_window),
		TEST(test_small_window),
		TEST(test_tiny_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
