#include "server/http_answer.h"

#include <string.h>

static const char status[] = "Status: ", empty_line[] = "\r\n\r\n";

static void add_date(struct buffer *out, time_t now)
{
	char text[64];
	struct tm tm;

	if (gmtime_r(&now, &tm) && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm))
		buffer_printf(out, "Date: %s\r\n", text);
}

/* A 204 has no body and must not have Content-Length (RFC 9110, 8.6). */
static void add_framing(
	struct buffer *out, const struct http_frame *frame, size_t body, bool no_content)
{
	if (frame->body == HTTP_BODY_LENGTH && !no_content)
		buffer_printf(out, "Content-Length: %zu\r\n", body);
	if (frame->body == HTTP_BODY_CHUNKED)
		buffer_text(out, "Transfer-Encoding: chunked\r\n");
	if (frame->close)
		buffer_text(out, "Connection: close\r\n");
}

size_t http_answer_head(
	struct buffer *out, const uint8_t *cgi, size_t length, const struct http_frame *frame)
{
	const uint8_t *end = memmem(cgi, length, empty_line, sizeof(empty_line) - 1);
	const uint8_t *line, *rest;
	size_t head;

	if (!end || length < sizeof(status) - 1 || memcmp(cgi, status, sizeof(status) - 1) != 0) {
		out->failed = true;
		return length;
	}
	head = (size_t)(end - cgi) + sizeof(empty_line) - 1;
	line = cgi + sizeof(status) - 1;
	rest = (const uint8_t *)memchr(line, '\n', head) + 1;
	buffer_text(out, "HTTP/1.1 ");
	buffer_append(out, line, (size_t)(rest - line));
	add_date(out, frame->now);
	/* Copies the fields without the empty line. */
	if (rest < end + 2)
		buffer_append(out, rest, (size_t)(end + 2 - rest));
	add_framing(out, frame, length - head, !memcmp(line, "204", 3));
	buffer_text(out, "\r\n");
	return head;
}
