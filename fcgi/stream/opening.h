/*
 * opening: where a stream begins, from what its client asked for.
 *
 * Owns the rules of positions (interface, sections 3 and 4): a position that holds, one that does
 * not, none, the newest N, at most so many records back. Looks into the log, a bounded bit at a
 * time. It goes with the request from the responder, which makes it, to the stream, which has it
 * until its first record is sent.
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
	int64_t id; /* when done: the stream goes on after this id */
	bool gap; /* the first record is a gap, for `reason` */
	enum gap reason;
	int64_t deletion; /* no gap is owed for deletions up to this one, or it is this one */
	struct eventlog_bounds bounds;
	char requested[POSITION_TEXT_MAX + 1]; /* for the gap */
	int64_t limit; /* --max-replay, 0: none */
	struct eventlog_seek seek;
	int64_t before; /* as asked; 0: none */
	bool looks_older; /* the seek looks for a row before those found */
	bool older; /* when done, and with `before`: there is one */
	/* Status and header fields with the empty line: they go out with the first record, or before. */
	struct buffer head;
	bool head_sent;
};

/* All zero. NULL without memory. */
struct opening *opening_new(void);
void opening_free(struct opening *o);

/*
 * Begins anew: whether the position holds is known at once, and most often all. Anything but
 * EVENTLOG_OK: the log could not be read.
 */
enum eventlog_status opening_begin(struct opening *o, struct eventlog *log, const struct filter *f,
	const struct position *asked, int64_t max_replay);

/* Goes on looking, one bounded step; to be called until `done`. */
enum eventlog_status opening_continue(
	struct opening *o, struct eventlog *log, const struct filter *f);

#endif
