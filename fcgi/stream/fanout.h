/*
 * fanout: decides which stream has work, in what order, and with what budget.
 *
 * Owns the subscribers of this process (not their sinks) and the windows, and reads new rows into
 * the windows. Reads each row once and encodes it once per lane. A stream that waits for rows gets
 * them in one write. Streams that are behind take turns, so a client a million rows behind does not
 * delay the live ones. Does not use the loop, so that tests can drive it: it asks for turns by a
 * callback.
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

enum { FANOUT_FRAMINGS = 3 };

struct fanout_limits {
	int64_t heartbeat_ms;
	int64_t max_age_ms; /* 0: no limit; each stream gets a random 0 to 10% more */
	int64_t stall_ms;
	int64_t sweep_ms; /* how often fanout_sweep() is called */
	int64_t retry_ms, retry_jitter_ms;
	/*
	 * The framings whose streams share windows. NULL after the last. CGI has none: its only
	 * stream needs no window.
	 */
	const struct framing *shared[FANOUT_FRAMINGS];
};

/* Functions of fanout's owner. */
struct fanout_calls {
	/* Asks the owner to call fanout_turn() once, soon, after other work. */
	void (*want_turn)(void *context);
	/* A stream was opened. */
	void (*opened)(void *context);
	/*
	 * May this stream go on reading? If so, sets *again_ms to the clock_ms() at which to ask
	 * again. If not, sets *reason to LEAVE_REVOKED or LEAVE_EXPIRED, and fanout ends the stream
	 * with a `denied` record. NULL: every stream may.
	 */
	bool (*recheck)(
		void *context, struct subscriber *s, enum leave_reason *reason, int64_t *again_ms);
	/* A stream waits for the log, which cannot be read now. NULL: nobody has to know. */
	void (*waits)(void *context);
	/* A subscriber has left, but still has its group. Its sink has not been told yet. */
	void (*left)(void *context, struct subscriber *s);
	void *context;
};

/* Borrows the log until fanout_free(). NULL if there is no memory. */
struct fanout *fanout_new(
	struct eventlog *log, const struct fanout_limits *limits, const struct fanout_calls *calls);
/* All subscribers must have left before. */
void fanout_free(struct fanout *f);

/* The parts of a new stream. */
struct fanout_stream {
	struct sink *sink;
	struct filter *filter; /* taken over, even on failure */
	struct lane lane;
	bool bare; /* positions=0 */
	struct opening *opening; /* taken over, even on failure */
	struct access_session *session; /* for the recheck; not owned */
	struct census_entry *client; /* not owned */
	char *who; /* not owned */
	uint32_t retry_ms; /* this stream's reconnection time */
	struct poll *poll; /* taken over, even on failure; for a JSON answer, with its head */
};

/*
 * Begins an opening as opening_begin() does, in one transaction. If another log was restored into
 * the file, the streams that are open learn of it before.
 */
enum eventlog_status fanout_begin_opening(struct fanout *f, struct opening *o,
	const struct filter *filter, const struct position *asked, int64_t max_replay);

/*
 * Opens a stream in *s. The caller owns *s and keeps it until the sink is told `finished`. Sends
 * the head at once if the opening is done. False if there is no memory: then nothing was written,
 * and the sink is not told.
 */
bool fanout_open(struct fanout *f, struct subscriber *s, const struct fanout_stream *stream);

/* How many streams are open. */
size_t fanout_count(const struct fanout *f);

/* The sink of a blocked subscriber can take bytes again. */
void fanout_writable(struct fanout *f, struct subscriber *s);

/* The peer is gone or broke the protocol: ends the stream at once. */
void fanout_gone(struct fanout *f, struct subscriber *s, enum leave_reason reason);

/* The peer asked to end: sends the stream's end after the current record. */
void fanout_end(struct fanout *f, struct subscriber *s, enum leave_reason reason);

/* Begins at the newest row. Call it for the first client, before any row was read. */
enum eventlog_status fanout_wake(struct fanout *f);

/*
 * Reads new rows and hands them out. Sets *news if a commit has become visible since the last look,
 * with new rows or without. If it stops early to let others have a turn, it asks for another turn.
 * On a fault, streams stay open and wait.
 */
enum eventlog_status fanout_look(struct fanout *f, bool *news);

/*
 * Has the last look read everything, and is no other commit on its way? False if that is unknown.
 * Costs a system call.
 */
bool fanout_is_current(struct fanout *f);

/*
 * Has anything been committed since the last look, or does a stream wait for one? Also true if that
 * is unknown. Costs no system call.
 */
bool fanout_is_look_due(struct fanout *f);

/* Makes the next look read the database even if no commit is known. */
void fanout_doubt(struct fanout *f);

/* Makes the next look read the rows even without a commit, since they may have changed. */
void fanout_distrust(struct fanout *f);

/* The database was replaced: every stream gets a gap, and continues where it can. */
enum eventlog_status fanout_replaced(struct fanout *f);

/* Gives turns to the streams that are behind, for at most some milliseconds. */
void fanout_turn(struct fanout *f);

/* Handles heartbeats, ages, stalls and grants. Call it every limits.sweep_ms. */
void fanout_sweep(struct fanout *f);

/* Ends all streams gracefully. Those whose peers take bytes end soon. */
void fanout_shutdown(struct fanout *f);

/* A reconnection time with a random jitter. */
uint32_t fanout_retry(const struct fanout *f);

/* The id up to which rows have been read. */
int64_t fanout_newest(const struct fanout *f);

/* How many ids the slowest stream was behind at the last sweep; 0 without streams. */
int64_t fanout_lag(const struct fanout *f);

/*
 * Calls `each` for every channel or pattern that is followed, with the number of its streams, in no
 * order. `each` must not open or end a stream.
 */
void fanout_channels(const struct fanout *f,
	void (*each)(void *context, const char *channel, size_t length, size_t streams),
	void *context);

#endif
