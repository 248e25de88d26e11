/*
 * sse: encodes a row as the bytes of an event stream.
 *
 * Pure. Owns every byte after the head of a stream: records of rows, `position`, `gap` and `denied`
 * records, heartbeats and reconnection times (rowtail(8), STREAM). No content of a row can forge
 * a field: line breaks of all three kinds split data into lines, and are replaced in an event type;
 * ill-formed UTF-8 becomes U+FFFD; NUL is data like any other character.
 *
 * Source: HTML standard, section 9.2 "Server-sent events", 9.2.5 (parsing an event stream).
 */
#ifndef ROWTAIL_SSE_H
#define ROWTAIL_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "log/gap.h"
#include "log/row.h"

/*
 * Appends the record of a row: event, retry, a data line for each line of the payload, or
 * (envelope) one data line of JSON, and last its id. Some clients keep an id as soon as its line
 * arrives. If such a client is cut off inside the record, it must not hold the id of a row that it
 * never delivered. Fails as buffer_append() does.
 */
void sse_row(struct buffer *out, const struct row *row, bool envelope);

enum { SSE_ROW_END_MAX = 32 };
/*
 * Writes the end of a row's record, its id and the empty line, to out[SSE_ROW_END_MAX], followed by
 * a NUL. Returns its length. Every record of a row ends so.
 */
size_t sse_row_end(char *out, int64_t id);

/* Appends the reconnection time as a single field, which begins no record: "retry: N". */
void sse_retry(struct buffer *out, int64_t retry_ms);

/*
 * Appends the position of the stream: a record of type `position`, or (bare) the id as a single
 * field, for clients that treat every empty line as a message.
 */
void sse_position(struct buffer *out, int64_t id, bool bare);

/* Appends a heartbeat: the comment line ":" without an empty line after it. */
void sse_heartbeat(struct buffer *out);

/* Appends a comment line; text holds no line break. */
void sse_comment(struct buffer *out, const char *text);

/* Appends a record of type `gap`; the stream continues after `id`. requested: any text. */
void sse_gap(struct buffer *out, int64_t id, const char *requested, int64_t oldest, int64_t newest,
	enum gap reason);

/* Appends a record of type `denied`, data {"reason":"…"}, without an id. */
void sse_denied(struct buffer *out, const char *reason);

#endif
