/*
 * follow: one event stream, checked line by line.
 *
 * Knows the stream's position and checks every record against it: no id of its channel may be
 * missing, and each payload must match its id. A peer's records have the ids of their payloads.
 * Errors are counted in the tally, and the stream continues from there.
 * Does no I/O.
 *
 * Source: HTML Standard, section 9.2.6 (interpreting an event stream), for a server that ends its
 * lines with LF.
 */
#ifndef BENCH_FOLLOW_H
#define BENCH_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload.h"
#include "tally.h"

/* Which rows a stream gets. */
struct follow_plan {
	int64_t channels; /* those whose ids, divided by this, leave the same rest; 1: all */
	bool any_id; /* a peer's: its ids mean nothing here, and it sends no position record */
	int64_t start; /* of a peer: the position at which it begins */
};

struct follow {
	const struct follow_plan *plan; /* borrowed */
	int64_t rest;
	int64_t position; /* the newest id this stream has reached; -1 before the first record */
	int64_t id; /* of the record being read; -1: none yet */
	struct payload payload; /* of that record */
	enum { FOLLOW_MESSAGE, FOLLOW_POSITION, FOLLOW_GAP } kind;
	uint8_t data_lines;
	bool whole; /* the payload is well formed and as long as it says */
};

/* rest: 0 to plan->channels - 1; the stream gets the ids that leave it. */
void follow_init(struct follow *f, const struct follow_plan *plan, int64_t rest);

/*
 * Takes one line, like answer_line_fn. now_ns: when it was read.
 */
void follow_line(struct follow *f, const char *text, size_t have, size_t total, int64_t now_ns,
	struct tally *t);

#endif
