/*
 * trouble: why a database cannot be read, in one sentence that says what would mend it.
 *
 * SQLite's own messages name neither the file nor the directory that is in the way, and take a journal
 * that has to be rolled back for a lack of permissions. Looks at the files around the database with
 * stat(2) and access(2), and opens none of them. Changes nothing.
 */
#ifndef ROWTAIL_TROUBLE_H
#define ROWTAIL_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "log/database.h"

/*
 * Is something at the path, or beside it, that is no plain file, so that to open it could wait for ever
 * or never end? Then the sentence says so.
 */
bool trouble_is_odd(const char *path, char *sentence, size_t size);

/* Why opening or reading failed. path: as the user wrote it. */
void trouble_explain(
	const char *path, const struct database_failure *why, char *sentence, size_t size);

/* Of a database that has been locked for some seconds: by whom, where that can be seen, and the cure. */
void trouble_locked(const char *path, char *sentence, size_t size);

/*
 * Is there a process that writes to a database in WAL mode without anything of it arriving here, since it
 * uses another -wal and -shm? It is believed when it was seen in two calls, some time apart: *suspect
 * keeps it between them, 0 at first.
 */
bool trouble_is_apart(const char *path, pid_t *suspect, char *sentence, size_t size);

#endif
