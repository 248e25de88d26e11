/*
 * follow: --follow QUERY, which prints the stream that a query string asks for.
 *
 * For whoever debugs a publisher. Uses the same parts as CGI mode, with a terminal or a pipe in
 * place of the client. Asks nobody's permission: whoever runs it can read the database. Ends on a
 * signal, or when standard output closes.
 */
#ifndef ROWTAIL_FOLLOW_H
#define ROWTAIL_FOLLOW_H

#include "server/responder.h"

/*
 * Begins to print what `query` asks for: the event stream without the head of the answer, or with
 * format=json each row as a line of JSON. False if the query is refused; then *status is the exit
 * status, and the reason is on standard error.
 */
bool follow_begin(struct responder *responder, const char *query, int *status);

/* Ends the stream at once, if there is one. */
void follow_close(void);

#endif
