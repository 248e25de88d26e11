/*
 * connection: one FastCGI or HTTP connection, from its first byte to its last.
 *
 * Owns the descriptor and its current phase: a request arriving, a stream running, an answer being
 * sent, waiting for the peer to close. The code above sees parameters, never FastCGI records or
 * HTTP fields. A FastCGI connection always closes after FCGI_END_REQUEST, even if FCGI_KEEP_CONN
 * was set. An HTTP connection can serve several requests, one after the other.
 */
#ifndef ROWTAIL_CONNECTION_H
#define ROWTAIL_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "server/listen.h"
#include "server/responder.h"

/* Call once. Borrows the responder until the program ends. */
void connections_init(struct responder *responder);

/*
 * Takes over an accepted, non-blocking descriptor. If there is no memory, closes it and returns
 * false.
 */
bool connection_begin(int fd, enum listen_protocol protocol);

/* Limits held answers (see connection_held.c). Above the limit, the oldest ends first. */
void connections_hold_at_most(size_t count);

/*
 * Call at shutdown. Ends all held answers and idle connections, and holds no answer from now on.
 * Requests that are still arriving get little time. Then they are answered, not just closed.
 */
void connections_let_go(void);

/* The number of connections, including streams. */
size_t connections_count(void);

/*
 * Call when there are no descriptors left. Ends the oldest connection that only waits for its peer
 * to close, is idle, or has been receiving its request for more than a second. False if there is
 * none.
 */
bool connections_make_room(void);

/* Sets a function to call after a connection ends. It can then accept a waiting connection. */
void connections_on_end(void (*ended)(void));

/* Closes all connections, whatever their phase. */
void connections_close_all(void);

#endif
