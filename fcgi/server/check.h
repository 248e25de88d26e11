/*
 * check: --check, which says in plain words what is wrong and how to mend it.
 *
 * Looks at the configuration, the database, permissions, journal mode, schema, and what is needed
 * to serve; serves nothing, changes nothing.
 */
#ifndef ROWTAIL_CHECK_H
#define ROWTAIL_CHECK_H

#include "config/config.h"

/* Prints its findings to standard output. 0: all is well; else an exit status (66, 78). */
int check_run(const struct config *config);

#endif
