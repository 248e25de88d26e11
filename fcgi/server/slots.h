/*
 * slots: how many streams are open at once, where each stream is a process of its own (CGI).
 *
 * Owns one descriptor: the directory of the database, which all processes of one log share. Each process that
 * holds a stream has a read lock on one byte of it, and the kernel releases the lock when the process ends,
 * however it ends. Nothing is written. It must not be the database file: closing one of its descriptors drops
 * SQLite's locks.
 *
 * Where the file system has no such locks (some network file systems), nothing is counted and nobody refused.
 */
#ifndef ROWTAIL_SLOTS_H
#define ROWTAIL_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Says which log's streams are counted, and how many of these processes the user may have: most, or less if the
 * limit of processes (RLIMIT_NPROC) is lower. A quarter of that limit stays free for polls and other programs.
 */
void slots_begin(const char *database, int64_t most);

/*
 * Whether this process may hold a stream. If so, it counts until the process ends. True if slots_begin() was
 * not called, and after the first true.
 */
bool slots_take(void);

#endif
