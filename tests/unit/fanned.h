/*
 * fanned: a fan-out on a log file (logfile.h), and streams on it. All sinks are the test's own.
 */
#ifndef ROWTAIL_TESTS_FANNED_H
#define ROWTAIL_TESTS_FANNED_H

#include <fastcgi.h>
#include <string.h>

#include "eventstream.h"
#include "logfile.h"
#include "stream/fanout.h"

#define FANNED_HEAD "Status: 200 OK\r\n\r\n" /* what every stream begins with */

static struct {
	struct eventlog *log;
	struct fanout *fanout;
	bool wants_turn; /* the fan-out has asked for a turn */
} fanned;

static bool fanned_by_http; /* set before fanned_begin(): HTTP chunks have a window, too */

static void fanned_want_turn(void *context)
{
	fanned.wants_turn = true;
}

/* Makes the file, with these statements (NULL: the schema of the tree), and follows its table. */
static inline void fanned_begin(const char *sql, const char *table, int64_t heartbeat_ms)
{
	const struct fanout_limits limits = {.heartbeat_ms = heartbeat_ms,
		.stall_ms = 1000000,
		.sweep_ms = 1000,
		.retry_ms = 2000,
		.shared = {&framing_fastcgi, fanned_by_http ? &framing_chunked : NULL}};
	const struct fanout_calls calls = {.want_turn = fanned_want_turn};

	memset(&fanned, 0, sizeof(fanned));
	logfile_begin(sql);
	fanned.log = eventlog_new(logfile.path, table);
	assert_int_equal(eventlog_open(fanned.log), EVENTLOG_OK);
	fanned.fanout = fanout_new(fanned.log, &limits, &calls);
	assert_non_null(fanned.fanout);
	assert_int_equal(fanout_wake(fanned.fanout), EVENTLOG_OK);
}

static inline void fanned_end(void)
{
	fanout_free(fanned.fanout);
	eventlog_free(fanned.log);
	logfile_end();
}

/* Lets the fan-out take one turn. */
static inline void fanned_turn(void)
{
	fanned.wants_turn = false;
	fanout_turn(fanned.fanout);
}

/*
 * Opens a stream; takes over the filter. False if the client gets a 204, because the channels have
 * ended.
 */
static inline bool fanned_open_lane(struct subscriber *subscriber, struct sink *sink,
	struct filter *filter, const struct position *asked, const struct lane *lane)
{
	struct opening *opening = opening_new();

	if (eventlog_has_ends(fanned.log))
		filter_follow_ends(filter);
	assert_int_equal(opening_begin(opening, fanned.log, filter, asked, 0), EVENTLOG_OK);
	if (opening_is_over(opening)) {
		free(filter);
		opening_free(opening);
		return false;
	}
	buffer_init(&opening->head, 1000);
	buffer_text(&opening->head, FANNED_HEAD);
	assert_true(fanout_open(fanned.fanout, subscriber,
		&(struct fanout_stream){.sink = sink,
			.filter = filter,
			.lane = *lane,
			.opening = opening,
			.retry_ms = 2000}));
	return true;
}

/* The same with FastCGI records; request_id 0: without frames. */
static inline bool fanned_open(struct subscriber *subscriber, struct sink *sink,
	struct filter *filter, const struct position *asked, uint16_t request_id, bool envelope)
{
	const struct lane lane = {request_id ? &framing_fastcgi : &framing_none, request_id,
		envelope ? LANE_ENVELOPE : LANE_PLAIN};

	return fanned_open_lane(subscriber, sink, filter, asked, &lane);
}

/* Removes the framing of whole FCGI records and the head; parses the rest. */
static inline void fanned_parse(const uint8_t *bytes, size_t length, struct eventstream *p)
{
	size_t at = 0, skip = sizeof(FANNED_HEAD) - 1;

	eventstream_init(p);
	while (at < length) {
		const uint8_t *header = bytes + at;
		size_t size = (size_t)header[4] << 8 | header[5];

		assert_int_equal(header[0], FCGI_VERSION_1);
		assert_int_equal(header[1], FCGI_STDOUT);
		assert_true(length - at >= FCGI_HEADER_LEN + size + header[6]);
		eventstream_feed(p, (const char *)header + FCGI_HEADER_LEN + skip, size - skip);
		skip = 0;
		at += FCGI_HEADER_LEN + size + header[6];
	}
}

/* A filter of the channel "default". */
static inline struct filter *fanned_default(void)
{
	static const char *const names[] = {"default"};
	static const size_t lengths[] = {7};

	return filter_new(names, lengths, 1, NULL, NULL, 0);
}

#endif
