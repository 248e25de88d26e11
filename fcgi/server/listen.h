/*
 * listen: finds out how this process was started, and owns its listening sockets.
 *
 * The sockets are inherited as descriptor 0 (FastCGI), passed by systemd, or its own. A socket that
 * systemd passes is for HTTP if its name (FileDescriptorName=) is http, for the pages if it is
 * pages, and otherwise for FastCGI. Never takes a socket away from a running process. Replaces a
 * socket that nobody listens on; the path exists at every moment.
 */
#ifndef ROWTAIL_LISTEN_H
#define ROWTAIL_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum { LISTEN_MAX = 32, LISTEN_SENTENCE_MAX = 512 };

enum listen_kind {
	LISTEN_SOCKETS,
	LISTEN_CGI, /* one request in the environment, standard input and output */
	LISTEN_NOWHERE, /* started by hand without --listen, --http or --pages */
};

/* What is spoken on a socket. */
enum listen_protocol {
	LISTEN_FOR_FASTCGI, /* --listen, or inherited otherwise */
	LISTEN_FOR_HTTP, /* --http, or passed as "http" */
	LISTEN_FOR_PAGES, /* --pages, or passed as "pages": HTTP */
};

struct listener {
	int fd; /* non-blocking, close-on-exec */
	enum listen_protocol protocol;
	bool own; /* made here, not inherited */
	char path[108]; /* of our own unix socket; "": none */
	unsigned long long inode; /* of that path when we made it */
};

struct listeners {
	enum listen_kind kind;
	struct listener list[LISTEN_MAX];
	size_t count;
};

/* Did something start this process with a socket or a CGI request? */
bool listen_is_served(void);

/*
 * Finds or makes the sockets. On failure returns false and a sentence that says what to do (exit
 * status 78).
 */
bool listen_open(struct listeners *l, const struct config *config, char *sentence, size_t size);

/*
 * Makes a socket non-blocking again. Processes on one inherited socket share this flag, and systemd
 * clears it when it starts another service with the socket. accept() then blocks a process when
 * another one was faster, but only for some milliseconds (SO_RCVTIMEO).
 */
void listen_unblock(const struct listener *l);

enum listen_finding {
	LISTEN_FREE, /* a socket can be made; the sentence says who can connect */
	LISTEN_SERVED, /* rowtail or systemd listens there now, perhaps this very service */
	LISTEN_DOUBTFUL, /* it can be made, but either too many can connect or nobody */
	LISTEN_IMPOSSIBLE,
};

/* Where a socket is to be made. */
struct listen_wish {
	const char *address; /* PATH, HOST:PORT or :PORT */
	enum listen_protocol protocol;
	unsigned mode; /* of a unix socket */
};

/*
 * The n-th socket that the configuration asks for; false if there are fewer.
 */
bool listen_wish(const struct config *config, size_t n, struct listen_wish *wish);

/* Has an earlier one the same address? */
bool listen_is_repeated(const struct config *config, size_t n);

/*
 * Could this socket be made? Makes and removes none. If one is there, connects to it and hangs up.
 */
enum listen_finding listen_check(const struct listen_wish *wish, char *sentence, size_t size);

/* The path of the first unix socket of our own, or "". */
const char *listen_path(const struct listeners *l);

/* Closes our own sockets. Removes the path of a unix socket if it is still the same. */
void listen_close_own(struct listeners *l);

/* Closes all sockets, the same way. */
void listen_close(struct listeners *l);

#endif
