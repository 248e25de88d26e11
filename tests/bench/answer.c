/* answer: see answer.h. */
#include "answer.h"

#include <fastcgi.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A complete line: its beginning, and its length without the LF. */
struct whole_line {
	const char *text;
	size_t have;
	size_t total;
};

void answer_init(struct answer *a, bool http, answer_line_fn *line, void *context)
{
	memset(a, 0, sizeof *a);
	a->http = http;
	a->body_left = -1;
	a->line = line;
	a->context = context;
}

static void line_keep(struct answer_line *l, const char *bytes, size_t length)
{
	if (l->total < sizeof l->text) {
		size_t room = sizeof l->text - l->total;
		memcpy(l->text + l->total, bytes, length < room ? length : room);
	}
	l->total += length;
}

/*
 * Takes bytes up to the next LF; returns how many. *whole is set when a line is complete. If all of
 * it is in the input, it is not copied, and is valid until the next call.
 */
static size_t line_take(
	struct answer_line *l, const char *bytes, size_t length, struct whole_line *whole)
{
	const char *end = memchr(bytes, '\n', length);
	size_t part = end ? (size_t)(end - bytes) : length;

	whole->text = NULL;
	if (!end) {
		line_keep(l, bytes, length);
		return length;
	}
	if (l->total == 0) {
		*whole = (struct whole_line){bytes, part, part};
		return part + 1;
	}
	line_keep(l, bytes, part);
	whole->text = l->text;
	whole->have = l->total < sizeof l->text ? l->total : sizeof l->text;
	whole->total = l->total;
	l->total = 0;
	return part + 1;
}

static void head_line(struct answer *a, struct whole_line line)
{
	char text[64] = "";

	if (line.have > 0 && line.text[line.have - 1] == '\r')
		line.have--;
	memcpy(text, line.text, line.have < sizeof text ? line.have : sizeof text - 1);
	if (line.have == 0)
		a->head_ended = true;
	else if (strncasecmp(text, "Status: ", 8) == 0)
		a->status = (int)strtol(text + 8, NULL, 10);
	else if (strncmp(text, "HTTP/1.1 ", 9) == 0)
		a->status = (int)strtol(text + 9, NULL, 10);
	else if (strcasecmp(text, "Transfer-Encoding: chunked") == 0)
		a->chunked = true;
	else if (a->http && strncasecmp(text, "Content-Length: ", 16) == 0)
		a->body_left = strtoll(text + 16, NULL, 10);
}

static void refuse(struct answer *a)
{
	a->garbled = a->ended = true;
}

/* The responder's output: FastCGI's contains its own head, HTTP's head came before. */
static void content(struct answer *a, const char *bytes, size_t length)
{
	while (length > 0) {
		struct whole_line line;
		size_t taken = line_take(&a->inner, bytes, length, &line);
		bytes += taken;
		length -= taken;
		if (!line.text)
			return;
		if (!a->head_ended)
			head_line(a, line);
		else
			a->line(a->context, line.text, line.have, line.total);
	}
}

/* Skips the rest of a record or a chunk, passing its content on. Returns the bytes used. */
static size_t framed(struct answer *a, const char *bytes, size_t length)
{
	size_t part = length < a->content_left ? length : (size_t)a->content_left;

	if (a->http || a->header[1] == FCGI_STDOUT)
		content(a, bytes, part);
	a->content_left -= part;
	return part;
}

static size_t record_header(struct answer *a, const char *bytes, size_t length)
{
	size_t part = FCGI_HEADER_LEN - a->header_have;

	if (part > length)
		part = length;
	memcpy(a->header + a->header_have, bytes, part);
	a->header_have += (uint8_t)part;
	if (a->header_have < FCGI_HEADER_LEN)
		return part;
	a->header_have = 0;
	a->content_left = (uint64_t)a->header[4] << 8 | a->header[5];
	a->padding_left = a->header[6];
	if (a->header[1] == FCGI_END_REQUEST)
		a->ended = true;
	else if (a->header[0] != FCGI_VERSION_1 || a->header[1] < FCGI_STDOUT ||
		 a->header[1] > FCGI_STDERR || a->header[3] != 1)
		refuse(a);
	return part;
}

static size_t feed_record(struct answer *a, const char *bytes, size_t length)
{
	if (a->content_left > 0)
		return framed(a, bytes, length);
	if (a->padding_left > 0) {
		size_t part = length < a->padding_left ? length : a->padding_left;
		a->padding_left -= (uint8_t)part;
		return part;
	}
	return record_header(a, bytes, length);
}

static void chunk_line(struct answer *a, struct whole_line line)
{
	char text[20] = "", *end;

	memcpy(text, line.text, line.have < sizeof text ? line.have : sizeof text - 1);
	if (a->chunk == CHUNK_END) {
		if (strcmp(text, "\r") != 0)
			refuse(a);
		a->chunk = CHUNK_SIZE;
		return;
	}
	a->content_left = strtoull(text, &end, 16);
	a->chunk = CHUNK_CONTENT;
	if (end == text || *end != '\r')
		refuse(a);
	else if (a->content_left == 0)
		a->ended = true;
}

/* A body that is not chunked ends as its head says, or with the connection. */
static size_t whole(struct answer *a, const char *bytes, size_t length)
{
	if (a->body_left >= 0 && length > (uint64_t)a->body_left)
		length = (size_t)a->body_left;
	content(a, bytes, length);
	if (a->body_left >= 0)
		a->body_left -= (int64_t)length;
	a->ended = a->body_left == 0;
	return length;
}

static size_t feed_http(struct answer *a, const char *bytes, size_t length)
{
	struct whole_line line;
	size_t used;

	if (a->head_ended && !a->chunked)
		return whole(a, bytes, length);
	if (a->head_ended && a->chunk == CHUNK_CONTENT) {
		used = framed(a, bytes, length);
		if (a->content_left == 0)
			a->chunk = CHUNK_END;
		return used;
	}
	used = line_take(&a->outer, bytes, length, &line);
	if (line.text && !a->head_ended)
		head_line(a, line);
	else if (line.text)
		chunk_line(a, line);
	return used;
}

void answer_feed(struct answer *a, const char *bytes, size_t length)
{
	while (length > 0 && !a->ended) {
		size_t used = a->http ? feed_http(a, bytes, length) : feed_record(a, bytes, length);
		bytes += used;
		length -= used;
	}
}
