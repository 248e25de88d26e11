/*
 * accept: accepts connections on the listening sockets while there are file descriptors.
 *
 * When the process or the system runs out of descriptors, accepting pauses. It resumes when a
 * connection has closed, or after a moment. Meanwhile new connections wait in the kernel's backlog,
 * and open ones are served.
 */
#ifndef ROWTAIL_ACCEPT_H
#define ROWTAIL_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/listen.h"

/* Begins to accept on all sockets, borrowed until accept_stop(). False if the loop refuses. */
bool accept_start(const struct listeners *l);

/* A connection has closed: resumes accepting if it had paused for lack of descriptors. */
void accept_go_on(void);

/* Stops accepting. Connections in the backlog are left to other processes with the same socket. */
void accept_stop(void);

/* How many streams fit under an open-files limit. */
int64_t accept_streams_fit(int64_t files);

/* Raises the open-files limit as far as possible. Returns how many of the wanted streams fit. */
int64_t accept_raise_limit(int64_t wanted_streams);

/* How many connections that are not streams may stay open, besides this many streams. */
size_t accept_spare(int64_t streams);

#endif
