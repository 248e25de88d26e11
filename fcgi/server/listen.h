/*
 * listen: how this process was started, and the sockets on which FastCGI comes.
 *
 * Owns the listening sockets: inherited as descriptor 0, passed by systemd, or its own. A socket of
 * another process that lives is never taken away; one that nobody listens on is replaced, without a
 * moment in which the path leads nowhere.
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
	bool own; /* made by --listen, not inherited */
	char path[108]; /* of a unix socket of our own; empty: none */
	unsigned long long inode; /* of that path, when it was made */
};

/* Was the process started by something that has a socket or a CGI request for it? */
bool listen_is_served(void);

/* Finds or makes the sockets. False: the sentence says what would be right (exit status 78). */
bool listen_open(struct listeners *l, const struct config *config, char *sentence, size_t size);

enum listen_finding {
	LISTEN_FREE, /* a socket can be made; the sentence says for whom */
	LISTEN_SERVED, /* rowtail or systemd listens there now, perhaps this very service */
	LISTEN_DOUBTFUL, /* it can be made, and is open to others than it should be, or to none */
	LISTEN_IMPOSSIBLE,
};

/*
 * Could a socket be made where --listen says? Makes none, and takes none away; one that is there it
 * connects to, and hangs up.
 */
enum listen_finding listen_check(const struct config *config, char *sentence, size_t size);

/* Closes them; removes the path of a unix socket of our own if it is still that one. */
void listen_close(struct listeners *l);

#endif
