/*
 * tail: notices commits, and keeps the log open.
 *
 * Owns the watch on the database's files, the poll timer, and the looks after a notice. A notice
 * comes before its commit is visible, by an fsync at worst, and no second notice follows. So tail
 * looks at once, and then after pauses that double. The timer alone is reliable; the watch only
 * makes tail fast. While no client is connected, nothing is watched or polled. Reads no rows
 * itself.
 */
#ifndef ROWTAIL_TAIL_H
#define ROWTAIL_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "log/eventlog.h"
#include "stream/fanout.h"

/* Sets up the tail of this process. Borrows everything for good. */
bool tail_init(struct eventlog *log, struct fanout *fanout, const char *path, int64_t poll_ms);

/*
 * The log is needed now: opens it if it is closed, checks whether it was replaced, and begins to
 * watch if nothing was watched. On EVENTLOG_FAULT, eventlog_error() says why; open streams wait.
 */
enum eventlog_status tail_wake(void);

/* No clients are left: stops watching and polling. */
void tail_sleep(void);

/* Why the last look could not read the log. NULL: it could, or nobody is connected. Borrowed. */
const char *tail_trouble(void);

#endif
