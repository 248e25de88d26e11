/*
 * schema: what is wrong with a log that the files of schema/ made, or what these files would make better.
 *
 * Only looks, and only when asked: rowtail serves any table that it can read.
 */
#ifndef ROWTAIL_SCHEMA_H
#define ROWTAIL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

struct database;

enum { SCHEMA_SENTENCE = 512 };

struct schema_finding {
	bool wrong; /* no new row can come; otherwise worth knowing */
	char sentence[SCHEMA_SENTENCE]; /* one, which says what to do */
};

/*
 * Looks for the next finding. *at is 0 at first, and counts what has been looked for. path is the database's,
 * for the sentence. False when there is no further one.
 */
bool schema_next(struct database *db, const char *path, size_t *at, struct schema_finding *finding);

#endif
