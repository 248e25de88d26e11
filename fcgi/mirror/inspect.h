/*
 * inspect: --check of rowtail-mirror. Looks at PostgreSQL and the copy, prints what is wrong and
 * how to fix it, and changes nothing.
 */
#ifndef ROWTAIL_MIRROR_INSPECT_H
#define ROWTAIL_MIRROR_INSPECT_H

#include "config/config.h"
#include "mirror/copy.h"

/*
 * Prints its findings to standard output. Needs loop_init(). Returns 0 if all is well, else an exit
 * status (66: the copy cannot be made there, 69: PostgreSQL cannot be reached, 78).
 */
int inspect_run(const struct config *config, struct copy *copy);

#endif
