/*
 * vitals: samples for the charts of the status page; memory and descriptors of this process.
 *
 * Owns the history and the timer that adds to it each second. Reads /proc. With --processes, each
 * process samples the sums of all, so any of them can show them.
 */
#ifndef ROWTAIL_VITALS_H
#define ROWTAIL_VITALS_H

#include <stdint.h>

#include "base/history.h"
#include "stream/fanout.h"

/* Begins to sample; borrows fanout for good. Without it the history stays empty. */
void vitals_begin(const struct fanout *fanout);

/* The samples. Borrowed for good. */
const struct history *vitals_history(void);

/* Bytes that this process holds in memory; -1: unknown. */
int64_t vitals_memory(void);

/* Descriptors that are open; at most a few seconds old. -1: unknown. */
int64_t vitals_descriptors(void);

/* Descriptors that may be open; -1: unlimited. */
int64_t vitals_max_descriptors(void);

/* The size of the write-ahead log of a database; -1: it has none. */
int64_t vitals_wal(const char *path);

#endif
