/*
 * run: records that are sent by one vectored write, and the frames around them.
 *
 * Pure. Built once for all subscribers that wait at the same point. Borrows the records' bytes
 * from the window or from a replay's scratch buffer. Records that follow one another share a
 * frame (a FastCGI record, an HTTP chunk) of at most FRAMING_SHARED_MAX bytes. A longer record
 * has frames of its own in its bytes. Joins records that are neighbours in memory into one piece
 * of the write.
 *
 * A frame that a full socket cut is not sent again: it has said how long it is, so the next run
 * begins with the bytes that it *owes*. Any records may fill it, if they fill it exactly.
 */
#ifndef ROWTAIL_RUN_H
#define ROWTAIL_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "stream/lane.h"

enum {
	RUN_RECORDS = 512,
	RUN_FRAMES = 255,
	RUN_PIECES =
		RUN_RECORDS + 2 * RUN_FRAMES, /* under IOV_MAX, so that a run is one writev(2) */
	RUN_BYTES = 1 << 20, /* a run is full at this size; a single record may be larger */
};

struct run_record {
	int64_t id;
	const uint8_t *bytes; /* of lane_encode() */
	uint32_t length; /* of bytes */
	uint32_t content; /* length without frames */
	uint64_t hash; /* window_hash() of bytes, or 0: not computed yet */
};

/* Records in a frame that they share; or some that need none, or have their own. */
struct run_frame {
	size_t start; /* bytes of the run before it */
	size_t first; /* number of its first record */
	size_t content; /* bytes of its records */
	size_t room; /* for them, at most; 0: unlimited, there is no frame */
	uint8_t header[FRAMING_HEADER_MAX];
	uint8_t header_length; /* 0 also if it was sent before */
};

struct run {
	struct run_record records[RUN_RECORDS];
	size_t count;
	struct iovec pieces[RUN_PIECES];
	int piece_count;
	size_t total; /* bytes */
	struct run_frame frames[RUN_FRAMES];
	size_t frame_count;
	struct lane lane;
	/* All that a group wants of a window's entries first <= n < next; NULL: something else. */
	const void *group;
	uint64_t first, next;
};

/*
 * Empties a run. owed: so many bytes are missing in a frame that was begun; 0: none was. cut:
 * bytes of the first record that were sent before. The caller sends the run without them.
 */
void run_begin(struct run *r, const struct lane *lane, size_t owed, size_t cut);

bool run_is_full(const struct run *r);

/*
 * Does a record fit in the frame that is owed, or is none owed? A false answer is final. After it
 * the frame has room for filler, or needs none: clients such as fetch-event-source take an empty
 * line alone for an event.
 */
bool run_fits(const struct run *r, const struct run_record *record);

/* Adds a record that fits to a run that is not full. */
void run_add(struct run *r, const struct run_record *record);

/* Where a partial write ended. */
struct run_place {
	size_t whole; /* records that are complete */
	uint32_t cut; /* bytes of the next record that were sent */
	size_t owed; /* bytes of records that are missing in the frame that was begun */
	const uint8_t *rest; /* the rest of the frame's header, or of what is after its records */
	size_t rest_length;
};

/* Returns where a write of the first `sent` bytes of the run has ended. */
struct run_place run_place(const struct run *r, size_t sent);

#endif
