/*
 * answer: the head of a stream, and finite answers, as CGI output.
 *
 * Pure. Owns status lines, header fields, CORS fields, and bodies of one plain sentence
 * (rowtail(8), REQUESTS). Knows nothing of framing.
 *
 * Source: RFC 3875, section 6 (CGI response); Fetch standard, section 3.2 (CORS protocol).
 */
#ifndef ROWTAIL_ANSWER_H
#define ROWTAIL_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* What CORS allows the origin of a request. */
struct answer_cors {
	const char *origin; /* as the client sent it, if allowed; NULL: no CORS fields */
	bool any; /* no credentials: any site can have this origin, or "*" allows it */
};

/*
 * Looks up an origin (may be NULL) in a NULL-terminated list of allowed ones, where "*" allows any.
 */
struct answer_cors answer_cors_of(const char *origin, const char *const *allowed);

/* Writes the head of an event stream, including the empty line. */
void answer_stream_head(struct buffer *out, const struct answer_cors *cors);

/* Writes the head of a JSON answer, with the empty line. retry_after_s: 0 for no Retry-After. */
void answer_json_head(struct buffer *out, int retry_after_s, const struct answer_cors *cors);

/* A finite answer. */
struct answer {
	int status;
	const char *type; /* of the body; NULL: text/plain; charset=utf-8 */
	const char *body; /* NULL: none */
	size_t body_length;
	const char *policy; /* Content-Security-Policy; NULL: none */
	int retry_after_s; /* 0: no Retry-After */
	bool head_only; /* the method was HEAD */
	const char *allow; /* of 405; NULL: GET, HEAD, POST, OPTIONS */
};
/* Adds Allow to 405, WWW-Authenticate to 401. */
void answer_write(struct buffer *out, const struct answer *a, const struct answer_cors *cors);

/* Writes a finite answer whose body is a sentence and a line break. */
void answer_sentence(struct buffer *out, int status, const char *sentence, bool head_only,
	const struct answer_cors *cors);

/*
 * Answers OPTIONS. methods: what CORS allows, as in "GET, POST"; requested:
 * Access-Control-Request-Headers, or NULL.
 */
void answer_preflight_of(struct buffer *out, const char *methods, const char *requested,
	const struct answer_cors *cors);
/* The same for GET, HEAD and POST. */
void answer_preflight(struct buffer *out, const char *requested, const struct answer_cors *cors);

/*
 * Answers a temporary fault. A client that accepts an event stream gets one that contains a
 * reconnection time and a comment, and ends. An EventSource reconnects after that, but not after a
 * status other than 200. Other clients get 503 with Retry-After.
 */
void answer_later(struct buffer *out, const char *sentence, int64_t retry_ms, bool accepts_stream,
	bool head_only, const struct answer_cors *cors);

#endif
