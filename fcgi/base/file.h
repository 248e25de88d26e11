/*
 * file: the small files that users name, read without waiting for anybody.
 *
 * Owns nothing. Reads a plain file, or a pipe without a name, which is what the shell's <(command)
 * makes. Refuses whatever else may stand at a path: to open a FIFO waits for a writer, a device may
 * have no end. Never used for a database: closing a descriptor of one would drop SQLite's locks.
 */
#ifndef ROWTAIL_FILE_H
#define ROWTAIL_FILE_H

#include <stddef.h>
#include <sys/types.h>

enum { FILE_WHY_MAX = 128 };

/*
 * Reads a file into bytes, which has room for most + 1 bytes. Returns how many there are; most + 1
 * means that there are more than `most`. Returns -1 when it can't be read, and in why[FILE_WHY_MAX]
 * the reason, such as "Permission denied" or "it is a FIFO, not a plain file".
 */
ssize_t file_read(const char *path, char *bytes, size_t most, char *why);

/* "a directory", "a FIFO", "a socket" or "a device" for what is no plain file; NULL for one. */
const char *file_kind(mode_t mode);

#endif
