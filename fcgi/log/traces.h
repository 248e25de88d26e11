/*
 * traces: removes the -wal and -shm that reading a database in WAL mode creates.
 *
 * A reader that may not write the database leaves both files behind, with its own user as their
 * owner: then programs of other users may be unable to write. traces removes them as SQLite does,
 * under a lock on the database that keeps everybody else out. If root opens them, SQLite gives them
 * the owner of the database; traces gives them back.
 */
#ifndef ROWTAIL_TRACES_H
#define ROWTAIL_TRACES_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct traces {
	char real[PATH_MAX]; /* the database's path, symbolic links resolved */
	struct stat wal, shm; /* as they were before; st_ino 0: not there */
};

/* Call it before the database is opened. real: its path, symbolic links resolved. */
void traces_note(struct traces *t, const char *real);

/* Would reading create a file that this user could not take away again? */
bool traces_would_stay(const struct traces *t);

/*
 * Removes what was not there before, unless another program uses it, or the -wal has content; and
 * restores owners. Call it when no connection of this process has the database open.
 */
void traces_undo(const struct traces *t);

#endif
