/*
 * poll: a JSON answer that is being built (format=json): it collects rows until it is full.
 *
 * Pure. Owns the bounds of an answer and its text (rowtail(8), JSON). Knows no log, no sink
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
	POLL_BYTES_ALONE = 4 << 20, /* a row of this size gets an answer of its own */
	POLL_ROWS_DROPPED = 8, /* a page may read so many rows in vain: see poll_overflows() */
};

/* What a client asks for. */
struct poll_ask {
	int64_t limit; /* rows: 1 to POLL_ROWS_MAX */
	int64_t wait_ms; /* for the first row; 0: not at all */
	int64_t before; /* only rows below this id, the newest of them; -1: rows after a position */
	bool at_once; /* asks for no position and no rows: the answer says where to begin */
};

struct poll {
	int64_t limit, wait_ms, before;
	bool at_once;
	bool head_sent;
	bool has_gap;
	bool waits; /* it has all there is, and waits for the first row */
	bool overflows; /* see poll_overflows() */
	bool older; /* there are rows before the first one; only with `before` */
	int64_t asked_limit; /* what the client asked for; `limit` becomes the rows of the page */
	int64_t page_first; /* all rows of the page are at or above this id; only with `before` */
	int64_t page_end; /* position of the answer; -1: not known yet; only with `before` */
	int64_t last; /* id of the last row that was added */
	int64_t begun_ms; /* clock_awake_ms() when it was opened */
	size_t count; /* rows in `rows` */
	struct buffer rows; /* objects, each followed by a comma */
	size_t start; /* where the first of them begins */
	uint32_t *lengths; /* of each object and comma, POLL_ROWS_MAX of them; only with `before` */
	size_t first; /* which of `lengths` is the first row's */
	struct buffer gap; /* the object */
	size_t head_length, later_length;
	uint8_t texts[]; /* head, then later */
};

/* Without texts: poll_set_texts() has to follow. NULL if there is no memory. */
struct poll *poll_new(const struct poll_ask *ask);
/* Forgets `later`, which a waiting poll does not need. Returns the poll, which may have moved. */
struct poll *poll_shrink(struct poll *p);

/*
 * Sets both texts: the head of the answer with its empty line, and a whole answer that asks the
 * client to come back. *p may move. False if there is no memory; then the poll is unchanged.
 */
bool poll_set_texts(struct poll **p, const struct buffer *head, const struct buffer *later);

void poll_free(struct poll *p);

/* The texts, of head_length and later_length bytes. Borrowed until *p changes. */
const uint8_t *poll_head(const struct poll *p);
const uint8_t *poll_later(const struct poll *p);

/* Is the answer full? A page of `before` that is too large loses its oldest rows instead. */
bool poll_is_full(const struct poll *p);

/* Does an object of this length fit into the answer? The first one always does. */
bool poll_has_room(const struct poll *p, size_t length);

/* Adds a row, as an object. False if there is no memory; then nothing has changed. */
bool poll_add(struct poll *p, const uint8_t *object, size_t length);

/*
 * If a page has lost rows and many are still to come, most of its rows will be pushed out. Returns
 * with how many of the newest rows to begin again: half of those to come. 0: continue.
 */
int64_t poll_overflows(const struct poll *p);

/* Removes all rows, and frees their memory. The next row is the first of the answer. */
void poll_forget_rows(struct poll *p);

/* Removes all rows of a page in favour of newer ones. */
void poll_drop_rows(struct poll *p);

/* Adds a gap to the answer, in place of the one it has. False if there is no memory. */
bool poll_set_gap(struct poll *p, const char *requested, const struct eventlog_bounds *bounds,
	enum gap reason);

/*
 * Appends the answer, with the head unless it was sent. position: where the client continues.
 * more: there are rows after it or, with `before`, older ones. end: there will never be any after
 * it. Fails as buffer_append() does.
 */
void poll_write(const struct poll *p, struct buffer *out, int64_t position, bool more, bool end);

#endif
