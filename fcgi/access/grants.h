/*
 * grants: the table that says who may read what, looked up by its index.
 *
 * Reads through the event log's connection; a log that was closed and opened anew is noticed. Knows
 * subjects as texts only. Where there is no such table, nobody has a grant, and the log says so once.
 */
#ifndef ROWTAIL_GRANTS_H
#define ROWTAIL_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/eventlog.h"

struct grants;

/* In the order of what counts for more. */
enum grant { GRANT_NONE, GRANT_EXPIRED, GRANT_VALID, GRANT_UNKNOWN /* can't be read now */ };

/* The log is borrowed for good. NULL without memory. */
struct grants *grants_new(struct eventlog *log);
void grants_free(struct grants *g);

/*
 * Does a subject have a grant that covers the pattern? *timed becomes true when one that was found has an
 * end. The cost grows with the levels that are granted, not with those of the pattern. Of many look-ups, each
 * costs a fraction between grants_begin() and grants_end().
 */
enum grant grants_cover(struct grants *g, const char *subject, const char *pattern,
	size_t pattern_length, bool *timed);

/* Is there any grant of this subject, valid or not? GRANT_VALID, GRANT_NONE, or GRANT_UNKNOWN. */
enum grant grants_any(struct grants *g, const char *subject);

/*
 * Many look-ups in a row: in one transaction, which costs a fraction. *version: above 0, and another
 * one after every commit and for every file. grants_end() ends it, before the loop goes on. False:
 * not now.
 */
bool grants_begin(struct grants *g, int64_t *version);
void grants_end(struct grants *g);

#endif
