/*
 * The fan-out against a model. A real log; clients that join anywhere with any filter, read any
 * number of bytes, stall, disconnect and resume; rows that are inserted, grow and are deleted; a
 * small window. Each client's parser gets the log of its channels after its position, once, in
 * order, and a gap wherever rows of its channels are missing.
 * links: stream/fanout stream/fanout_feed stream/fanout_look stream/fanout_step stream/fanout_end stream/fanout_poll stream/poll stream/groups log/filter log/channel base/utf8 base/buffer protocol/sse protocol/wire log/gap stream/window stream/run protocol/record stream/subscriber stream/lane protocol/framing stream/leave log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database stream/opening log/copied base/clock base/logging base/metrics base/file log/place log/trouble base/who
 * libs: -lsqlite3 --for-linker --wrap --for-linker window_new
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "fanned.h"
#include "follower.h"
#include "stream/window.h"

enum { CLIENTS = 12 };

struct client {
	struct sink sink;
	struct subscriber subscriber;
	struct follower follower;
	bool open, finished, wants_write;
	size_t room; /* bytes that it takes until it is given more */
};

static struct {
	sqlite3_stmt *insert;
	struct client clients[CLIENTS];
	size_t rows_told, gaps_told;
} world;

struct window *__real_window_new(size_t bytes, size_t entries);
struct window *__wrap_window_new(size_t bytes, size_t entries);

static size_t window_bytes, window_entries;

struct window *__wrap_window_new(size_t bytes, size_t entries)
{
	return __real_window_new(window_bytes, window_entries);
}

static size_t below(size_t limit)
{
	return (size_t)random() % limit;
}

static void insert(void)
{
	int64_t id = ++model.newest;
	struct model_row *row = &model.rows[id];
	char *data;

	assert_true(id <= ROWS_MAX);
	row->channel = (char)below(CHANNELS);
	row->type = (char)below(TYPES);
	row->length = below(50) ? below(300) : below(2) ? 70000 + below(9000) : 3000;
	data = payload(id, row->length);
	sqlite3_bind_text(world.insert, 1, channels[(int)row->channel], -1, SQLITE_STATIC);
	sqlite3_bind_text(world.insert, 2, types[(int)row->type], -1, SQLITE_STATIC);
	sqlite3_bind_text(world.insert, 3, data, (int)row->length, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(world.insert), SQLITE_DONE);
	sqlite3_reset(world.insert);
	assert_int_equal(sqlite3_last_insert_rowid(logfile.writer), id);
	free(data);
}

static void insert_some(size_t count)
{
	must("BEGIN");
	while (count-- > 0)
		insert();
	must("COMMIT");
}

static void delete_range(int64_t from, int64_t to)
{
	char *sql = sqlite3_mprintf("DELETE FROM events WHERE id BETWEEN %lld AND %lld",
		(long long)from, (long long)to);

	must(sql);
	sqlite3_free(sql);
	for (int64_t id = from < 1 ? 1 : from; id <= to && id <= model.newest; id++)
		model.rows[id].deleted = true;
}

/* Deletes the oldest rows, some in the middle, or the newest before anyone has received them. */
static void delete_some(void)
{
	int64_t at = model.newest - (int64_t)below(60);

	if (below(3) == 0)
		delete_range(1, at);
	else
		delete_range(at, at + (int64_t)below(4));
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

static void join(struct client *c, int64_t position)
{
	struct position asked = {.kind = POSITION_AT, .id = position, .tail = -1};
	size_t channel_lengths[3], event_lengths[2];
	size_t channel_count =
		list_length(filters[c->follower.filter].channels, 3, channel_lengths);
	size_t event_count = list_length(filters[c->follower.filter].events, 2, event_lengths);
	struct filter *filter = filter_new(filters[c->follower.filter].channels, channel_lengths,
		channel_count, filters[c->follower.filter].events, event_lengths, event_count);

	c->sink.operations = &operations;
	c->follower.position = position;
	c->open = true;
	eventstream_init(&c->follower.parser);
	fanned_open(&c->subscriber, &c->sink, filter, &asked, c->follower.request_id,
		c->follower.envelope);
}

static void join_anywhere(struct client *c)
{
	static const uint16_t ids[] = {1, 1, 1, 1, 2, 258, 0};

	memset(c, 0, sizeof(*c));
	c->follower.filter = (int)below(FILTERS);
	c->follower.envelope = below(4) == 0;
	c->follower.request_id = ids[below(sizeof(ids) / sizeof(ids[0]))];
	c->room = below(3) ? SIZE_MAX : below(5000);
	join(c, (int64_t)below((size_t)model.newest + 1));
}

/* Checks what it has received; drops unfinished events. */
static void forget(struct client *c)
{
	world.rows_told += c->follower.rows;
	world.gaps_told += c->follower.gaps;
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
	c->room = SIZE_MAX;
	join(c, old.follower.position);
}

/* A stream that ended by itself: its record was deleted while it was being sent. */
static void collect_finished(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &world.clients[i];

		if (!c->open || !c->finished)
			continue;
		assert_int_equal(c->subscriber.reason, LEAVE_CUT);
		assert_true(c->follower.ended || !c->follower.request_id);
		assert_true(watermark(&c->follower) > c->follower.position);
		come_back(c);
	}
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

static void act(void)
{
	struct client *c = &world.clients[below(CLIENTS)];

	switch (below(13)) {
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
		fanout_sweep(fanned.fanout); /* positions, or heartbeats */
		break;
	default:
		turn();
	}
}

/* All clients read everything, and then have everything. */
static void settle(void)
{
	for (int i = 0; i < CLIENTS; i++)
		give_room(&world.clients[i], SIZE_MAX);
	do {
		look();
		while (fanned.wants_turn)
			turn();
	} while (fanned.wants_turn);
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &world.clients[i];

		if (c->open)
			pass_over(&c->follower, model.newest + 1);
	}
}

static void set_up(unsigned seed, size_t bytes, size_t entries)
{
	srandom(seed);
	memset(&world, 0, sizeof(world));
	memset(&model, 0, sizeof(model));
	window_bytes = bytes;
	window_entries = entries;
	fanned_begin(NULL, "events", 0);
	assert_int_equal(sqlite3_prepare_v2(logfile.writer,
				 "INSERT INTO events(channel, event, data) VALUES (?, ?, ?)", -1,
				 &world.insert, NULL),
		SQLITE_OK);
}

static int tear_down(void **state)
{
	for (int i = 0; i < CLIENTS; i++)
		if (world.clients[i].open)
			leave(&world.clients[i]);
	sqlite3_finalize(world.insert);
	fanned_end();
	return 0;
}

static void live(int acts)
{
	for (int i = 0; i < acts; i++) {
		act();
		if (i % 150 == 149)
			settle();
	}
	settle();
	/* The run exercised enough. */
	for (int i = 0; i < CLIENTS; i++)
		if (world.clients[i].open)
			leave(&world.clients[i]);
	assert_true(world.rows_told > (size_t)acts);
	assert_true(world.gaps_told > 0);
}

static void test_roomy_window(void **state)
{
	set_up(1, 4 << 20, 16384);
	live(6000);
}

static void test_small_window(void **state)
{
	set_up(2, 200000, 64);
	live(6000);
}

static void test_tiny_window(void **state)
{
	set_up(3, 2000, 5);
	live(6000);
}

#define TEST(function) cmocka_unit_test_teardown(function, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_roomy_window),
		TEST(test_small_window),
		TEST(test_tiny_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
