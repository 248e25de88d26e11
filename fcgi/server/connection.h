/*
 * connection: one FastCGI connection, from its first byte to its last.
 *
 * Owns the descriptor and what it is at: a request arriving, a stream running, an answer on its
 * way, a last look whether the peer has closed. The web server's side of FastCGI ends here:
 * everything behind knows parameters, not records. It is always the responder that closes, after
 * FCGI_END_REQUEST, also when FCGI_KEEP_CONN was asked.
 */
#ifndef ROWTAIL_CONNECTION_H
#define ROWTAIL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "server/responder.h"

/* Sets up; once. The responder is borrowed for good. */
void connections_init(struct responder *responder);

/* Takes over an accepted, non-blocking descriptor. False (and it is closed) without memory. */
bool connection_begin(int fd);

/* How many answers may be held at once (see connection_held.c); the oldest goes first. */
void connections_hold_at_most(size_t count);

/* Ends all answers that are held; from now on none is. */
void connections_let_go(void);

/* How many there are, streams included. */
size_t connections_count(void);

/*
 * There are no descriptors left: ends the connection whose request has been arriving for longest, if that
 * is more than a second, or that only waits for its peer to close. False when there is none.
 */
bool connections_make_room(void);

/* Called when a connection has gone, so that one that waits can be accepted. */
void connections_on_end(void (*ended)(void));

/* Closes all that are left, whatever they are at. */
void connections_close_all(void);

#endif
