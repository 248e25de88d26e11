/*
 * fanout: who has work, in what order, and with what budget.
 *
 * Owns the subscribers of this process (not their sinks), the windows, and the reading of new rows
 * into them. Rows are read once and encoded once for each lane; all that wait for them get them in
 * one write each. Those that are behind take turns from a queue, so that one client a million rows
 * behind does not delay the live ones. Knows no loop: it asks for turns by a callback, so that
 * tests can drive it.
 */
#ifndef ROWTAIL_FANOUT_H
#define ROWTAIL_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "log/eventlog.h"
#include "log/filter.h"
#include "stream/opening.h"
#include "stream/subscriber.h"

struct fanout;
struct poll;

struct fanout_limits {
	int64_t heartbeat_ms;
	int64_t max_age_ms; /* 0: none; a stream gets up to a tenth more, by chance */
	int64_t stall_ms;
	int64_t sweep_ms; /* how often fanout_sweep() is called */
	int64_t retry_ms, retry_jitter_ms;
	/*
	 * The framing of those streams that share what is read and encoded for them. NULL for CGI:
	 * there is one stream, and it needs no window.
	 */
	const struct framing *shared;
};

/* What fanout asks of its owner. */
struct fanout_calls {
	/* Call fanout_turn() soon, after what else waits. May be asked many times. */
	void (*want_turn)(void *context);
	/* A stream was opened. */
	void (*opened)(void *context);
	/*
	 * May this stream go on reading? If not, *reason is LEAVE_REVOKED or LEAVE_EXPIRED, and the
	 * stream ends with a `denied` record. NULL function: always.
	 */
	bool (*recheck)(void *context, struct subscriber *s, enum leave_reason *reason);
	/* A subscriber has left, before its sink is told. */
	void (*left)(void *context, struct subscriber *s);
	void *context;
};

/* The log is borrowed for good. NULL without memory. */
struct fanout *fanout_new(
	struct eventlog *log, const struct fanout_limits *limits, const struct fanout_calls *calls);
/* All subscribers have left before. */
void fanout_free(struct fanout *f);

/* What a new stream is made of. */
struct fanout_stream {
	struct sink *sink;
	struct filter *filter; /* taken over, in any case */
	struct lane lane;
	bool bare; /* positions=0 */
	struct opening *opening; /* taken over, in any case */
	struct access_session *session; /* for the recheck; not owned */
	struct tally_entry *client; /* not owned */
	uint32_t retry_ms; /* this stream's reconnection time */
	struct poll *poll; /* taken over, in any case. Not NULL: a JSON answer, whose head it has */
};

/*
 * Opens a stream in *s, which the caller owns until the sink is told `finished`. The head leaves at
 * once where the opening is done. False without memory: the sink is not told, nothing was written.
 */
bool fanout_open(struct fanout *f, struct subscriber *s, const struct fanout_stream *stream);

size_t fanout_count(const struct fanout *f);

/* The sink of a subscriber that was blocked takes bytes again. */
void fanout_writable(struct fanout *f, struct subscriber *s);

/* The peer is gone, or broke the protocol: the stream is over at once. */
void fanout_gone(struct fanout *f, struct subscriber *s, enum leave_reason reason);

/* The peer asked to end: the stream's end is sent behind the record it is in. */
void fanout_end(struct fanout *f, struct subscriber *s, enum leave_reason reason);

/* Nobody was there, nothing was read: go on at the newest row. */
enum eventlog_status fanout_wake(struct fanout *f);

/*
 * Reads what is new and hands it out. *news says whether a commit became visible since the last look,
 * with rows for us or without. When it stops early to let
 * others have their turn, it asks for one. On a fault streams stay, and wait.
 */
enum eventlog_status fanout_look(struct fanout *f, bool *news);

/* The rows may have changed without a commit: the next look reads them in any case. */
void fanout_distrust(struct fanout *f);

/* The database was replaced: every stream gets a gap, and goes on where it can. */
enum eventlog_status fanout_replaced(struct fanout *f);

/* Gives those that are behind their turns, for some milliseconds at most. */
void fanout_turn(struct fanout *f);

/* Heartbeats, ages, stalls, grants: to be called every limits.sweep_ms. */
void fanout_sweep(struct fanout *f);

/* Ends all streams politely. Those whose peers take bytes are gone soon. */
void fanout_shutdown(struct fanout *f);

/* A reconnection time with this process's jitter. */
uint32_t fanout_retry(const struct fanout *f);

/* The id up to which rows have been read. */
int64_t fanout_newest(const struct fanout *f);

#endif
