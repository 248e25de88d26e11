/*
 * pages: /metrics, /status and /health of rowtail-mirror, on --pages.
 *
 * Owns what is on them; rowtail's HTTP server serves them.
 */
#ifndef ROWTAIL_MIRROR_PAGES_H
#define ROWTAIL_MIRROR_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/*
 * Begins to serve, if --pages is given. Borrows config for good. False, with a sentence, if the
 * socket cannot be made.
 */
bool pages_begin(const struct config *config, char *sentence, size_t size);
/* Closes the socket and all connections. */
void pages_end(void);

#endif
