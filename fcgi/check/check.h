/*
 * check: --check, which prints what is wrong and how to fix it.
 *
 * Runs one section after the other (section.h), in a process of its own: if a file system does not
 * answer, the report ends with that. Serves nothing, changes nothing, leaves no file behind.
 */
#ifndef ROWTAIL_CHECK_H
#define ROWTAIL_CHECK_H

#include "config/config.h"

/*
 * Prints its findings to standard output, as text or with --json as an object. Returns 0 if all is
 * well, else an exit status (66, 70, 71, 78).
 */
int check_run(const struct config *config);

#endif
