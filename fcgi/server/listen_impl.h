/*
 * What listen.c (making sockets) and listen_check.c (could one be made?) share. For nobody else.
 */
#ifndef ROWTAIL_LISTEN_IMPL_H
#define ROWTAIL_LISTEN_IMPL_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "server/listen.h"

/*
 * Does somebody listen on this path? 0, and *listener (0 where it is not known), or why not:
 * ECONNREFUSED where nobody does. It connects, and hangs up at once.
 */
int listen_try_path(const struct sockaddr_un *address, pid_t *listener);

/* Is something there that must not be taken away? Then the sentence says so. */
bool listen_is_other_file(const char *path, char *sentence, size_t size);

/* HOST:PORT, [HOST]:PORT or :PORT, which config has found to be one of these. */
void listen_split(const char *listen, char *host, size_t host_size, const char **port);

bool listen_is_loopback(const struct sockaddr *address);

#endif
