/*
 * poll: a JSON answer that is being built (format=json): it collects rows until it is full.
 *
 * Pure. Owns the bounds of an answer and its text (interface, section 4a). Knows no log, no sink
 * and no clock: fanout_poll.c brings the rows, and sends the answer.
 */
#ifndef ROWTAIL_POLL_H
#define ROWTAIL_POLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "log/eventlog.h"
#include "log/gap.h"

enum {
	POLL_ROWS_MAX = 1000,
	POLL_BYTES = 1 << 20, /* an answer is full at this size; a single row may be larger */
};

/* What a client asks for, and what its answer begins with. */
struct poll_ask {
	int64_t limit; /* rows: 1 to POLL_ROWS_MAX */
	int64_t wait_ms; /* for the first row; 0: not at all */
	int64_t before; /* only rows below this id, the newest of them; -1: rows behind a position */
	bool at_once; /* neither a position nor rows were asked for: the answer is where to begin */
	const uint8_t *head; /* of the answer, with the empty line; borrowed */
	size_t head_length;
	const uint8_t *later; /* a whole answer that asks the client to come back; borrowed */
	size_t later_length;
};

struct poll {
	int64_t limit, wait_ms, before;
	bool at_once;
	bool head_sent;
	bool has_gap;
	bool waits; /* it has all there is, and waits for the first row */
	bool older; /* there are rows before the first one; only with `before` */
	int64_t page_end; /* position of the answer; only with `before` */
	size_t count; /* rows in `rows` */
	struct buffer rows; /* objects, each followed by a comma */
	size_t start; /* where the first of them begins */
	uint32_t *
		lengths; /* of each object with its comma, POLL_ROWS_MAX of them; only with `before` */
	size_t first; /* which of `lengths` is the first row's */
	struct buffer gap; /* the object */
	size_t head_length, later_length;
	uint8_t texts[]; /* head, then later */
};

/* NULL if there is no memory. */
struct poll *poll_new(const struct poll_ask *ask);
/* Forgets `later`, which a waiting poll does not need. Returns the poll, which may have moved. */
struct poll *poll_shrink(struct poll *p);

void poll_free(struct poll *p);

const uint8_t *poll_head(const struct poll *p);
const uint8_t *poll_later(const struct poll *p);

/*
 * Does the answer need no further row? A page of `before` that is too large loses its oldest rows
 * instead.
 */
bool poll_is_full(const struct poll *p);

/* Adds a row, as an object. False if there is no memory. */
bool poll_add(struct poll *p, const uint8_t *object, size_t length);

/* Removes all rows. */
void poll_forget_rows(struct poll *p);

/* Adds a gap to the answer. False if it has one already, or if there is no memory. */
bool poll_add_gap(struct poll *p, const char *requested, const struct eventlog_bounds *bounds,
	enum gap reason);

/*
 * Appends the answer, with the head unless it was sent. position: where the client continues.
 * more: there are rows after it or, with `before`, older ones. Fails as buffer_append() does.
 */
void poll_write(const struct poll *p, struct buffer *out, int64_t position, bool more);

#endif
