/*
 * request: from the parameters and the body of a FastCGI or CGI request to what is asked for, or
 * to a status and a sentence that says what would be right.
 *
 * Pure. Owns the parsing of methods, query strings, bodies, headers and positions (interface,
 * section 3); never looks anything up: whether a position holds, or a channel is granted, is not
 * its question. Only parameters that a web server sets are trusted; HTTP_* come from the client.
 */
#ifndef ROWTAIL_REQUEST_H
#define ROWTAIL_REQUEST_H

#include <stddef.h>

#include "request/asked.h"

/*
 * Parses. params: "NAME=value" strings, NULL at the end (libfcgi's and CGI's environment alike);
 * the first of two equal names counts, but every Last-Event-ID is read. body: of a POST, read to its end; may be NULL when empty.
 * Copies what it keeps. Returns 0 and fills *r, to be given to request_free(); or -1 and fills
 * *problem, and then in *r only method, origin, requested_headers, accepts_stream, remote_addr are
 * of use (for the CORS headers and the kind of the answer), and it must be freed as well.
 * For OPTIONS and for pages other than the stream, neither query nor body is looked at, and the
 * lists stay empty. An empty ROWTAIL_PAGE counts as none.
 */
int request_parse(struct request *r, char *const *params, const void *body, size_t body_length,
	struct request_problem *problem);

/* Gives back what request_parse() took; harmless for a zeroed request. */
void request_free(struct request *r);

/*
 * The value of a parameter in a "NAME=value" list, or NULL; the first of equal names. Borrowed.
 */
const char *request_param(char *const *params, const char *name);

#endif
