/*
 * copied: is the log a copy that rowtail-mirror keeps, and how old is it?
 *
 * Only reads the table rowtail_mirror, which rowtail-mirror writes at least once a second while it
 * is connected.
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
	 * How often the copy was found complete. Once this has grown by two since a moment, the
	 * copy has everything of that moment: the first check may have begun before it.
	 */
	int64_t looks;
	int64_t age_ms; /* how long ago it was last complete; -1: never */
	int64_t behind; /* rows that it lacks, as far as known */
	bool stale; /* older than rowtail-mirror's --max-stale */
	char where[COPIED_WHERE_MAX]; /* the server that it is read from; "": none at the moment */
};

enum { COPIED_TIMELINE_BITS = 40 }; /* ids of the first server are below 2^40, see postgresql.sql */

/*
 * Did a failover take back the row at this position? *base: where the ids of the server that took
 * over begin; 0: no. Only a log with an id above 2^COPIED_TIMELINE_BITS needs to be asked.
 */
enum eventlog_status copied_was_lost(struct eventlog *log, int64_t position, int64_t *base);

/* Reads the state of the copy. EVENTLOG_OK also if the log is no copy, FAULT if it is closed. */
enum eventlog_status copied_read(struct eventlog *log, struct copied *copied);

#endif
