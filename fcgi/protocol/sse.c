#include "protocol/sse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "protocol/wire.h"

/* Sixteen bytes; the compiler compares them all at once. */
typedef int8_t block __attribute__((vector_size(16)));

static void field_number(struct buffer *out, const char *field, int64_t number)
{
	buffer_text(out, field);
	wire_number(out, number);
	buffer_append(out, "\n", 1);
}

static bool is_break(uint8_t byte)
{
	return byte == '\n' || byte == '\r';
}

/* Has one of these bytes its highest bit, or is it a line break? */
static block odd_bytes(const uint8_t *p)
{
	block bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return bytes | (bytes == '\n') | (bytes == '\r');
}

/*
 * How many bytes, in steps of 32, are ASCII without a line break. That is most of most rows, and
 * one look at a byte is cheaper than two.
 */
static size_t plain_length(const uint8_t *p, size_t length)
{
	size_t i = 0;
	uint64_t half[2];
	block odd;

	for (; length - i >= 2 * sizeof(odd); i += 2 * sizeof(odd)) {
		odd = odd_bytes(p + i) | odd_bytes(p + i + sizeof(odd));
		memcpy(half, &odd, sizeof(half));
		if ((half[0] | half[1]) & UINT64_C(0x8080808080808080))
			break;
	}
	return i;
}

/*
 * One pass whatever the breaks are, eight bytes at a time: two searches by memchr would be
 * quadratic for a run of CRs.
 */
static size_t line_length(const uint8_t *p, size_t length)
{
	size_t i = 0;
	uint64_t word;

	for (; length - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		if (wire_has_byte(word, '\n') || wire_has_byte(word, '\r'))
			break;
	}
	while (i < length && !is_break(p[i]))
		i++;
	return i;
}

/* Writes one data line: in one piece if it is well formed. The first `plain` bytes are ASCII. */
static void data_line(struct buffer *out, const uint8_t *p, size_t length, size_t plain)
{
	static const char field[] = "data: ";
	const size_t head = sizeof(field) - 1;
	uint8_t *room;

	if (utf8_valid_prefix(p + plain, length - plain) < length - plain) {
		buffer_append(out, field, head);
		wire_utf8(out, p, length);
		buffer_append(out, "\n", 1);
	} else if ((room = buffer_reserve(out, head + length + 1))) {
		memcpy(room, field, head);
		memcpy(room + head, p, length);
		room[head + length] = '\n';
		out->length += head + length + 1;
	}
}

static void data_lines(struct buffer *out, const uint8_t *p, size_t length)
{
	for (;;) {
		size_t plain = plain_length(p, length);
		size_t line = plain + line_length(p + plain, length - plain);
		size_t skip;

		data_line(out, p, line, plain);
		if (line == length || out->failed)
			return;
		skip = line + (length - line > 1 && p[line] == '\r' && p[line + 1] == '\n' ? 2 : 1);
		p += skip;
		length -= skip;
	}
}

static void event_line(struct buffer *out, const char *type, size_t length)
{
	const uint8_t *p = (const uint8_t *)type;

	buffer_text(out, "event: ");
	while (length > 0) {
		size_t good = 0;

		while (good < length && !is_break(p[good]) && p[good] != 0)
			good++;
		wire_utf8(out, p, good);
		if (good == length)
			break;
		buffer_text(out, UTF8_REPLACEMENT);
		p += good + 1;
		length -= good + 1;
	}
	buffer_append(out, "\n", 1);
}

static void envelope_line(struct buffer *out, const struct row *row)
{
	buffer_text(out, "data: ");
	wire_json_row(out, row);
	buffer_append(out, "\n", 1);
}

/* Ends a record with its id and the empty line, in one append. */
static void end_record(struct buffer *out, int64_t id)
{
	char bytes[SSE_ROW_END_MAX], *end = bytes + sizeof(bytes), *first;

	*--end = '\n';
	*--end = '\n';
	first = wire_digits(end, id) - 4;
	memcpy(first, "id: ", 4);
	buffer_append(out, first, (size_t)(bytes + sizeof(bytes) - first));
}

void sse_row(struct buffer *out, const struct row *row, bool envelope)
{
	if (row->event)
		event_line(out, row->event, row->event_length);
	if (row->retry_ms >= 0)
		field_number(out, "retry: ", row->retry_ms);
	if (envelope)
		envelope_line(out, row);
	else
		data_lines(out, (const uint8_t *)row->data, row->data_length);
	end_record(out, row->id);
}

size_t sse_row_end(char *out, int64_t id)
{
	int length = snprintf(out, SSE_ROW_END_MAX, "id: %" PRId64 "\n\n", id);

	return (size_t)length;
}

void sse_retry(struct buffer *out, int64_t retry_ms)
{
	field_number(out, "retry: ", retry_ms);
}

void sse_position(struct buffer *out, int64_t id, bool bare)
{
	if (bare) {
		field_number(out, "id: ", id);
		return;
	}
	buffer_text(out, "event: position\n");
	field_number(out, "data: ", id);
	end_record(out, id);
}

void sse_heartbeat(struct buffer *out)
{
	buffer_text(out, ":\n");
}

void sse_comment(struct buffer *out, const char *comment)
{
	buffer_printf(out, ": %s\n", comment);
}

void sse_gap(struct buffer *out, int64_t id, const char *requested, int64_t oldest, int64_t newest,
	enum gap reason)
{
	buffer_text(out, "event: gap\ndata: ");
	wire_json_gap(out, requested, oldest, newest, reason);
	buffer_append(out, "\n", 1);
	end_record(out, id);
}

void sse_denied(struct buffer *out, const char *reason)
{
	buffer_printf(out, "event: denied\ndata: {\"reason\":\"%s\"}\n\n", reason);
}
