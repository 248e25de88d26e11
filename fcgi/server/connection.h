/*
 * connection: one FastCGI or HTTP connection, from its first byte to its last.
 *
 * Owns the descriptor and its current phase: a request arriving, a stream running, an answer being
 * sent, waiting for the peer to close. FastCGI and HTTP end here: the code above knows parameters,
 * not records or header fields. A FastCGI connection always closes after FCGI_END_REQUEST, even if
 * FCGI_KEEP_CONN was set. An HTTP connection can serve several requests, one after the other.
 */
#ifndef ROWTAIL_CONNECTION_H
#define ROWTAIL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "server/listen.h"
#include "server/responder.h"

/* Sets up, once. Borrows the responder for good. */
void connections_init(struct responder *responder);

/*
 * Takes over an accepted, non-blocking descriptor. False, and it is closed, if there is no memory.
 */
bool connection_begin(int fd, enum listen_protocol protocol);

/*
 * How many answers may be held at once (see connection_held.c); above that, the oldest ends first.
 */
void connections_hold_at_most(size_t count);

/* Ends all held answers and idle connections. From now on no answer is held. */
void connections_let_go(void);

/* The number of connections, including streams. */
size_t connections_count(void);

/*
 * Called when there are no descriptors left. Ends a connection that only waits for its peer to
 * close, or the one whose request has been arriving for longest, if that is more than a second.
 * False if there is none.
 */
bool connections_make_room(void);

/* Sets a function to call when a connection has ended, so that a waiting one can be accepted. */
void connections_on_end(void (*ended)(void));

/* Closes all connections, whatever their phase. */
void connections_close_all(void);

#endif
