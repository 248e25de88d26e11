/*
 * http: reads one HTTP/1.x request from bytes that arrive in parts.
 *
 * Does no I/O. Only http.c includes llhttp, the parser. http_head checks each byte of a head before
 * llhttp sees it, and then the fields that decide where the request ends. So a request that another
 * program could read differently is refused, whatever llhttp's version tolerates. A reader reads
 * one request: a new request needs a new reader.
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
	HTTP_MORE, /* used all bytes; the request is incomplete */
	HTTP_WHOLE,
	HTTP_BAD, /* refuse it with `status` and `sentence`, and close the connection */
	HTTP_NO_MEMORY, /* close the connection */
};

struct http_reader;

/* Was this program built with llhttp? If not, http_new() returns NULL. */
bool http_is_built(void);

/* NULL if there is no memory. */
struct http_reader *http_new(void);
void http_free(struct http_reader *r);

/*
 * Reads bytes until the request is complete. *used: how many it took. If keep_alive is set, the
 * rest belongs to the next request. After chunks, *used may include bytes that follow the request.
 * Call again only after HTTP_MORE.
 */
enum http_state http_read(struct http_reader *r, const uint8_t *bytes, size_t length, size_t *used);

/* Have any bytes of the request arrived? */
bool http_has_begun(const struct http_reader *r);

/* Is the head complete, and does the client wait for "100 Continue"? True once. */
bool http_wants_continue(struct http_reader *r);

/* NULL until the head is complete and valid. The body is valid once it is complete. */
const struct http_request *http_request(const struct http_reader *r);

/* Why a request is HTTP_BAD. */
const struct http_problem *http_problem(const struct http_reader *r);

#endif
