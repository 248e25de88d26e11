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
#include <stddef.h>
#include <stdint.h>

#include "server/listen.h"

/* Begins to accept on all of them; borrowed until accept_stop(). False when the loop refuses. */
bool accept_start(const struct listeners *l);

/* A connection has gone: if accepting had paused for want of descriptors, it goes on. */
void accept_go_on(void);

/* Takes no more; what waits in the backlog is left to whoever else has the socket. */
void accept_stop(void);

/* How many streams fit under a limit of open files. */
int64_t accept_streams_fit(int64_t files);

/* Raises that limit as far as it goes; returns how many streams fit under it, of those wanted. */
int64_t accept_raise_limit(int64_t wanted_streams);

/* How many connections that are no streams may stay open for a while, beside so many streams. */
size_t accept_spare(int64_t streams);

#endif
