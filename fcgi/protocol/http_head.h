/*
 * http_head: checks that the head of an HTTP request is unambiguous.
 *
 * Pure. Refuses a head that two programs on the way could read differently: CR or LF not at a line
 * end, NUL, folded lines, space before a colon, more than one length or host.
 *
 * Source: RFC 9112, sections 2.2, 3, 3.2, 5.1, 5.2, 6.1, 6.3; RFC 9110, sections 5.5, 5.6.2, 7.2.
 */
#ifndef ROWTAIL_HTTP_HEAD_H
#define ROWTAIL_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP_HEAD_MAX = 64 * 1024, /* the request line and the fields */
	HTTP_TARGET_MAX = 48 * 1024,
	HTTP_FIELDS_MAX = 200,
	HTTP_BODY_MAX = 64 * 1024,
	HTTP_CODED_MAX = 4 * HTTP_BODY_MAX, /* a body, including chunk framing */
};

struct http_field {
	const char *name, *value; /* as sent, without white space around the value */
};

struct http_request {
	const char *method, *target;
	struct http_field *fields;
	size_t field_count;
	const uint8_t *body;
	size_t body_length;
	bool is_1_0; /* HTTP/1.0: an answer has no chunks */
	bool keep_alive; /* another request may follow on the connection */
};

/* Why a request is refused. */
struct http_problem {
	int status;
	const char *sentence;
};

/* The value of the first field with this name, ignoring case. NULL if there is none. */
const char *http_field(const struct http_request *q, const char *name);

/* Can a head begin with this byte? TLS and FastCGI begin with others. */
bool http_head_begins_with(char first);

/* Checks the bytes of a whole head, including its empty line. If false, fills *problem. */
bool http_head_is_sane(const char *head, size_t length, struct http_problem *problem);

/* How long the body is. */
struct http_length {
	bool chunked;
	bool has_length;
	uint64_t length;
};

/* Checks the fields of a request. If false, fills *problem. */
bool http_head_fields(
	const struct http_request *q, struct http_length *length, struct http_problem *problem);

/* Does a list such as "keep-alive, TE" contain the token? Ignores case. */
bool http_head_has_token(const char *list, const char *token);

#endif
