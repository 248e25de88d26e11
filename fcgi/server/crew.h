/*
 * crew: several processes that serve the same sockets (--processes).
 *
 * The parent holds the sockets. It forks the processes before anything else is opened, so each
 * opens the database itself. It passes on the signals that end rowtail, and starts a process again
 * that ended by itself, after a pause that doubles from 0.1 to 10 s. If a process ends because of
 * its configuration or the database right after the start, the parent ends them all with its
 * status. A process whose parent has died ends like at SIGTERM.
 *
 * The processes share their counters: metrics, open streams, and streams of each client. Without
 * --processes, and without a socket (CGI, --follow), there is one process, and nothing here forks.
 */
#ifndef ROWTAIL_CREW_H
#define ROWTAIL_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "server/listen.h"

enum { CREW_MOST = 64 };

/*
 * Forks the processes, with signals held, before anything but the sockets is open, and returns in
 * each of them. The parent never returns: it removes its sockets and exits when all have ended.
 * False if the system refuses.
 */
bool crew_begin(struct listeners *l, const struct config *config);

/* How many processes serve. */
size_t crew_size(void);

/* This process has so many streams open. */
void crew_set_streams(size_t streams);

/* Streams that all processes have open. */
size_t crew_streams(void);

/* The slowest stream of this process is so many ids behind; that of all processes. */
void crew_set_lag(int64_t lag);
int64_t crew_lag(void);

/* This process has so many connections open, streams included. */
void crew_set_connections(size_t connections);

/* Has this process clearly more of them than its share? Then the others should accept first. */
bool crew_is_ahead(void);

/*
 * Counts a stream of a client, whose hash is in hex digits; NULL if it has its limit in all
 * processes already. Only with --max-streams-per-client.
 */
struct census_entry *crew_take(const char *hex, int64_t most);
void crew_give(struct census_entry *client);

#endif
