/*
 * buffer: bytes that grow up to a maximum, which is set when the buffer is made.
 *
 * Owns its memory. Never does I/O, never aborts. An append that would exceed the maximum, or for
 * which there is no memory, leaves the buffer unchanged and sets `failed`. So a caller can append
 * many times and check once.
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
	bool full; /* failed because of max, not because there is no memory */
};

/* An empty buffer that may grow to max bytes. Allocates nothing. */
void buffer_init(struct buffer *b, size_t max);

/* Frees the memory. The buffer is then as after buffer_init(). */
void buffer_free(struct buffer *b);

/* Empties the buffer and resets `failed` and `full`; keeps the memory. */
void buffer_clear(struct buffer *b);

/*
 * Makes room for `more` bytes after the end. Returns where they begin, or NULL (and sets `failed`)
 * when there is no room. The caller writes there and adds to `length`. Valid until the next call.
 */
uint8_t *buffer_reserve(struct buffer *b, size_t more);

/*
 * True if so many bytes can be allocated now. Call it before a library that aborts when memory
 * runs out.
 */
bool buffer_memory_is_there(size_t bytes);

/* Appends bytes; false (and `failed`) when they do not fit. */
bool buffer_append(struct buffer *b, const void *bytes, size_t length);

/* Appends a string without its NUL. */
bool buffer_text(struct buffer *b, const char *text);

/* Appends as printf(3) does, without a NUL. */
bool buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
