/*
 * credentials: where in a request a token stands.
 *
 * Pure. Knows the three places and which of them counts; not whether a token is any good.
 *
 * Source: RFC 6750, sections 2.1 to 2.3 (bearer tokens); RFC 6265, section 4.2.1 (cookies).
 */
#ifndef ROWTAIL_CREDENTIALS_H
#define ROWTAIL_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

struct credentials {
	const char *token; /* not terminated; may be empty; borrowed from the request */
	size_t length;
	bool is_cookie; /* shown by a browser of itself, not by who asks */
	const char *more; /* cookies behind this one, or NULL; credentials_next()'s own */
};

/*
 * Finds the token: of an Authorization header with the scheme Bearer, else `access_token`, else of
 * the first cookie rowtail_token. Each may be NULL. An empty one counts as shown,
 * but for an empty cookie: that is how a cookie is taken back. False when there is none.
 */
bool credentials_find(struct credentials *c, const char *authorization, const char *access_token,
	const char *cookie);

/*
 * Finds the next cookie rowtail_token: a browser sends all that it has for the path and its parents, and a
 * stale one may come first (RFC 6265, section 5.4). False, and nothing changes, when there is none.
 */
bool credentials_next(struct credentials *c);

#endif
