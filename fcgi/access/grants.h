/*
 * grants: looks up in a table of grants who may read what, or publish what.
 *
 * Reads through the event log's connection; notices when the log was closed and opened again.
 * Treats subjects as plain texts. Without such a table nobody has a grant; that is logged once.
 */
#ifndef ROWTAIL_GRANTS_H
#define ROWTAIL_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/eventlog.h"

struct grants;

/* The later ones override the earlier ones. */
enum grant { GRANT_NONE, GRANT_EXPIRED, GRANT_VALID, GRANT_UNKNOWN /* can't be read now */ };

/* Borrows the log, and the name of the table, for good. NULL if there is no memory. */
struct grants *grants_new(struct eventlog *log, const char *table);
void grants_free(struct grants *g);

/*
 * Does a subject have a grant that covers the pattern? Sets *timed if a grant that was found
 * expires. The cost depends on the levels that are granted, not on those of the pattern. Many
 * look-ups are much cheaper between grants_begin() and grants_end().
 */
enum grant grants_cover(struct grants *g, const char *subject, const char *pattern,
	size_t pattern_length, bool *timed);

/* Does this subject have any grant, valid or not? GRANT_VALID, GRANT_NONE, or GRANT_UNKNOWN. */
enum grant grants_any(struct grants *g, const char *subject);

/*
 * Begins one transaction for many look-ups, which makes each much cheaper. *version: above 0; it
 * changes with every commit and every file. grants_end() must end it before the loop goes on.
 * False: not possible now.
 */
bool grants_begin(struct grants *g, int64_t *version);
void grants_end(struct grants *g);

#endif
