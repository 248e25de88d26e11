/*
 * wire: what a web server writes to a FastCGI responder, for tests. Link buffer.
 *
 * Written from sections 3.3, 3.4 and 5 of the FastCGI Specification, and independent of fcgi/
 * except buffer, so that a test compares two readings of the standard.
 */
#ifndef ROWTAIL_TESTS_WIRE_H
#define ROWTAIL_TESTS_WIRE_H

#include <fastcgi.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"

enum { WIRE_MAX = 16 * 1024 * 1024, WIRE_PADDING_BYTE = 0xa5 };

static inline void wire_header(
	struct buffer *b, int type, unsigned id, size_t content, unsigned padding)
{
	const uint8_t header[FCGI_HEADER_LEN] = {
		FCGI_VERSION_1, (uint8_t)type, (uint8_t)(id >> 8), (uint8_t)id,
		(uint8_t)(content >> 8), (uint8_t)content, (uint8_t)padding,
		0xff, /* reserved: to be ignored */
	};

	buffer_append(b, header, sizeof(header));
}

/* A record. Its padding is not zeros, which could hide errors. */
static inline void wire_record(struct buffer *b, int type, unsigned id, const void *content,
	size_t length, unsigned padding)
{
	uint8_t filler[255];

	memset(filler, WIRE_PADDING_BYTE, sizeof(filler));
	wire_header(b, type, id, length, padding);
	buffer_append(b, content, length);
	buffer_append(b, filler, padding);
}

/* The size of the record whose header is at p. */
static inline size_t wire_record_size(const uint8_t *p)
{
	return FCGI_HEADER_LEN + ((size_t)p[4] << 8 | p[5]) + p[6];
}

/* The empty record that ends a stream. */
static inline void wire_end(struct buffer *b, int type, unsigned id)
{
	wire_header(b, type, id, 0, 0);
}

static inline void wire_begin(struct buffer *b, unsigned id, unsigned role, uint8_t flags)
{
	const uint8_t body[8] = {(uint8_t)(role >> 8), (uint8_t)role, flags};

	wire_record(b, FCGI_BEGIN_REQUEST, id, body, sizeof(body), 0);
}

/* The length of a name or a value; wide: in four bytes even if one is enough. */
static inline void wire_length(struct buffer *b, uint32_t length, bool wide)
{
	const uint8_t four[] = {(uint8_t)(length >> 24 | 0x80), (uint8_t)(length >> 16),
		(uint8_t)(length >> 8), (uint8_t)length};

	if (wide || length > 127)
		buffer_append(b, four, sizeof(four));
	else
		buffer_append(b, four + 3, 1);
}

/* A name-value pair of two strings. */
static inline void wire_pair(struct buffer *b, const char *name, const char *value)
{
	wire_length(b, (uint32_t)strlen(name), false);
	wire_length(b, (uint32_t)strlen(value), false);
	buffer_text(b, name);
	buffer_text(b, value);
}

/* A stream of records of `chunk` content bytes each, and its end. */
static inline void wire_stream(struct buffer *b, int type, unsigned id,
	const struct buffer *content, size_t chunk, unsigned padding)
{
	size_t at, step;

	for (at = 0; at < content->length; at += step) {
		step = content->length - at < chunk ? content->length - at : chunk;
		wire_record(b, type, id, content->data + at, step, padding);
	}
	wire_end(b, type, id);
}

/* Pads every record of a well-formed request, including the empty ones. */
static inline void wire_pad(struct buffer *b, unsigned padding)
{
	struct buffer padded;
	const uint8_t *p;

	buffer_init(&padded, b->max);
	for (p = b->data; p < b->data + b->length; p += wire_record_size(p))
		wire_record(&padded, p[1], (unsigned)p[2] << 8 | p[3], p + FCGI_HEADER_LEN,
			(size_t)p[4] << 8 | p[5], padding);
	buffer_free(b);
	*b = padded;
}

/* Appends the contents of all records of one type in a well-formed request. */
static inline void wire_contents(
	const uint8_t *bytes, size_t length, int type, struct buffer *contents)
{
	const uint8_t *p;

	for (p = bytes; p < bytes + length; p += wire_record_size(p))
		if (p[1] == type)
			buffer_append(contents, p + FCGI_HEADER_LEN, (size_t)p[4] << 8 | p[5]);
}

/*
 * Reads the length at **p in a well-formed request, and moves *p past it.
 */
static inline size_t wire_take_length(const uint8_t **p)
{
	size_t length = *(*p)++;

	if (length < 128)
		return length;
	length = (length - 128) << 24 | (size_t)(*p)[0] << 16 | (size_t)(*p)[1] << 8 | (*p)[2];
	*p += 3;
	return length;
}

#endif
