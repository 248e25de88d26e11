/*
 * accept: takes connections off the listening sockets, as long as there are descriptors.
 *
 * When the process or the system has none left, accepting pauses, and goes on when a connection has
 * gone or a moment later; those that wait are kept by the kernel's backlog, those that are open are
 * served meanwhile.
 */
#ifndef ROWTAIL_ACCEPT_H
#define ROWTAIL_ACCEPT_H

#include <stdbool.h>

#include "listen.h"

/* Begins to accept on all of them; borrowed until accept_stop(). False when the loop refuses. */
bool accept_start(const struct listeners *l);

/* A connection has gone: if accepting had paused for want of descriptors, it goes on. */
void accept_go_on(void);

/* Takes no more; what waits in the backlog is left to whoever else has the socket. */
void accept_stop(void);

/*
 * Raises the limit of open files as far as it goes, and says how many streams fit under it, of
 * those that are wanted.
 */
long accept_raise_limit(long wanted_streams);

#endif
