/*
 * slots: limits the streams open at once where each stream is a process of its own (CGI).
 *
 * Owns one descriptor: the database's directory, which all processes of one log share. Each process
 * with a stream has a read lock on one byte of it. The kernel releases the lock when the process
 * ends, however it ends. slots writes nothing. It does not lock the database file, because closing
 * a descriptor of that file drops SQLite's locks.
 *
 * If the file system has no such locks (some network file systems), slots counts and refuses none.
 */
#ifndef ROWTAIL_SLOTS_H
#define ROWTAIL_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Sets the log whose streams are counted, and the limit on these processes: most, or less if the
 * user's process limit (RLIMIT_NPROC) is lower. A quarter of that stays free for polls and other
 * programs.
 */
void slots_begin(const char *database, int64_t most);

/*
 * May this process hold a stream? If so, it counts until the process ends. Also true if
 * slots_begin() was not called, and after the first true.
 */
bool slots_take(void);

#endif
