/*
 * cgi: sends one stream to standard output, then ends.
 *
 * Uses the same parts as FastCGI mode, with another sink and one subscriber. Ends when standard
 * output closes, on a signal (signals.h), at --max-stream-age, or after a finite answer. If that
 * answer is an event stream that asks the client to reconnect, it ends a second later (see
 * connection_held.c).
 *
 * Source: RFC 3875 (CGI/1.1), sections 4.1 (meta-variables) and 4.2 (request body).
 */
#ifndef ROWTAIL_CGI_H
#define ROWTAIL_CGI_H

#include "server/responder.h"

/*
 * Reads the request from the environment and standard input, and begins to answer. Standard input
 * may be slow: this process serves nobody else. False if the answer is already complete; then
 * nothing runs in the loop.
 */
bool cgi_begin(struct responder *responder, char *const *environment);

/* Ends the stream at once, if there is one. */
void cgi_close(void);

#endif
