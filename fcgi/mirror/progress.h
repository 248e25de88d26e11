/*
 * progress: shows how far a first copy is: a bar on a terminal, elsewhere a line in the log every
 * few seconds.
 *
 * Never draws anything if standard error is no terminal.
 */
#ifndef ROWTAIL_MIRROR_PROGRESS_H
#define ROWTAIL_MIRROR_PROGRESS_H

#include <stdint.h>

/* total: rows that are expected, perhaps an estimate; 0: unknown. */
void progress_begin(int64_t total);
/* So many rows are there now. Cheap: call it for each. */
void progress_show(int64_t rows);
/* Removes the bar. Returns the time since progress_begin(), in ms. */
int64_t progress_end(void);

#endif
