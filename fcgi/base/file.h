/*
 * file: reads the small files that users name, without blocking.
 *
 * Owns nothing. Reads a plain file or an unnamed pipe, which is what the shell's <(command) makes.
 * Refuses everything else: opening a FIFO waits for a writer, and a device may never end. Never
 * used for a database, because closing one of its descriptors would drop SQLite's locks.
 */
#ifndef ROWTAIL_FILE_H
#define ROWTAIL_FILE_H

#include <stddef.h>
#include <sys/types.h>

enum { FILE_WHY_MAX = 128 };

/*
 * Reads a file into bytes, which has room for most + 1 bytes. Returns the number of bytes read;
 * most + 1 means that the file is longer than `most`. Returns -1 if the file cannot be read, and
 * writes the reason to why[FILE_WHY_MAX]: "Permission denied", "it is a FIFO, not a plain file".
 */
ssize_t file_read(const char *path, char *bytes, size_t most, char *why);

/* "a directory", "a FIFO", "a socket" or "a device"; NULL for a plain file. */
const char *file_kind(mode_t mode);

#endif
