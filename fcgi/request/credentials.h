/*
 * credentials: finds the token in a request.
 *
 * Pure. Knows the three places for a token and which one counts, but not whether a token is valid.
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
	bool is_cookie; /* sent by a browser automatically, not chosen by the client */
	const char *more; /* the cookies after this one, or NULL; for credentials_next() */
};

/*
 * Finds the token: in an Authorization header with the scheme Bearer, else in `access_token`, else
 * in the first cookie rowtail_token. Each may be NULL. An empty token counts as present. An empty
 * cookie does not, because deleting a cookie leaves it empty. False if there is no token.
 */
bool credentials_find(struct credentials *c, const char *authorization, const char *access_token,
	const char *cookie);

/*
 * Finds the next cookie rowtail_token. A browser sends the cookies of the path and of its parents,
 * and a stale one may come first (RFC 6265, section 5.4). If there is none, returns false and
 * changes nothing.
 */
bool credentials_next(struct credentials *c);

#endif
