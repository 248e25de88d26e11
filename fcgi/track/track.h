/*
 * track: --track TABLE, --untrack TABLE and --tracked.
 *
 * Prints SQL on standard output; never changes the database. Knows nothing of streams.
 */
#ifndef ROWTAIL_TRACK_H
#define ROWTAIL_TRACK_H

#include <stdio.h>

#include "config/config.h"
#include "track/table.h"

/*
 * Runs config->action: CONFIG_TRACK, CONFIG_UNTRACK or CONFIG_TRACKED. Prints to standard output,
 * errors and warnings to standard error. Returns the exit status: 0, 64 (a wrong option), 65 (the
 * table can't be tracked), 66 (no such database), 74 (standard output can't be written).
 */
int track_run(const struct config *config);

/* A table that --track's triggers track. */
struct tracked {
	char table[TRACK_NAME_MAX];
	char channel[TRACK_NAME_MAX + 64]; /* "TABLE/KEY", or the template */
	const char *untracked; /* "note" "total": the columns that are left out; "" for none */
	bool changed; /* the table's columns are not what they were */
	bool lost; /* the triggers went with a dropped table; no more is known */
};

/* Calls `each` for each tracked table, ordered by name. False if the database can't be read. */
bool track_each(struct database *db, void *context,
	void (*each)(void *context, const struct tracked *tracked));

#endif
