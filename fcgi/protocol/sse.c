#include "protocol/sse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* A number in decimal without printf's cost: it stands in every record. */
static void decimal(struct buffer *out, int64_t number)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do
		digits[--at] = (char)('0' + left % 10);
	while (left /= 10);
	if (number < 0)
		digits[--at] = '-';
	buffer_append(out, digits + at, sizeof(digits) - at);
}

static void field_number(struct buffer *out, const char *field, int64_t number)
{
	buffer_text(out, field);
	decimal(out, number);
	buffer_append(out, "\n", 1);
}

enum { PARTS_AT_ONCE = 4096 };

/* U+FFFD for each of the ill-formed parts at p, up to a well-formed one; returns how long they are. */
static size_t ill_formed(struct buffer *out, const uint8_t *p, size_t length)
{
	uint8_t *room = buffer_reserve(out, PARTS_AT_ONCE * strlen(UTF8_REPLACEMENT));
	size_t at = 0;
	int step;

	for (int i = 0; i < PARTS_AT_ONCE && at < length; i++) {
		if ((step = utf8_step(p + at, length - at)) > 0)
			break;
		at += (size_t)-step;
		if (!room)
			continue;
		memcpy(out->data + out->length, UTF8_REPLACEMENT, strlen(UTF8_REPLACEMENT));
		out->length += strlen(UTF8_REPLACEMENT);
	}
	return at;
}

/* Well-formed text, as it is; U+FFFD for each ill-formed part. */
static void text(struct buffer *out, const uint8_t *p, size_t length)
{
	while (length > 0 && !out->failed) {
		size_t done = utf8_valid_prefix(p, length);

		buffer_append(out, p, done);
		if (done < length)
			done += ill_formed(out, p + done, length - done);
		p += done;
		length -= done;
	}
}

static bool is_break(uint8_t byte)
{
	return byte == '\n' || byte == '\r';
}

/* Is one of the eight bytes of a word this one? */
static bool has_byte(uint64_t word, uint8_t byte)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);

	word ^= ones * byte;
	return (word - ones) & ~word & ones << 7;
}

/*
 * One pass whatever the breaks are, eight bytes at a time: two searches by memchr would be quadratic
 * for a run of CRs.
 */
static size_t line_length(const uint8_t *p, size_t length)
{
	size_t i = 0;
	uint64_t word;

	for (; length - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		if (has_byte(word, '\n') || has_byte(word, '\r'))
			break;
	}
	while (i < length && !is_break(p[i]))
		i++;
	return i;
}

/* One data line: in one piece where it is well formed. */
static void data_line(struct buffer *out, const uint8_t *p, size_t length)
{
	static const char field[] = "data: ";
	const size_t head = sizeof(field) - 1;
	uint8_t *room;

	if (utf8_valid_prefix(p, length) < length) {
		buffer_append(out, field, head);
		text(out, p, length);
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
		size_t line = line_length(p, length);
		size_t skip;

		data_line(out, p, line);
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
		text(out, p, good);
		if (good == length)
			break;
		buffer_text(out, UTF8_REPLACEMENT);
		p += good + 1;
		length -= good + 1;
	}
	buffer_append(out, "\n", 1);
}

static bool is_escaped(uint8_t byte)
{
	return byte < 0x20 || byte == '"' || byte == '\\';
}

/* How many bytes there are before one that JSON escapes; eight at a time, as in line_length(). */
static size_t plain_length(const uint8_t *p, size_t length)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;
	uint64_t word;

	for (; length - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		if (has_byte(word, '"') || has_byte(word, '\\') ||
			((word - ones * 0x20) & ~word & ones << 7))
			break;
	}
	while (i < length && !is_escaped(p[i]))
		i++;
	return i;
}

/* Writes "\n" or "\u001f"; returns where it ends. */
static uint8_t *json_escape(uint8_t *to, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	char letter = byte < 0x20 ? letters[byte] : (char)byte;

	*to++ = '\\';
	if (letter) {
		*to++ = (uint8_t)letter;
		return to;
	}
	memcpy(to, "u00", 3);
	to[3] = (uint8_t)hex[byte >> 4];
	to[4] = (uint8_t)hex[byte & 0xf];
	return to + 5;
}

enum { ESCAPE_MAX = 6, ESCAPES_AT_ONCE = 4096 };

/* Escapes the bytes at p that need it, up to the first that does not; returns how many. */
static size_t json_escapes(struct buffer *out, const uint8_t *p, size_t length)
{
	size_t n = 0;
	uint8_t *room, *to;

	while (n < length && n < ESCAPES_AT_ONCE && is_escaped(p[n]))
		n++;
	if (!(room = buffer_reserve(out, n * ESCAPE_MAX)))
		return n;
	to = room;
	for (size_t i = 0; i < n; i++)
		to = json_escape(to, p[i]);
	out->length += (size_t)(to - room);
	return n;
}

void sse_json_string(struct buffer *out, const char *string, size_t length)
{
	const uint8_t *p = (const uint8_t *)string;

	buffer_append(out, "\"", 1);
	while (length > 0 && !out->failed) {
		size_t done = plain_length(p, length);

		text(out, p, done);
		done += json_escapes(out, p + done, length - done);
		p += done;
		length -= done;
	}
	buffer_append(out, "\"", 1);
}

static void json_text(struct buffer *out, const char *name, const char *string, size_t length)
{
	buffer_text(out, name);
	if (string)
		sse_json_string(out, string, length);
	else
		buffer_text(out, "null");
}

static void envelope_line(struct buffer *out, const struct row *row)
{
	buffer_text(out, "data: {\"id\":");
	decimal(out, row->id);
	json_text(out, ",\"channel\":", row->channel, row->channel_length);
	json_text(out, ",\"event\":", row->event, row->event_length);
	json_text(out, ",\"created_at\":", row->created_at, row->created_at_length);
	json_text(out, ",\"data\":", row->data, row->data_length);
	buffer_text(out, "}\n");
}

/* Ends a record: its id, and the empty line behind it. */
static void end_record(struct buffer *out, int64_t id)
{
	field_number(out, "id: ", id);
	buffer_append(out, "\n", 1);
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
	buffer_text(out, "event: gap\ndata: {\"requested\":");
	sse_json_string(out, requested, strlen(requested));
	buffer_printf(out, ",\"oldest\":%" PRId64 ",\"newest\":%" PRId64 ",\"reason\":\"%s\"}\n",
		oldest, newest, gap_names[reason]);
	end_record(out, id);
}

void sse_denied(struct buffer *out, const char *reason)
{
	buffer_printf(out, "event: denied\ndata: {\"reason\":\"%s\"}\n\n", reason);
}
