/*
 * cure: for each fault and web server, the lines to write, and where.
 *
 * Pure: a table. In its texts @ stands for the path of the stream, such as /events, ` for the same
 * without its first slash, and @O for the origin of --origin. (Words that begin with @r or @p are
 * names in nginx and Caddy.) A line that a server allows once replaces one of the same name.
 */
#ifndef ROWTAIL_DOCTOR_CURE_H
#define ROWTAIL_DOCTOR_CURE_H

#include <stdbool.h>

#include "doctor/hops.h"

enum fault {
	FAULT_NONE,
	FAULT_BUFFERED,
	FAULT_COMPRESSED,
	FAULT_CUT,
	FAULT_DELAYED,
	FAULT_AUTHORIZATION,
	FAULT_COOKIE,
	FAULT_LAST_EVENT_ID,
	FAULT_QUERY,
	FAULT_PATH,
	FAULT_SLASH, /* %2F in the path */
	FAULT_ERROR_PAGES,
	FAULT_POST,
	FAULT_FRONT_CONTROLLER, /* another part of the site answers */
	FAULT_TYPE,
	FAULT_CACHED,
	FAULT_REWRITTEN,
	FAULT_CORS, /* no header at all */
	FAULT_CORS_TWICE,
	FAULT_PREFLIGHT,
	FAULT_LEAVING,
	FAULT_LEAVING_LATE, /* not noticed while no row comes */
	FAULT_ACCESS, /* rowtail refuses everybody */
	FAULT_DOWN, /* rowtail is not reached */
	FAULT_DOWN_ANSWER, /* and the answer ends an EventSource */
	FAULT_HTTP10,
	FAULT_HEARTBEAT,
};

struct cure {
	enum fault fault;
	enum server server; /* SERVER_ROWTAIL: rowtail's own CONFIG file, with any web server */
	const char *file, *place; /* the file as Debian names it; where in it */
	const char *lines; /* separated by \n */
};

/* The next cure after *at, which begins with 0, for one server; NULL after the last. */
const struct cure *cure_next(enum fault fault, enum server server, int *at);

/* Writes a text of a cure to to[size], with path and origin in it. */
void cure_text(char *to, size_t size, const char *text, const struct facts *f);

#endif
