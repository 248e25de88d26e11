/*
 * refusal: why a request gets no stream. Each reason is a label of the counter
 * rowtail_refused_total.
 */
#ifndef ROWTAIL_REFUSAL_H
#define ROWTAIL_REFUSAL_H

enum refusal {
	REFUSED_BAD_REQUEST, /* 400, 405, 413, 415 */
	REFUSED_UNAUTHORIZED, /* 401 */
	REFUSED_FORBIDDEN, /* 403 */
	REFUSED_TOO_MANY_ATTEMPTS, /* 429 */
	REFUSED_FULL, /* --max-streams */
	REFUSED_CLIENT_FULL, /* --max-streams-per-client */
	REFUSED_DATABASE,
	REFUSED_SHUTDOWN,
	REFUSED_PROTOCOL, /* not FastCGI, or too slow */
	REFUSED_ENDED, /* 204: the channels have ended, and the client has everything */
};
enum { REFUSALS = REFUSED_ENDED + 1 };

/* "bad_request", … in the order of the reasons; NULL at the end. */
extern const char *const refusal_names[];

/* Counts a refusal: rowtail_refused_total. */
void refusal_count(enum refusal reason);

#endif
