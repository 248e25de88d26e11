/*
 * http_answer: turns CGI output into the head of an HTTP answer.
 *
 * Pure. Reads what `answer` writes ("Status: 200 OK", fields, an empty line, a body). Replaces the
 * Status field with a status line, and adds Date and the fields that frame the body.
 *
 * Source: RFC 9112, sections 4, 6, 7.1 and 9.3; RFC 9110, sections 6.6.1 (Date) and 8.6.
 */
#ifndef ROWTAIL_HTTP_ANSWER_H
#define ROWTAIL_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"

/* How the client knows where the body ends. */
enum http_body {
	HTTP_BODY_LENGTH, /* Content-Length */
	HTTP_BODY_CHUNKED,
	HTTP_BODY_CLOSE, /* the end of the connection */
	HTTP_BODY_NONE, /* HEAD: there is no body */
};

struct http_frame {
	enum http_body body;
	bool close; /* the connection ends after this answer */
	time_t now;
};

/*
 * Appends the head for a CGI output of length bytes. Returns the length of the CGI head, with its
 * empty line: what follows is the body.
 */
size_t http_answer_head(
	struct buffer *out, const uint8_t *cgi, size_t length, const struct http_frame *frame);

#endif
