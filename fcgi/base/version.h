/*
 * version: which rowtail this is: its number, and the commit that it was built from.
 *
 * The only file that is built anew for each commit. A build without a Git repository knows no
 * commit.
 */
#ifndef ROWTAIL_BASE_VERSION_H
#define ROWTAIL_BASE_VERSION_H

#include <stdio.h>

/* "0123456789ab", with "-dirty" if files had changed since; "" if unknown. */
const char *version_commit(void);

/*
 * Prints a line: the program, its version, and in parentheses the libraries and the commit, as in
 * "rowtail 0.1.0 (SQLite 3.40.1, commit 0123456789ab)".
 */
void version_print(FILE *out, const char *program, const char *libraries);

#endif
