/*
 * run: records that are sent by one vectored write.
 *
 * Pure. Built once for all subscribers that wait at the same point. Borrows the records' bytes from
 * the window or from a replay's scratch buffer. Joins records that are neighbours in memory into
 * one piece of the write.
 */
#ifndef ROWTAIL_RUN_H
#define ROWTAIL_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	RUN_RECORDS = 512, /* under IOV_MAX, so that a run is one writev(2) */
	RUN_BYTES = 1 << 20, /* a run is full at this size; a single record may be larger */
};

struct run_record {
	int64_t id;
	const uint8_t *bytes; /* framed */
	uint32_t length; /* of bytes */
	uint32_t content; /* length without frames */
	uint64_t hash; /* window_hash() of bytes, or 0: not computed yet */
};

struct run {
	struct run_record records[RUN_RECORDS];
	size_t count;
	struct iovec pieces[RUN_RECORDS];
	int piece_count;
	size_t total; /* bytes */
	/* All that a group wants of a window's entries first <= n < next; NULL: something else. */
	const void *group;
	uint64_t first, next;
};

void run_clear(struct run *r);

bool run_is_full(const struct run *r);

/* Adds a record to a run that is not full. */
void run_add(struct run *r, const struct run_record *record);

/*
 * Returns how many records are complete when `sent` bytes of the run have been sent in total. Sets
 * *cut to the number of bytes sent of the next record.
 */
size_t run_whole(const struct run *r, size_t sent, uint32_t *cut);

#endif
