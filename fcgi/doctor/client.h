/*
 * client: HTTP requests, many at once, whose answers become facts as they come.
 *
 * The only file that includes <curl/curl.h>. Each request has a connection of its own. Follows no
 * redirect, keeps no cookie, and uses no proxy.
 */
#ifndef ROWTAIL_DOCTOR_CLIENT_H
#define ROWTAIL_DOCTOR_CLIENT_H

#include <stdbool.h>

#include "doctor/facts.h"

/* An exchange that has sent so many bytes of body is closed: no page keeps up with that. */
enum { CLIENT_MOST = 64 << 20 };

struct exchange;

struct request {
	const char *url;
	const char *method; /* NULL for GET */
	const char *body; /* NULL without one */
	const char *const *headers; /* "Name: value", then NULL */
	const char *const *more_headers; /* the same; NULL without any */
	bool compressed; /* Accept-Encoding: gzip, deflate, br */
	bool http2;
};

/* Prepares the library. False without memory. */
bool client_begin(bool insecure);
void client_end(void);

/* "libcurl/7.88.1 …" */
const char *client_version(void);

/*
 * Sends a request. Its answer is written to *into, which must outlive the exchange. NULL without
 * memory. The caller passes the result to client_close().
 */
struct exchange *client_ask(const struct request *r, struct answer *into);

/* Closes the connection if it is still open, and frees the exchange. Accepts NULL. */
void client_close(struct exchange *e);

/* The absolute URL of a redirect; "" */
const char *client_redirect(const struct exchange *e);

/* Is the connection there, with TLS, so that the request was sent? Accepts NULL. */
bool client_is_connected(const struct exchange *e);

/* Has the answer ended, or failed? Accepts NULL, which is over. */
bool client_is_over(const struct exchange *e);

/* Lets all exchanges go on, for this long at most. */
void client_run(int ms);

#endif
