/*
 * tail: notices commits, and keeps the log open.
 *
 * Owns the watch on the database's files, the poll timer, and the looking again after a notice:
 * a notice comes before its commit is visible, by an fsync at worst, and no second one follows; so
 * tail looks at once, and then after pauses that double. The timer is the truth, the watch only
 * makes it quick. While nobody is there, nothing is watched and nothing polled. Reads no rows
 * itself.
 */
#ifndef ROWTAIL_TAIL_H
#define ROWTAIL_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "log/eventlog.h"
#include "stream/fanout.h"

/* Sets up the tail of this process; all is borrowed for good. */
bool tail_init(struct eventlog *log, struct fanout *fanout, const char *path, int64_t poll_ms);

/*
 * The log is wanted now: opens it if it is closed, looks whether it was replaced, and if nobody has
 * been watching, begins. On EVENTLOG_FAULT, eventlog_error() says why; streams that are open wait.
 */
enum eventlog_status tail_wake(void);

/* Nobody is there any more: ends watching and polling. */
void tail_sleep(void);

/* Why the log could not be read at the last look; NULL: it could, or nobody is there to look. Borrowed. */
const char *tail_trouble(void);

#endif
