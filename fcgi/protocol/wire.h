/*
 * wire: writes numbers, text and JSON into the bytes of an answer.
 *
 * Pure. Owns two rules: ill-formed UTF-8 becomes U+FFFD, and which bytes JSON escapes. Event
 * streams (sse), JSON answers (poll) and the status page (facts) use these functions.
 *
 * Source: RFC 8259, section 7 (JSON strings).
 */
#ifndef ROWTAIL_WIRE_H
#define ROWTAIL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "log/gap.h"
#include "log/row.h"

enum { WIRE_NUMBER_MAX = 20 };

/*
 * Writes a number in decimal, at most WIRE_NUMBER_MAX bytes, the last of them before `end`. Returns
 * the first. Every record contains a number, and printf is slow.
 */
char *wire_digits(char *end, int64_t number);

/* Each of these functions appends, and fails as buffer_append() does. */

/* A number in decimal. */
void wire_number(struct buffer *out, int64_t number);

/* Text, with U+FFFD for each ill-formed part. */
void wire_utf8(struct buffer *out, const uint8_t *text, size_t length);

/* Text as a JSON string, with its quotes. */
void wire_json_string(struct buffer *out, const char *text, size_t length);

/* A row as an object: id, channel, event, created_at, data. */
void wire_json_row(struct buffer *out, const struct row *row);

/* A gap as an object: requested (any text), oldest, newest, reason. */
void wire_json_gap(
	struct buffer *out, const char *requested, int64_t oldest, int64_t newest, enum gap reason);

/* Is one of the eight bytes of a word equal to this byte? */
static inline bool wire_has_byte(uint64_t word, uint8_t byte)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);

	word ^= ones * byte;
	return (word - ones) & ~word & ones << 7;
}

#endif
