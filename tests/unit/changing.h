/*
 * changing: a log (logfile.h) that changes at random, and its model (follower.h): rows are inserted
 * and deleted, channels end and are opened again. This also happens between two transactions of the
 * reader, by these options for the linker, which the test must name:
 * --wrap=eventlog_begin,--wrap=eventlog_hold,--wrap=eventlog_bounds. With
 * --wrap=clock_us,--wrap=clock_ms,--wrap=clock_awake_ms the clock is the model's, too, so that a
 * seed of random() gives the same run each time.
 */
#ifndef ROWTAIL_TESTS_CHANGING_H
#define ROWTAIL_TESTS_CHANGING_H

#include <sqlite3.h>

#include "follower.h"
#include "log/eventlog.h"
#include "logfile.h"

static struct {
	sqlite3_stmt *insert;
	bool busy; /* it also changes between two transactions */
	int64_t now_us;
} changing;

static inline size_t below(size_t limit)
{
	return (size_t)random() % limit;
}

/* Mostly short. Records of up to FRAMING_SHARED_MAX bytes share frames. */
static inline size_t some_length(void)
{
	switch (below(200)) {
	case 0:
	case 1:
		return 70000 + below(9000);
	case 2:
		return 3000;
	case 3:
		return 16200 + below(200);
	default:
		return below(300);
	}
}

static inline void insert_row(size_t channel, size_t type, size_t length)
{
	int64_t id = ++model.newest;
	struct model_row *row = &model.rows[id];
	char *data;

	assert_true(id <= ROWS_MAX);
	row->channel = (char)channel;
	row->type = (char)type;
	row->length = length;
	data = payload(id, row->length);
	sqlite3_bind_text(changing.insert, 1, channels[(int)row->channel], -1, SQLITE_STATIC);
	sqlite3_bind_text(changing.insert, 2, types[(int)row->type], -1, SQLITE_STATIC);
	sqlite3_bind_text(changing.insert, 3, data, (int)row->length, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(changing.insert), SQLITE_DONE);
	sqlite3_reset(changing.insert);
	assert_int_equal(sqlite3_last_insert_rowid(logfile.writer), id);
	free(data);
}

/* Inserts rows into channels that have not ended. */
static inline void insert_some(size_t count)
{
	must("BEGIN");
	while (count-- > 0) {
		size_t channel = below(CHANNELS);

		if (!model.ends[channel])
			insert_row(channel, below(TYPES), some_length());
	}
	must("COMMIT");
}

/* A channel ends, or is opened again. */
static inline void turn_channel(void)
{
	size_t channel = below(CHANNELS);
	char *sql;

	if (!model.ends[channel]) {
		insert_row(channel, END, some_length());
		model.ends[channel] = model.newest;
		return;
	}
	sql = sqlite3_mprintf("DELETE FROM events_ended WHERE channel = %Q", channels[channel]);
	must(sql);
	sqlite3_free(sql);
	model.ends[channel] = 0;
	model.reopenings++;
}

static inline void delete_range(int64_t from, int64_t to)
{
	char *sql = sqlite3_mprintf("DELETE FROM events WHERE id BETWEEN %lld AND %lld",
		(long long)from, (long long)to);

	must(sql);
	sqlite3_free(sql);
	for (int64_t id = from < 1 ? 1 : from; id <= to && id <= model.newest; id++)
		model.rows[id].deleted = true;
}

/* Deletes the oldest rows, some in the middle, or the newest before anyone has received them. */
static inline void delete_some(void)
{
	int64_t at = model.newest - (int64_t)below(60);

	if (below(3) == 0)
		delete_range(1, at);
	else
		delete_range(at, at + (int64_t)below(4));
}

/* Between two transactions of the fan-out. */
static inline void meddle(void)
{
	if (!changing.busy || below(24))
		return;
	switch (below(4)) {
	case 0:
		turn_channel();
		break;
	case 1:
		insert_some(1 + below(4));
		break;
	default:
		delete_some();
	}
}

enum eventlog_status __real_eventlog_begin(struct eventlog *log);
enum eventlog_status __wrap_eventlog_begin(struct eventlog *log);
enum eventlog_status __real_eventlog_hold(struct eventlog *log);
enum eventlog_status __wrap_eventlog_hold(struct eventlog *log);
enum eventlog_status __real_eventlog_bounds(struct eventlog *log, struct eventlog_bounds *bounds);
enum eventlog_status __wrap_eventlog_bounds(struct eventlog *log, struct eventlog_bounds *bounds);

enum eventlog_status __wrap_eventlog_begin(struct eventlog *log)
{
	meddle();
	return __real_eventlog_begin(log);
}

enum eventlog_status __wrap_eventlog_hold(struct eventlog *log)
{
	meddle();
	return __real_eventlog_hold(log);
}

enum eventlog_status __wrap_eventlog_bounds(struct eventlog *log, struct eventlog_bounds *bounds)
{
	meddle();
	return __real_eventlog_bounds(log, bounds);
}

int64_t __wrap_clock_us(void);
int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_awake_ms(void);

/* Any step may be slow, so that turns and reads end early. */
int64_t __wrap_clock_us(void)
{
	return changing.now_us += (int64_t)(below(300) ? below(60) : below(20000));
}

int64_t __wrap_clock_ms(void)
{
	return __wrap_clock_us() / 1000;
}

int64_t __wrap_clock_awake_ms(void)
{
	return __wrap_clock_ms();
}

/* Begins with an empty log. */
static inline void changing_begin(void)
{
	memset(&model, 0, sizeof(model));
	assert_int_equal(sqlite3_prepare_v2(logfile.writer,
				 "INSERT INTO events(channel, event, data) VALUES (?, ?, ?)", -1,
				 &changing.insert, NULL),
		SQLITE_OK);
	changing.busy = true;
}

static inline void changing_end(void)
{
	sqlite3_finalize(changing.insert);
	memset(&changing, 0, sizeof(changing));
}

#endif
