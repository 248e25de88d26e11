/*
 * http_params: an HTTP request as the parameters that a web server would have passed on.
 *
 * Pure. request_parse() reads them. A client can only set HTTP_*, CONTENT_TYPE, CONTENT_LENGTH and
 * the parameters derived from its URL: never REMOTE_USER, ROWTAIL_PAGE or ROWTAIL_MOUNT.
 *
 * Source: RFC 3875, section 4.1 (meta-variables); RFC 9112, section 3.2 (request targets).
 */
#ifndef ROWTAIL_HTTP_PARAMS_H
#define ROWTAIL_HTTP_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/network.h"
#include "protocol/http_head.h"

struct http_params {
	char **list; /* "NAME=value"; NULL at the end */
	struct buffer text;
};

/* Where the request was received. */
struct http_place {
	const char *mount; /* --http-path: "/", or a path without a slash at its end */
	const char *page; /* ROWTAIL_PAGE: the request is for this page; NULL: for a stream */
	const char *remote_addr;
};

/*
 * Makes the parameters of a request. The caller frees them with http_params_free(). False if there
 * is no memory.
 */
bool http_params_make(
	struct http_params *p, const struct http_request *q, const struct http_place *place);
void http_params_free(struct http_params *p);

/* Is the URL at the mount point or below it? */
bool http_params_is_below(const char *target, const char *mount);

/* The name of the page at this URL: "metrics" for /metrics. NULL if there is none. */
const char *http_params_page(const char *target);

/*
 * Finds the client's address: the peer's, or, if the peer is trusted, the last untrusted address in
 * X-Forwarded-For. peer: NULL for a unix socket, which is trusted if `trust_unix` is set. Writes ""
 * if the address is unknown.
 */
struct http_trust {
	const struct network *proxies;
	size_t count;
	bool trust_unix;
};
void http_params_client(char client[NETWORK_TEXT], const struct network *peer,
	const struct http_trust *trust, const struct http_request *q);

#endif
