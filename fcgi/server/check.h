/*
 * check: --check, which prints what is wrong and how to fix it.
 *
 * Checks the configuration, the database, permissions, journal mode, schema, and what is needed to
 * serve. Serves nothing, changes nothing.
 */
#ifndef ROWTAIL_CHECK_H
#define ROWTAIL_CHECK_H

#include "config/config.h"

/*
 * Prints its findings to standard output. Returns 0 if all is well, else an exit status (66, 78).
 */
int check_run(const struct config *config);

#endif
