#include "stream/window.h"

#include <stdlib.h>
#include <string.h>

/*
 * A ring of bytes. Pieces are placed one behind the other, and freed in the same order. A piece is
 * never split: one that does not fit before the end begins at the start.
 */
struct ring {
	uint8_t *bytes;
	size_t size;
	size_t head; /* where the next piece goes */
	size_t tail; /* where the oldest piece begins */
	size_t pieces;
};

struct window {
	struct window_entry *entries; /* entry n is at n % max_entries */
	size_t max_entries;
	uint64_t first, next;
	int64_t base, last;
	struct ring records;
	struct ring names; /* separate, so that neighbouring records are one piece of memory */
};

struct window *window_new(size_t bytes, size_t entries)
{
	struct window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->max_entries = entries;
	w->records.size = bytes;
	w->names.size = entries * 32;
	w->entries = calloc(entries, sizeof(*w->entries));
	w->records.bytes = malloc(w->records.size);
	w->names.bytes = malloc(w->names.size);
	if (!w->entries || !w->records.bytes || !w->names.bytes) {
		window_free(w);
		return NULL;
	}
	return w;
}

static void drop_oldest(struct window *w);

void window_free(struct window *w)
{
	if (!w)
		return;
	while (w->first < w->next)
		drop_oldest(w);
	free(w->entries);
	free(w->records.bytes);
	free(w->names.bytes);
	free(w);
}

/* Where a piece of this length would go; -1 if older ones must be freed first. */
static ptrdiff_t ring_place(const struct ring *r, size_t length)
{
	if (r->pieces == 0)
		return length <= r->size ? 0 : -1;
	if (r->head > r->tail) {
		if (length <= r->size - r->head)
			return (ptrdiff_t)r->head;
		return length <= r->tail ? 0 : -1;
	}
	return length <= r->tail - r->head ? (ptrdiff_t)r->head : -1;
}

/* Takes a place that ring_place() found. */
static uint8_t *ring_take(struct ring *r, size_t length)
{
	size_t at = (size_t)ring_place(r, length);

	if (r->pieces++ == 0)
		r->tail = at;
	r->head = at + length;
	return r->bytes + at;
}

/* Frees the oldest piece. next: where the one after it begins; NULL if it was the last. */
static void ring_give(struct ring *r, const uint8_t *next)
{
	r->pieces--;
	if (next)
		r->tail = (size_t)(next - r->bytes);
}

static struct window_entry *entry_at(const struct window *w, uint64_t sequence)
{
	return &w->entries[sequence % w->max_entries];
}

static bool is_in_ring(const struct window_entry *e)
{
	return e->bytes && !e->own;
}

/* The next entry whose record is in the ring, not in memory of its own. */
static const uint8_t *next_in_ring(const struct window *w, uint64_t sequence)
{
	for (; sequence < w->next; sequence++)
		if (is_in_ring(entry_at(w, sequence)))
			return entry_at(w, sequence)->bytes;
	return NULL;
}

static void drop_oldest(struct window *w)
{
	struct window_entry *e = entry_at(w, w->first++);

	w->base = e->id;
	free(e->own);
	if (is_in_ring(e))
		ring_give(&w->records, next_in_ring(w, w->first));
	ring_give(&w->names,
		w->first < w->next ? (const uint8_t *)entry_at(w, w->first)->channel : NULL);
}

void window_reset(struct window *w, int64_t base)
{
	while (w->first < w->next)
		drop_oldest(w);
	w->base = w->last = base;
}

int64_t window_base(const struct window *w)
{
	return w->base;
}

int64_t window_last(const struct window *w)
{
	return w->last;
}

void window_advance(struct window *w, int64_t id)
{
	if (id > w->last)
		w->last = id;
}

/* Pushes out entries until there is room for a record and its names. */
static void make_room(struct window *w, size_t record, size_t names)
{
	while (w->first < w->next &&
		(w->next - w->first == w->max_entries || ring_place(&w->records, record) < 0 ||
			ring_place(&w->names, names) < 0))
		drop_oldest(w);
}

static void place_names(struct window_entry *e, uint8_t *room, const struct window_entry *from)
{
	memcpy(room, from->channel, from->channel_length);
	e->channel = (const char *)room;
	e->event = NULL;
	if (from->event) {
		memcpy(room + from->channel_length, from->event, from->event_length);
		e->event = (const char *)room + from->channel_length;
	}
}

bool window_append(struct window *w, const struct window_entry *from)
{
	size_t names = (size_t)from->channel_length + (from->event ? from->event_length : 0) + 1;
	bool large = from->length > w->records.size / 2;
	struct window_entry entry = *from;
	uint8_t *room;

	entry.own = large ? malloc(from->length) : NULL;
	/* A view can make names of any length. A row with very long ones is replayed, not kept. */
	if ((large && !entry.own) || names > w->names.size) {
		free(entry.own);
		window_reset(w, from->id);
		return false;
	}
	/* A large record has memory of its own, and then it is alone in the window. */
	make_room(w, large ? w->records.size + 1 : from->length, names);
	if (from->bytes) {
		room = large ? entry.own : ring_take(&w->records, from->length);
		memcpy(room, from->bytes, from->length);
		entry.bytes = room;
		entry.hash = window_hash(entry.bytes, entry.length);
	}
	place_names(&entry, ring_take(&w->names, names), from);
	*entry_at(w, w->next++) = entry;
	w->last = entry.id;
	return true;
}

uint64_t window_first(const struct window *w)
{
	return w->first;
}

uint64_t window_next(const struct window *w)
{
	return w->next;
}

const struct window_entry *window_at(const struct window *w, uint64_t sequence)
{
	return entry_at(w, sequence);
}

bool window_find(const struct window *w, int64_t cursor, uint64_t *sequence)
{
	uint64_t low = w->first, high = w->next;

	if (cursor < w->base)
		return false;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (entry_at(w, middle)->id > cursor)
			high = middle;
		else
			low = middle + 1;
	}
	*sequence = low;
	return true;
}

uint64_t window_hash(const uint8_t *bytes, size_t length)
{
	uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) ^ length;
	uint64_t word;

	for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
		hash ^= hash >> 32;
	}
	for (word = 0; length > 0; length--)
		word = word << 8 | bytes[length - 1];
	hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
	return hash ^ hash >> 29;
}
