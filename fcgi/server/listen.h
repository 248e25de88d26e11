/*
 * listen: finds out how this process was started, and owns its FastCGI sockets.
 *
 * The listening sockets are inherited as descriptor 0, passed by systemd, or its own. Never takes a
 * socket away from a running process. Replaces a socket that nobody listens on; the path exists at
 * every moment.
 */
#ifndef ROWTAIL_LISTEN_H
#define ROWTAIL_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum { LISTEN_MAX = 16, LISTEN_SENTENCE_MAX = 512 };

enum listen_kind {
	LISTEN_FASTCGI,
	LISTEN_CGI, /* one request in the environment, standard input and output */
	LISTEN_NOWHERE, /* started by hand without --listen */
};

struct listeners {
	enum listen_kind kind;
	int fds[LISTEN_MAX]; /* non-blocking, close-on-exec */
	size_t count;
	bool own; /* made for --listen, not inherited */
	char path[108]; /* of our own unix socket; "": none */
	unsigned long long inode; /* of that path when we made it */
};

/* Did something start this process with a socket or a CGI request? */
bool listen_is_served(void);

/*
 * Finds or makes the sockets. On failure returns false and a sentence that says what to do (exit
 * status 78).
 */
bool listen_open(struct listeners *l, const struct config *config, char *sentence, size_t size);

enum listen_finding {
	LISTEN_FREE, /* a socket can be made; the sentence says who can connect */
	LISTEN_SERVED, /* rowtail or systemd listens there now, perhaps this very service */
	LISTEN_DOUBTFUL, /* it can be made, but either too many can connect or nobody */
	LISTEN_IMPOSSIBLE,
};

/*
 * Could a socket be made where --listen says? Makes and removes none. If one is there, connects to
 * it and hangs up.
 */
enum listen_finding listen_check(const struct config *config, char *sentence, size_t size);

/* Closes the sockets. Removes the path of our own unix socket if it is still the same. */
void listen_close(struct listeners *l);

#endif
