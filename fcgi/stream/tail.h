/*
 * tail: notices commits, and keeps the log open.
 *
 * Owns the watch on the database's files, the poll timer, and the looks after a notice. A notice
 * comes before its commit is visible, by an fsync at worst, and no second notice follows. So tail
 * looks at once, and again after pauses that double. Only the timer is reliable; the watch makes
 * tail fast. Where the watch has proven reliable, the timer is rare while nothing happens (pace.h).
 * While no client is connected, tail watches and polls nothing. Reads no rows itself.
 */
#ifndef ROWTAIL_TAIL_H
#define ROWTAIL_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "log/eventlog.h"
#include "stream/fanout.h"

/*
 * Sets up the tail of this process, which polls every poll_ms; without `always` more rarely where
 * the watch is reliable. Borrows all arguments for good.
 */
bool tail_init(struct eventlog *log, struct fanout *fanout, const char *path, int64_t poll_ms,
	bool always);

/*
 * Prepares the log for use: opens it if it is closed, checks whether it was replaced, and begins to
 * watch if nothing was watched. On EVENTLOG_FAULT, eventlog_error() says why; open streams wait.
 */
enum eventlog_status tail_wake(void);

/* Stops watching and polling, because no clients are left. */
void tail_sleep(void);

/* Decides how often to poll. Call it when a stream begins to wait for a log that cannot be read. */
void tail_set_pace(void);

/* Why the last look failed to read the log. NULL: it succeeded, or no client is there. Borrowed. */
const char *tail_trouble(void);

#endif
