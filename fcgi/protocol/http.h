/*
 * http: reads one HTTP/1.x request from bytes that arrive in parts.
 *
 * Does no I/O. llhttp parses; http.c is the only file that includes it. Before llhttp sees a head,
 * http_head checks it byte by byte, and after that checks what decides where a request ends. So a
 * request that another program could read differently is refused, whatever llhttp's version
 * tolerates. A reader reads one request: a new request needs a new reader.
 *
 * Source: RFC 9112 (HTTP/1.1), sections 2.2, 3, 5, 6, 7 and 11.2 (request smuggling); RFC 9110,
 * section 10.1.1 (Expect); RFC 6585, section 5 (431).
 */
#ifndef ROWTAIL_HTTP_H
#define ROWTAIL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/http_head.h"

enum http_state {
	HTTP_MORE, /* all bytes are used; the request is incomplete */
	HTTP_WHOLE,
	HTTP_BAD, /* refuse it with `status` and `sentence`, and close the connection */
};

struct http_reader;

/* Was this program built with llhttp? If not, http_new() returns NULL. */
bool http_is_built(void);

/* NULL if there is no memory. */
struct http_reader *http_new(void);
void http_free(struct http_reader *r);

/*
 * Reads bytes until the request is whole. *used: how many it took; the rest belongs to the next
 * request, if keep_alive allows one: of what follows chunks, some may be used too. Not to be called again after another result than HTTP_MORE.
 */
enum http_state http_read(struct http_reader *r, const uint8_t *bytes, size_t length, size_t *used);

/* Have any bytes of the request arrived? */
bool http_has_begun(const struct http_reader *r);

/* Is the head complete, and does the client wait for "100 Continue"? True once. */
bool http_wants_continue(struct http_reader *r);

/* The request; NULL until its head is complete and valid. The body counts once it is whole. */
const struct http_request *http_request(const struct http_reader *r);

/* Why a request is HTTP_BAD. */
const struct http_problem *http_problem(const struct http_reader *r);

#endif
