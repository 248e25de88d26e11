/*
 * copied: is the log a copy that rowtail-mirror keeps, and how old is it?
 *
 * Only reads the table rowtail_mirror, which rowtail-mirror writes at least once a second while it is connected.
 */
#ifndef ROWTAIL_COPIED_H
#define ROWTAIL_COPIED_H

#include <stdbool.h>
#include <stdint.h>

#include "log/eventlog.h"

enum { COPIED_WHERE_MAX = 256 };

struct copied {
	bool is_copy; /* if not, the rest is 0 */
	/*
	 * How often the copy was found complete. A check that was begun before a moment may end after
	 * it, so the copy has all that there was at that moment when this has grown by two.
	 */
	int64_t looks;
	int64_t age_ms; /* how long ago it was last complete; -1: never */
	int64_t behind; /* rows that it lacks, as far as known */
	bool stale; /* older than rowtail-mirror's --max-stale */
	char where[COPIED_WHERE_MAX]; /* the server that it is read from; "": none at the moment */
};

/* Reads the state of the copy. EVENTLOG_OK as well if the log is none. */
enum eventlog_status copied_read(struct eventlog *log, struct copied *copied);

#endif
