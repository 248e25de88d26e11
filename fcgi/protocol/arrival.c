#include "protocol/arrival.h"

#include <fastcgi.h>
#include <string.h>

static struct {
	size_t content, bytes;
} allowed = {ARRIVAL_CONTENT_MAX, ARRIVAL_BYTES_MAX};

void arrival_allow(size_t content)
{
	allowed.content = content;
	allowed.bytes = content + ARRIVAL_CONTENT_MAX;
}

size_t arrival_content_max(void)
{
	return allowed.content;
}

size_t arrival_bytes_max(void)
{
	return allowed.bytes;
}

/* Positions of the fields of a record header, and its length (section 3.3). */
enum {
	VERSION,
	TYPE,
	ID,
	ID_END = ID + 2,
	CONTENT = ID_END,
	CONTENT_END = CONTENT + 2,
	PADDING = CONTENT_END,
	PADDING_END,
};

/* A length in a name-value pair has four bytes, not one, when its first bit is set (section 3.4).
 */
enum { LONG_LENGTH = 0x80 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void arrival_init(struct arrival *a)
{
	memset(a, 0, sizeof(*a));
	a->state = ARRIVAL_PARTIAL;
}

/* May a record of this type come next? Before BEGIN_REQUEST, any other is a management record. */
static bool is_due(const struct arrival *a, uint8_t type)
{
	if (!a->begun || type == FCGI_ABORT_REQUEST)
		return true;
	return type == (a->params_ended ? FCGI_STDIN : FCGI_PARAMS);
}

static bool has_our_id(const struct arrival *a, const uint8_t *header)
{
	/* Only BEGIN_REQUEST brings a new id. Before it, request_id is that of management records.
	 */
	if (!a->begun && header[TYPE] == FCGI_BEGIN_REQUEST)
		return get16(header + ID) != FCGI_NULL_REQUEST_ID;
	return get16(header + ID) == a->request_id;
}

static bool is_between_pairs(const struct arrival *a)
{
	return a->pair_have == 0 && a->pair_left == 0;
}

static enum arrival_state judge_content(const struct arrival *a, uint8_t type, size_t content)
{
	if (!a->begun) {
		if (type == FCGI_BEGIN_REQUEST && content != sizeof(FCGI_BeginRequestBody))
			return ARRIVAL_NOT_FASTCGI;
		return ARRIVAL_PARTIAL;
	}
	if (content == 0 && !is_between_pairs(a))
		return ARRIVAL_NOT_FASTCGI;
	if (content > allowed.content - a->content)
		return ARRIVAL_TOO_LARGE;
	return ARRIVAL_PARTIAL;
}

/*
 * What the first `have` bytes of a record header tell, each field as soon as it is there. Fields
 * are judged in their order, so that all at once and byte by byte give the same answer.
 */
static enum arrival_state judge_header(const struct arrival *a, const uint8_t *header, size_t have)
{
	enum arrival_state state;
	size_t content;
	uint8_t type;

	if (allowed.bytes - a->at < FCGI_HEADER_LEN)
		return ARRIVAL_TOO_LARGE;
	if (have > VERSION && header[VERSION] != FCGI_VERSION_1)
		return ARRIVAL_NOT_FASTCGI;
	if (have <= TYPE)
		return ARRIVAL_PARTIAL;
	type = header[TYPE];
	if (!is_due(a, type) || (have >= ID_END && !has_our_id(a, header)))
		return ARRIVAL_NOT_FASTCGI;
	if (a->begun && have >= ID_END && type == FCGI_ABORT_REQUEST)
		return ARRIVAL_ABORTED;
	if (have < CONTENT_END)
		return ARRIVAL_PARTIAL;
	content = get16(header + CONTENT);
	state = judge_content(a, type, content);
	if (state == ARRIVAL_PARTIAL && have >= PADDING_END &&
		FCGI_HEADER_LEN + content + header[PADDING] > allowed.bytes - a->at)
		return ARRIVAL_TOO_LARGE;
	return state;
}

/* How many bytes a length has, by its first byte. */
static size_t length_size(uint8_t first)
{
	return first & LONG_LENGTH ? 4 : 1;
}

static uint64_t get_length(const uint8_t *p)
{
	if (length_size(p[0]) == 1)
		return p[0];
	return (uint64_t)(p[0] & ~LONG_LENGTH) << 24 | (uint64_t)p[1] << 16 | get16(p + 2);
}

/* Takes one more byte of the two lengths of a pair; once they are whole, pair_left is their sum. */
static void take_length_byte(struct arrival *a, uint8_t byte)
{
	const uint8_t *lengths = a->pair_lengths;
	size_t value_at;

	a->pair_lengths[a->pair_have++] = byte;
	value_at = length_size(lengths[0]);
	if (a->pair_have <= value_at || a->pair_have < value_at + length_size(lengths[value_at]))
		return;
	a->pair_left = get_length(lengths) + get_length(lengths + value_at);
	a->pair_have = 0;
}

/* The content of a PARAMS record, which may begin and end anywhere in a pair. */
static enum arrival_state take_params(struct arrival *a, const uint8_t *p, size_t length)
{
	size_t step;

	for (; length > 0; p += step, length -= step) {
		if (a->pair_left > 0) {
			step = a->pair_left < length ? (size_t)a->pair_left : length;
			a->pair_left -= step;
		} else {
			step = 1;
			take_length_byte(a, *p);
		}
		a->content += step;
		if (a->pair_left > allowed.content - a->content)
			return ARRIVAL_TOO_LARGE;
	}
	return ARRIVAL_PARTIAL;
}

static enum arrival_state take_begin(struct arrival *a, const uint8_t *record)
{
	const uint8_t *role = record + FCGI_HEADER_LEN;

	a->begun = true;
	a->request_id = get16(record + ID);
	return get16(role) == FCGI_RESPONDER ? ARRIVAL_PARTIAL : ARRIVAL_BAD_ROLE;
}

/* Takes a complete record that judge_header() has accepted. */
static enum arrival_state take_record(struct arrival *a, const uint8_t *record)
{
	size_t content = get16(record + CONTENT);

	if (!a->begun && record[TYPE] == FCGI_BEGIN_REQUEST)
		return take_begin(a, record);
	if (!a->begun) {
		a->type = record[TYPE];
		return ARRIVAL_MANAGEMENT;
	}
	if (a->params_ended) {
		a->content += content;
		return content == 0 ? ARRIVAL_WHOLE : ARRIVAL_PARTIAL;
	}
	a->params_ended = content == 0;
	return take_params(a, record + FCGI_HEADER_LEN, content);
}

/* Scans the next record; false if it needs more bytes. */
static bool scan_record(struct arrival *a, const uint8_t *record, size_t have)
{
	size_t size;

	a->state = judge_header(a, record, have);
	if (a->state != ARRIVAL_PARTIAL)
		return true;
	if (have < FCGI_HEADER_LEN)
		return false;
	size = FCGI_HEADER_LEN + (size_t)get16(record + CONTENT) + record[PADDING];
	if (have < size)
		return false;
	a->state = take_record(a, record);
	a->at += size;
	if (a->params_ended && a->params_length == 0)
		a->params_length = a->at;
	if (a->state == ARRIVAL_WHOLE || a->state == ARRIVAL_MANAGEMENT)
		a->length = a->at;
	return true;
}

enum arrival_state arrival_scan(struct arrival *a, const uint8_t *bytes, size_t length)
{
	while (a->state == ARRIVAL_PARTIAL && scan_record(a, bytes + a->at, length - a->at))
		;
	return a->state;
}
