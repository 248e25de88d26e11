/*
 * opening: where a stream begins, from what its client asked for.
 *
 * Owns the rules of positions (interface, sections 3 and 4): a position that holds, one that does
 * not, none, the newest N, at most so many records back. Looks into the log, a bounded bit at a
 * time.
 */
#ifndef ROWTAIL_OPENING_H
#define ROWTAIL_OPENING_H

#include <stdbool.h>
#include <stdint.h>

#include "log/eventlog.h"
#include "request/request.h"

struct opening {
	bool done;
	int64_t id; /* when done: the stream goes on after this id */
	bool gap; /* the first record is a gap, for `reason` */
	enum sse_gap reason;
	int64_t deletion; /* no gap is owed for deletions up to this one, or it is this one */
	struct eventlog_bounds bounds;
	char requested[REQUEST_ID_TEXT_MAX + 1]; /* for the gap */
	int64_t limit; /* --max-replay, 0: none */
	struct eventlog_seek seek;
};

/*
 * Begins: whether the position holds is known at once, and most often all. Anything but
 * EVENTLOG_OK: the log could not be read.
 */
enum eventlog_status opening_begin(struct opening *o, struct eventlog *log, const struct filter *f,
	const struct request *r, int64_t max_replay);

/* Goes on looking, one bounded step; to be called until `done`. */
enum eventlog_status opening_continue(
	struct opening *o, struct eventlog *log, const struct filter *f);

#endif
