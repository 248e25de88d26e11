/*
 * answer: the head of a stream, and the answers that are no stream, as CGI output.
 *
 * Pure. Owns status lines, header fields, CORS fields and the plain sentence of a body (interface,
 * sections 4 and 5). Knows nothing of FastCGI framing.
 *
 * Source: RFC 3875, section 6 (CGI response); Fetch standard, section 3.2 (CORS protocol).
 */
#ifndef ROWTAIL_ANSWER_H
#define ROWTAIL_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* What the request's Origin is allowed. */
struct answer_cors {
	const char *origin; /* as it came, when it is allowed; NULL: no CORS fields */
	bool any; /* any site can have it, or "*" allows it: without credentials */
};

/* Looks an origin (NULL: none) up in a NULL-terminated list of allowed ones, where "*" allows any.
 */
struct answer_cors answer_cors_of(const char *origin, const char *const *allowed);

/* The head of an event stream, with the empty line behind it. */
void answer_stream_head(struct buffer *out, const struct answer_cors *cors);

/* The head of a JSON answer, with the empty line behind it. */
void answer_json_head(struct buffer *out, const struct answer_cors *cors);

/* A finite answer. */
struct answer {
	int status;
	const char *type; /* of the body; NULL: text/plain; charset=utf-8 */
	const char *body; /* NULL: none */
	size_t body_length;
	int retry_after_s; /* 0: no such field */
	bool head_only; /* the method was HEAD */
};
/* Adds Allow to 405, WWW-Authenticate to 401. */
void answer_write(struct buffer *out, const struct answer *a, const struct answer_cors *cors);

/* A finite answer whose body is a sentence; a line break is put behind it. */
void answer_sentence(struct buffer *out, int status, const char *sentence, bool head_only,
	const struct answer_cors *cors);

/* The answer to OPTIONS; requested: Access-Control-Request-Headers, or NULL. */
void answer_preflight(struct buffer *out, const char *requested, const struct answer_cors *cors);

/*
 * A passing fault. For who accepts an event stream: a stream that holds a reconnection time and a
 * comment, and ends; an EventSource comes back, which it would not after any status but 200. For
 * others: 503 with Retry-After.
 */
void answer_later(struct buffer *out, const char *sentence, int64_t retry_ms, bool accepts_stream,
	bool head_only, const struct answer_cors *cors);

#endif
