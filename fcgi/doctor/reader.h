/*
 * reader: reads an event stream as it comes, in any pieces, and notes what an EventSource would
 * see.
 *
 * Pure. Owns its buffers; lines and data over READER_MAX are cut. Source: HTML Living Standard,
 * 9.2.6 (interpreting an event stream).
 */
#ifndef ROWTAIL_DOCTOR_READER_H
#define ROWTAIL_DOCTOR_READER_H

#include "base/buffer.h"

enum { READER_MAX = 64 << 10 };

struct reader_event {
	const char *type, *data, *id; /* with a NUL; "" where there is none */
};

struct reader {
	struct buffer line, data;
	char type[256], id[64];
	bool has_data;
	bool after_cr, begun;
	void *context;
	void (*event)(void *context, const struct reader_event *event);
	void (*comment)(void *context, const char *text);
	void (*retry)(void *context, int64_t ms);
	/* A line that is no field of the standard. */
	void (*stray)(void *context, const char *line);
};

/* Begins. The caller sets context and the four functions. */
void reader_init(struct reader *r);

/* Takes bytes, and calls the functions for what is complete. */
void reader_feed(struct reader *r, const char *bytes, size_t length);

/* Frees the buffers. */
void reader_free(struct reader *r);

#endif
