/*
 * answer: the head of a stream, and finite answers, as CGI output.
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

/* What CORS allows the request's Origin. */
struct answer_cors {
	const char *origin; /* as the client sent it, if allowed; NULL: no CORS fields */
	bool any; /* any site can have this origin, or "*" allows it: no credentials */
};

/*
 * Looks up an origin (may be NULL) in a NULL-terminated list of allowed ones, where "*" allows any.
 */
struct answer_cors answer_cors_of(const char *origin, const char *const *allowed);

/* Writes the head of an event stream, including the empty line. */
void answer_stream_head(struct buffer *out, const struct answer_cors *cors);

/* The head of a JSON answer, with the empty line behind it. retry_after_s: 0 for no such field. */
void answer_json_head(struct buffer *out, int retry_after_s, const struct answer_cors *cors);

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

/* Writes a finite answer whose body is a sentence and a line break. */
void answer_sentence(struct buffer *out, int status, const char *sentence, bool head_only,
	const struct answer_cors *cors);

/* Answers OPTIONS. requested: Access-Control-Request-Headers, or NULL. */
void answer_preflight(struct buffer *out, const char *requested, const struct answer_cors *cors);

/*
 * Answers a temporary fault. A client that accepts an event stream gets a stream with a
 * reconnection time and a comment, which then ends: an EventSource reconnects after that, but not
 * after a status other than 200. Other clients get 503 with Retry-After.
 */
void answer_later(struct buffer *out, const char *sentence, int64_t retry_ms, bool accepts_stream,
	bool head_only, const struct answer_cors *cors);

#endif
