/*
 * opening: finds where a stream begins, from what its client asked for.
 *
 * Owns the rules of positions (rowtail(8), REQUESTS and STREAM): a valid position, an invalid one,
 * none, the newest N, at most N records back. Reads the log, a bounded number of rows at a time.
 * The responder creates it and passes it to the stream, which keeps it until its first record is
 * sent.
 */
#ifndef ROWTAIL_OPENING_H
#define ROWTAIL_OPENING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "log/eventlog.h"
#include "log/position.h"

struct opening {
	bool done;
	int64_t id; /* when done: the stream continues after this id */
	bool gap; /* the first record is a gap, for `reason` */
	enum gap reason;
	int64_t deletion; /* deletions up to this one are covered by the gap, or need none */
	int64_t gone; /* when done: wanted rows after `id` were deleted, up to this one; 0: none */
	struct eventlog_bounds bounds;
	char requested[POSITION_TEXT_MAX + 1]; /* for the gap */
	/*
	 * All channels have ended (eventlog_ended()) when the search began; 0: they have not. Valid
	 * from the beginning.
	 */
	int64_t ended;
	int64_t limit; /* --max-replay, 0: none */
	struct eventlog_seek seek;
	int64_t before; /* from the request; 0: none */
	int64_t found; /* when done, and with `before`: rows of the page */
	bool looks_older; /* the seek looks for a row before the page */
	bool older; /* when done, and with `before`: there is such a row */
	/*
	 * The position is ahead of a copy (log/copied.h), which may get there: until this
	 * clock_ms(), or until the copy has been found complete `looks` times. 0: it does not wait.
	 */
	int64_t waits_until_ms;
	int64_t looks;
	int64_t version; /* eventlog_version() when it last looked */
	/* Status and header fields with the empty line; sent with the first record or before it. */
	struct buffer head;
	bool head_sent;
};

/* Returns an opening with all fields zero. NULL if there is no memory. */
struct opening *opening_new(void);
void opening_free(struct opening *o);

/*
 * Begins the search, and usually completes it at once. Finds out in any case whether the position
 * is valid. If the result is not EVENTLOG_OK, the log could not be read.
 */
enum eventlog_status opening_begin(struct opening *o, struct eventlog *log, const struct filter *f,
	const struct position *asked, int64_t max_replay);

/* Has the client everything of channels that have ended, so that there is nothing to send? */
bool opening_is_over(const struct opening *o);

/*
 * Continues the search by one bounded step. Call it until `done`. EVENTLOG_BUSY: call it again
 * after the next commit.
 */
enum eventlog_status opening_continue(
	struct opening *o, struct eventlog *log, const struct filter *f);

#endif
