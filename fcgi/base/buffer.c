#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST = 256 };

void buffer_init(struct buffer *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void buffer_free(struct buffer *b)
{
	free(b->data);
	buffer_init(b, b->max);
}

void buffer_clear(struct buffer *b)
{
	b->length = 0;
	b->failed = b->full = false;
}

uint8_t *buffer_reserve(struct buffer *b, size_t more)
{
	size_t capacity = b->capacity ? b->capacity : BUFFER_FIRST;
	uint8_t *data;

	if (more > b->max - b->length) {
		b->failed = b->full = true;
		return NULL;
	}
	if (b->data && more <= b->capacity - b->length)
		return b->data + b->length;
	while (capacity < b->length + more)
		capacity = capacity > b->max / 2 ? b->max : capacity * 2;
	if (!(data = realloc(b->data, capacity))) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->capacity = capacity;
	return b->data + b->length;
}

bool buffer_memory_is_there(size_t bytes)
{
	/* volatile, or a compiler may remove both malloc() and free(). */
	void *volatile probe = malloc(bytes);

	free(probe);
	return probe != NULL;
}

bool buffer_append(struct buffer *b, const void *bytes, size_t length)
{
	uint8_t *room = buffer_reserve(b, length);

	if (!room)
		return false;
	if (length)
		memcpy(room, bytes, length);
	b->length += length;
	return true;
}

bool buffer_text(struct buffer *b, const char *text)
{
	return buffer_append(b, text, strlen(text));
}

bool buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args, again;
	uint8_t *room;
	int length;

	va_start(args, format);
	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	room = length < 0 ? NULL : buffer_reserve(b, (size_t)length + 1);
	if (room) {
		vsnprintf((char *)room, (size_t)length + 1, format, again);
		b->length += (size_t)length;
	} else {
		b->failed = true;
	}
	va_end(again);
	return room != NULL;
}
