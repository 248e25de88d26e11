/*
 * buffer: bytes that grow up to a maximum that is set when the buffer is made.
 *
 * Owns its memory. Never does I/O, never aborts: an append that would pass the maximum, or for
 * which there is no memory, leaves the buffer as it was and sets `failed`, so that a caller may
 * append many times and look once.
 */
#ifndef ROWTAIL_BUFFER_H
#define ROWTAIL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data; /* NULL until the first append */
	size_t length;
	size_t capacity;
	size_t max; /* length never passes this */
	bool failed; /* an append did not fit; stays set until buffer_clear() */
};

/* An empty buffer that may grow to max bytes. Allocates nothing. */
void buffer_init(struct buffer *b, size_t max);

/* Gives the memory back; the buffer is then as after buffer_init(). */
void buffer_free(struct buffer *b);

/* Empties it and forgets a failure; keeps the memory. */
void buffer_clear(struct buffer *b);

/*
 * Makes room for `more` bytes behind the end and returns where they begin, or NULL (and `failed`)
 * when there is none. The caller writes there and adds to `length`. Valid until the next call.
 */
uint8_t *buffer_reserve(struct buffer *b, size_t more);

/*
 * Is there memory for so many bytes, at this moment? For libraries that abort where there is none: what
 * was there a moment ago is there for them.
 */
bool buffer_memory_is_there(size_t bytes);

/* Appends bytes; false (and `failed`) when they do not fit. */
bool buffer_append(struct buffer *b, const void *bytes, size_t length);

/* Appends a string without its NUL. */
bool buffer_text(struct buffer *b, const char *text);

/* Appends as printf(3) does, without a NUL. */
bool buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
