/*
 * window: the hot end of the log: recent rows, encoded once, already framed.
 *
 * Pure. Owns a fixed amount of memory, in which new records push the oldest out; only a record too
 * large for it gets memory of its own, and is then alone in the window until newer ones come. It
 * covers the ids above window_base() up to window_last() without a hole: a row of that range that
 * is not in it did not exist. A row that nobody followed when it came may stand there without a record:
 * whoever wants it later has to replay it. A cursor inside is served from here, one below the base must
 * be replayed from the log. Entries have sequence numbers that only grow.
 */
#ifndef ROWTAIL_WINDOW_H
#define ROWTAIL_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window;

struct window_entry {
	int64_t id;
	const uint8_t
		*bytes; /* framed; valid until the entry is pushed out; NULL: no record is kept */
	uint32_t length; /* of bytes */
	uint32_t content; /* of what is framed */
	uint64_t hash; /* window_hash() of bytes */
	const char *channel; /* not terminated */
	const char *event; /* not terminated; NULL: none */
	uint16_t channel_length;
	uint16_t event_length;
	void *own; /* for window.c */
};

/* A window of `bytes` for records and at most `entries` of them; NULL without memory. */
struct window *window_new(size_t bytes, size_t entries);
void window_free(struct window *w);

/* Empties it; from now on it covers the ids above `base`. */
void window_reset(struct window *w, int64_t base);

int64_t window_base(const struct window *w);
int64_t window_last(const struct window *w);

/* No row up to `id` is still to come: window_last() becomes at least `id`. */
void window_advance(struct window *w, int64_t id);

/*
 * Adds a record; id is above window_last(). Of entry, id, bytes, length, content, channel and event
 * (with lengths) are read, and copied. False when there is no memory: then the window is empty and
 * covers the ids above this one, so that its readers replay the row from the log.
 */
bool window_append(struct window *w, const struct window_entry *entry);

/* Sequence numbers: entries are first <= n < next. */
uint64_t window_first(const struct window *w);
uint64_t window_next(const struct window *w);

/* The entry of a sequence number within first..next. Borrowed until it is pushed out. */
const struct window_entry *window_at(const struct window *w, uint64_t sequence);

/*
 * Finds where a cursor goes on: *sequence becomes the first entry with an id above it
 * (window_next() if all are older). False when the cursor is below the base: replay from the log.
 */
bool window_find(const struct window *w, int64_t cursor, uint64_t *sequence);

/* A hash by which a record that was cut is known again. Not for security. */
uint64_t window_hash(const uint8_t *bytes, size_t length);

#endif
