/*
 * What these files share, and nobody else uses: listen.c (making sockets), listen_check.c (could
 * one be made?) and listen_address.c (where?).
 */
#ifndef ROWTAIL_LISTEN_IMPL_H
#define ROWTAIL_LISTEN_IMPL_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "server/listen.h"

/*
 * Connects to this path and hangs up at once, to see if a process listens there. Returns 0 and sets
 * *listener (0 if unknown); else an errno, ECONNREFUSED if nobody listens.
 */
int listen_try_path(const struct sockaddr_un *address, pid_t *listener);

/* Is there a file that must not be removed? Then the sentence says so. */
bool listen_is_other_file(const char *path, char *sentence, size_t size);

struct listen_addresses {
	struct sockaddr_storage list[LISTEN_MAX]; /* no duplicates */
	size_t count;
	uint16_t port;
	bool first_suffices; /* :PORT, where ::1 is only for clients that look up localhost */
};

/*
 * Resolves HOST:PORT, [HOST]:PORT or :PORT; config has checked the syntax. Looks up a name only in
 * /etc/hosts: startup must not wait for a name server, and a static program cannot load the
 * libraries that ask one. On failure returns false and a sentence that says what to do.
 */
bool listen_addresses(struct listen_addresses *a, const char *listen, char *sentence, size_t size);

/* May this one of the addresses be left out, which cannot be bound because of this errno? */
bool listen_may_lack(const struct listen_addresses *a, size_t i, int error);

/* Writes why nothing can listen at this address, by the errno, and what to do. */
void listen_tell(const char *address, uint16_t port, int error, char *sentence, size_t size);

/* The size of the structure for an address of this family. */
socklen_t listen_address_size(const struct sockaddr *address);

/* Can only this machine reach it? For IPv4 and IPv6. */
bool listen_is_loopback(const struct sockaddr *address);

#endif
