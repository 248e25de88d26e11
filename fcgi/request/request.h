/*
 * request: parses the parameters and the body of a FastCGI, HTTP or CGI request. The result is what
 * the client asks for, or a status and a sentence that says what would be right.
 *
 * Pure. Owns the parsing of methods, query strings, bodies, headers and positions (rowtail(8),
 * REQUESTS). Never checks whether a position is valid or a channel is granted. Trusts only the
 * parameters that a web server sets. HTTP_* come from the client.
 */
#ifndef ROWTAIL_REQUEST_H
#define ROWTAIL_REQUEST_H

#include <stddef.h>

#include "request/asked.h"

/*
 * Parses a request. params: "NAME=value" strings, ending with NULL, as from libfcgi or CGI. Of
 * equal names, the first counts, but every Last-Event-ID is read. body: the whole body of a POST;
 * may be NULL if empty. Copies what it keeps. Returns 0 and fills *r, or -1 and fills *problem.
 * After -1, only method, origin, requested_headers, accepts_stream and remote_addr of *r are valid
 * (for the CORS headers and the kind of answer). The caller frees *r with request_free() in both
 * cases. For OPTIONS and for pages other than the stream, ignores query and body, and leaves the
 * lists empty. An empty ROWTAIL_PAGE counts as not set.
 */
int request_parse(struct request *r, char *const *params, const void *body, size_t body_length,
	struct request_problem *problem);

/* Frees what request_parse() allocated. Does nothing for a zeroed request. */
void request_free(struct request *r);

/*
 * Returns the value of a parameter in a "NAME=value" list, or NULL. Of equal names, the first
 * counts. The value is borrowed.
 */
const char *request_param(char *const *params, const char *name);

/* The same; "" if it is not in the list. */
const char *request_param_or_empty(char *const *params, const char *name);

/*
 * Should a refused client get an event stream, not a plain status? Yes if its Accept names
 * text/event-stream, unless its query asks for format=json. Allocates nothing.
 */
bool request_accepts_stream(char *const *params);

#endif
