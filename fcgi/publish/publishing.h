/*
 * publishing: answers a request to publish.
 *
 * Owns the order of the checks: method, size, site, shape, permission, then store. Does no I/O with
 * the client.
 */
#ifndef ROWTAIL_PUBLISHING_H
#define ROWTAIL_PUBLISHING_H

#include <stdbool.h>

#include "access/access.h"
#include "base/buffer.h"
#include "config/config.h"
#include "log/eventlog.h"
#include "publish/store.h"

/* What this process serves. Made once by main.c. */
struct publishing {
	const struct config *config;
	struct eventlog *log; /* for access */
	struct access *access;
	struct store *store;
	const bool *closing;
};

/* Borrows it for good. */
void publishing_init(const struct publishing *p);

/* Writes the answer, as CGI output. For struct responder. */
void publishing_respond(struct buffer *out, char *const *params, const void *body, size_t length);

#endif
