/*
 * cgi: one stream to standard output, and then the end.
 *
 * The same parts as in FastCGI mode with another sink and one subscriber. Ends when standard output
 * closes, on a signal (signals.h), at --max-stream-age, or with an answer that is no stream; where that
 * is an event stream that asks the client to come back, a second later (see connection_held.c).
 *
 * Source: RFC 3875 (CGI/1.1), sections 4.1 (meta-variables) and 4.2 (request body).
 */
#ifndef ROWTAIL_CGI_H
#define ROWTAIL_CGI_H

#include "server/responder.h"

/*
 * Reads the request from the environment and standard input (which may be slow: this process has
 * nobody else to serve), and begins to answer. False when the answer is done already: nothing runs
 * in the loop then.
 */
bool cgi_begin(struct responder *responder, char *const *environment);

/* Ends what still runs, at once. */
void cgi_close(void);

#endif
