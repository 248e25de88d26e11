/*
 * What listen.c (making sockets), listen_check.c (could one be made?) and listen_address.c (where?) share. For
 * nobody else.
 */
#ifndef ROWTAIL_LISTEN_IMPL_H
#define ROWTAIL_LISTEN_IMPL_H

#include <stdint.h>
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

struct listen_addresses {
	struct sockaddr_storage list[LISTEN_MAX]; /* no two alike */
	size_t count;
	uint16_t port;
};

/*
 * The addresses that HOST:PORT, [HOST]:PORT or :PORT means; config has found it to be one of these. A name is
 * looked up in /etc/hosts and nowhere else: a start must not wait for a name server, and a static program
 * cannot load the libraries that ask one. False: the sentence says what would be right.
 */
bool listen_addresses(struct listen_addresses *a, const char *listen, char *sentence, size_t size);

socklen_t listen_address_size(const struct sockaddr *address);

bool listen_is_loopback(const struct sockaddr *address);

#endif
