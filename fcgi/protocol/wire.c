#include "protocol/wire.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

char *wire_digits(char *end, int64_t number)
{
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do
		*--end = (char)('0' + left % 10);
	while (left /= 10);
	if (number < 0)
		*--end = '-';
	return end;
}

void wire_number(struct buffer *out, int64_t number)
{
	char digits[WIRE_NUMBER_MAX], *end = digits + sizeof(digits);
	const char *first = wire_digits(end, number);

	buffer_append(out, first, (size_t)(end - first));
}

enum { PARTS_AT_ONCE = 4096 };

/* Writes U+FFFD for each ill-formed part at p, up to a well-formed one; returns their length. */
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

void wire_utf8(struct buffer *out, const uint8_t *p, size_t length)
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
		if (wire_has_byte(word, '"') || wire_has_byte(word, '\\') ||
			((word - ones * 0x20) & ~word & ones << 7))
			break;
	}
	while (i < length && !is_escaped(p[i]))
		i++;
	return i;
}

/* Writes "\n" or "\u001f"; returns its end. */
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

void wire_json_string(struct buffer *out, const char *string, size_t length)
{
	const uint8_t *p = (const uint8_t *)string;

	buffer_append(out, "\"", 1);
	while (length > 0 && !out->failed) {
		size_t done = plain_length(p, length);

		wire_utf8(out, p, done);
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
		wire_json_string(out, string, length);
	else
		buffer_text(out, "null");
}

void wire_json_row(struct buffer *out, const struct row *row)
{
	buffer_text(out, "{\"id\":");
	wire_number(out, row->id);
	json_text(out, ",\"channel\":", row->channel, row->channel_length);
	json_text(out, ",\"event\":", row->event, row->event_length);
	json_text(out, ",\"created_at\":", row->created_at, row->created_at_length);
	json_text(out, ",\"data\":", row->data, row->data_length);
	buffer_append(out, "}", 1);
}

void wire_json_gap(
	struct buffer *out, const char *requested, int64_t oldest, int64_t newest, enum gap reason)
{
	buffer_text(out, "{\"requested\":");
	wire_json_string(out, requested, strlen(requested));
	buffer_printf(out, ",\"oldest\":%" PRId64 ",\"newest\":%" PRId64 ",\"reason\":\"%s\"}",
		oldest, newest, gap_names[reason]);
}
