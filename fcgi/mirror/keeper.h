/*
 * keeper: keeps the copy the same as the source: what to ask next, what an answer means, what to do
 * after a fault.
 *
 * Owns the source, the copy's transactions, and all timers. Each look is one snapshot of the source
 * and one transaction of the copy: if its changes came in pieces, a reader could pass over a row
 * that a later piece deletes, without a gap.
 */
#ifndef ROWTAIL_MIRROR_KEEPER_H
#define ROWTAIL_MIRROR_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "mirror/copy.h"

/* Begins to connect. Borrows both for good. False if there is no memory. */
bool keeper_begin(const struct config *config, struct copy *copy);

/* Ends: what is incomplete is dropped. */
void keeper_end(void);

/* After loop_run(): the exit status, which is 0 unless --once failed or the copy cannot be kept. */
int keeper_exit_status(void);

/* For the pages. */
struct keeper_view {
	bool connected;
	bool standby; /* connected to a standby */
	bool copying; /* a whole new file is being made */
	const char *where; /* the server; "" before the first connection */
	const char *fault; /* why it is not connected or cannot copy; "" */
	int64_t since_ms; /* connected, or not connected, since then: ms since 1970 */
	int64_t lag_ms; /* the age of the copy; -1: it was never complete */
	int64_t lag_rows; /* that it lacks, as far as known */
	bool stale; /* older than --max-stale, or not there */
	int64_t rows, cursor; /* of the copy */
	uint64_t rows_total, looks_total, connects_total, rebuilt_total, taken_back_total;
};
void keeper_show(struct keeper_view *view);

#endif
