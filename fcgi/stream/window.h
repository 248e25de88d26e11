/*
 * window: the newest rows of the log, encoded once and already framed.
 *
 * Pure. Owns a fixed amount of memory, in which new records push out the oldest. A record too large
 * for it gets memory of its own, and is alone in the window until newer ones come. The window
 * covers the ids above window_base() up to window_last() without a hole: a row in that range that
 * is not in the window does not exist. If nobody followed a row when it came, its entry may have no
 * record. A stream that wants it later must replay it. The window serves a cursor inside the range.
 * A cursor below the base must replay from the log. Entries have sequence numbers that only grow.
 */
#ifndef ROWTAIL_WINDOW_H
#define ROWTAIL_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window;

struct window_entry {
	int64_t id;
	const uint8_t *bytes; /* framed; valid until the entry is pushed out; NULL: not kept */
	uint32_t length; /* of bytes */
	uint32_t content; /* length without frames */
	uint64_t hash; /* window_hash() of bytes */
	const char *channel; /* not terminated */
	const char *event; /* not terminated; NULL: none */
	uint16_t channel_length;
	uint16_t event_length;
	void *own; /* for window.c */
};

/* A window with `bytes` for records and at most `entries` of them. NULL if there is no memory. */
struct window *window_new(size_t bytes, size_t entries);
void window_free(struct window *w);

/* Empties the window. From now on it covers the ids above `base`. */
void window_reset(struct window *w, int64_t base);

/* The window covers the ids above its base, up to its last one. */
int64_t window_base(const struct window *w);
int64_t window_last(const struct window *w);

/* Raises window_last() to at least `id`, because no more rows up to it will come. */
void window_advance(struct window *w, int64_t id);

/*
 * Adds a record, whose id must be above window_last(). Copies the members id, bytes, length,
 * content, channel and event (with lengths) of entry. False if there is no memory: the window is
 * then empty and covers the ids above this one, so that its readers replay the row from the log.
 */
bool window_append(struct window *w, const struct window_entry *entry);

/* Sequence numbers n of the entries: first <= n < next. */
uint64_t window_first(const struct window *w);
uint64_t window_next(const struct window *w);

/* The entry with a sequence number in first..next. Borrowed until it is pushed out. */
const struct window_entry *window_at(const struct window *w, uint64_t sequence);

/*
 * Finds where a cursor continues: *sequence becomes the first entry with an id above it
 * (window_next() if all are older). False if the cursor is below the base: replay from the log.
 */
bool window_find(const struct window *w, int64_t cursor, uint64_t *sequence);

/* A hash that identifies a record that was cut. Not for security. */
uint64_t window_hash(const uint8_t *bytes, size_t length);

#endif
