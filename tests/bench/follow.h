/*
 * follow: one event stream, checked line by line.
 *
 * Knows the stream's position and checks every record against it: ids must be consecutive, and each
 * payload must match its id. Errors are counted in the tally, and the stream continues from there.
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

struct follow {
	int64_t position; /* the newest id this stream has reached; -1 before the first record */
	int64_t id; /* of the record being read; -1: none yet */
	struct payload payload; /* of that record */
	enum { FOLLOW_MESSAGE, FOLLOW_POSITION, FOLLOW_GAP } kind;
	uint8_t data_lines;
	bool whole; /* the payload is well formed and as long as it says */
};

void follow_init(struct follow *f);

/*
 * Takes one line, like answer_line_fn. now_ns: when it was read.
 */
void follow_line(struct follow *f, const char *text, size_t have, size_t total, int64_t now_ns,
	struct tally *t);

#endif
