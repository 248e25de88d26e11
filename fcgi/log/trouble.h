/*
 * trouble: explains in one sentence why a database cannot be read, and what fixes it.
 *
 * SQLite's own messages do not name the file or directory that is the problem, and report a journal
 * that must be rolled back as missing permissions. Examines the files around the database with
 * stat(2) and access(2), and opens none of them. Changes nothing.
 */
#ifndef ROWTAIL_TROUBLE_H
#define ROWTAIL_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "log/database.h"

/*
 * Is the path, or a file that belongs beside it, not a plain file, so that opening or reading it
 * could block for ever? Then the sentence says so.
 */
bool trouble_is_odd(const char *path, char *sentence, size_t size);

/* Why opening or reading failed. path: as the user wrote it. */
void trouble_explain(
	const char *path, const struct database_failure *why, char *sentence, size_t size);

/*
 * For a database that has been locked for some seconds: who holds the lock, if known, and what to
 * do.
 */
void trouble_locked(const char *path, char *sentence, size_t size);

/*
 * Does a process write to this WAL-mode database with another -wal and -shm, so that nothing it
 * writes arrives here? Two calls, some time apart, must see it before this returns true. *suspect
 * keeps it between the calls; it is 0 at first.
 */
bool trouble_is_apart(const char *path, pid_t *suspect, char *sentence, size_t size);

#endif
