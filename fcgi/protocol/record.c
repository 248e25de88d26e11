#include "protocol/record.h"

#include <fastcgi.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A value of a scanner's `have`: the input was not FastCGI, so scanning cannot continue. */
enum { SCANNER_LOST = RECORD_HEADER + 1 };

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put_header(uint8_t *out, uint8_t type, uint16_t request_id, size_t content)
{
	out[0] = FCGI_VERSION_1;
	out[1] = type;
	out[2] = (uint8_t)(request_id >> 8);
	out[3] = (uint8_t)request_id;
	out[4] = (uint8_t)(content >> 8);
	out[5] = (uint8_t)content;
	out[6] = 0;
	out[7] = 0;
}

void record_header(uint8_t *out, size_t content, uint16_t request_id)
{
	put_header(out, FCGI_STDOUT, request_id, content);
}

size_t record_piece(size_t content)
{
	size_t piece = RECORD_CONTENT_MAX;

	while (content > piece && content % piece != 0 && content % piece < RECORD_LAST_MIN)
		piece -= 8;
	return piece;
}

/* The framed size of content that is split into records of `piece` bytes. */
static size_t framed_size(size_t content, size_t piece)
{
	return content + (content + piece - 1) / piece * RECORD_HEADER;
}

size_t record_framed_size(size_t content)
{
	return framed_size(content, record_piece(content));
}

size_t record_frame(uint8_t *buf, size_t content, uint16_t request_id)
{
	const uint8_t *from = buf + RECORD_HEADER;
	size_t piece = record_piece(content), at = content, part;
	uint8_t *record;

	/* From the last record to the first, so that none overwrites another. */
	while (at > 0) {
		part = at % piece ? at % piece : piece;
		at -= part;
		record = buf + framed_size(at, piece);
		/* The first, nearly always the only one, is already in place. */
		if (at > 0)
			memmove(record + RECORD_HEADER, from + at, part);
		record_header(record, part, request_id);
	}
	return framed_size(content, piece);
}

size_t record_unpad(uint8_t *bytes, size_t length)
{
	size_t from = 0, to = 0, size, padding;

	while (from < length) {
		size = RECORD_HEADER + (size_t)get16(bytes + from + 4);
		padding = bytes[from + 6];
		memmove(bytes + to, bytes + from, size);
		bytes[to + 6] = 0;
		from += size + padding;
		to += size;
	}
	return to;
}

size_t record_end(uint8_t *out, uint16_t request_id, uint8_t protocol_status)
{
	memset(out, 0, RECORD_END_SIZE);
	put_header(out, FCGI_END_REQUEST, request_id, sizeof(FCGI_EndRequestBody));
	out[RECORD_HEADER + offsetof(FCGI_EndRequestBody, protocolStatus)] = protocol_status;
	return RECORD_END_SIZE;
}

size_t record_unknown_type(uint8_t *out, uint8_t type)
{
	memset(out, 0, RECORD_END_SIZE);
	put_header(out, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, sizeof(FCGI_UnknownTypeBody));
	out[RECORD_HEADER + offsetof(FCGI_UnknownTypeBody, type)] = type;
	return RECORD_END_SIZE;
}

/* Name-value pairs that are still to be read, and the pair read last. */
struct pairs {
	const uint8_t *at;
	size_t left;
	const uint8_t *name;
	size_t name_length;
};

/* Takes a length of one byte or four (section 3.4). False if it is incomplete. */
static bool take_length(struct pairs *p, size_t *length)
{
	size_t size = p->left > 0 && p->at[0] & 0x80 ? 4 : 1;

	if (p->left < size)
		return false;
	*length = size == 1 ? p->at[0] : get32(p->at) & 0x7fffffff;
	p->at += size;
	p->left -= size;
	return true;
}

/* Takes the next pair and skips its value. False at the end, or if a length is wrong. */
static bool next_pair(struct pairs *p)
{
	size_t value_length;

	if (!take_length(p, &p->name_length) || !take_length(p, &value_length))
		return false;
	if (p->name_length > p->left || value_length > p->left - p->name_length)
		return false;
	p->name = p->at;
	p->at += p->name_length + value_length;
	p->left -= p->name_length + value_length;
	return true;
}

static bool asks_for(struct pairs asked, const char *name)
{
	while (next_pair(&asked))
		if (asked.name_length == strlen(name) &&
			!memcmp(asked.name, name, asked.name_length))
			return true;
	return false;
}

static size_t put_pair(uint8_t *out, const char *name, const char *value)
{
	size_t name_length = strlen(name), value_length = strlen(value);

	out[0] = (uint8_t)name_length;
	out[1] = (uint8_t)value_length;
	memcpy(out + 2, name, name_length);
	memcpy(out + 2 + name_length, value, value_length);
	return 2 + name_length + value_length;
}

size_t record_values_result(uint8_t *out, const uint8_t *record, size_t length, long max_streams)
{
	char streams[24];
	const char *known[][2] = {
		{FCGI_MAX_CONNS, streams},
		{FCGI_MAX_REQS, streams},
		{FCGI_MPXS_CONNS, "0"},
	};
	struct pairs asked = {0};
	size_t size = RECORD_HEADER;

	snprintf(streams, sizeof(streams), "%ld", max_streams);
	if (length > RECORD_HEADER) {
		asked.at = record + RECORD_HEADER;
		asked.left = smaller(get16(record + 4), length - RECORD_HEADER);
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (asks_for(asked, known[i][0]))
			size += put_pair(out + size, known[i][0], known[i][1]);
	put_header(out, FCGI_GET_VALUES_RESULT, FCGI_NULL_REQUEST_ID, size - RECORD_HEADER);
	return size;
}

void record_scanner_init(struct record_scanner *s, uint16_t request_id)
{
	memset(s, 0, sizeof(*s));
	s->request_id = request_id;
}

/* Interprets a complete header. */
static enum record_event judge_header(struct record_scanner *s)
{
	s->type = s->header[1];
	s->id = get16(s->header + 2);
	s->skip = get16(s->header + 4) + (uint32_t)s->header[6];
	if (s->type == FCGI_BEGIN_REQUEST) {
		/* A second request with our own id could only be refused by ending the first. */
		if (s->id == FCGI_NULL_REQUEST_ID || s->id == s->request_id)
			return RECORD_INVALID;
		return RECORD_BEGIN;
	}
	if (s->id == FCGI_NULL_REQUEST_ID)
		return RECORD_MANAGEMENT;
	if (s->type == FCGI_ABORT_REQUEST && s->id == s->request_id)
		return RECORD_ABORT;
	return RECORD_MORE;
}

static enum record_event take_header_byte(struct record_scanner *s, uint8_t byte)
{
	enum record_event event = RECORD_MORE;

	s->header[s->have++] = byte;
	if (s->header[0] != FCGI_VERSION_1)
		event = RECORD_INVALID;
	else if (s->have == RECORD_HEADER)
		event = judge_header(s);
	if (event == RECORD_INVALID)
		s->have = SCANNER_LOST;
	else if (s->have == RECORD_HEADER)
		s->have = 0;
	return event;
}

enum record_event record_scan(
	struct record_scanner *s, const uint8_t *bytes, size_t length, size_t *used)
{
	enum record_event event = s->have == SCANNER_LOST ? RECORD_INVALID : RECORD_MORE;
	size_t at = 0, step;

	while (at < length && event == RECORD_MORE) {
		if (s->skip == 0) {
			event = take_header_byte(s, bytes[at++]);
			continue;
		}
		step = smaller(s->skip, length - at);
		s->skip -= (uint32_t)step;
		at += step;
	}
	*used = at;
	return event;
}
