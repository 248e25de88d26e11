/*
 * schema: finds what is wrong with a log that the files of schema/ made, or what they could
 * improve.
 *
 * Only reads, and only for --check: rowtail serves any table that it can read.
 */
#ifndef ROWTAIL_SCHEMA_H
#define ROWTAIL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

struct database;

enum { SCHEMA_SENTENCE = 512 };

struct schema_finding {
	bool wrong; /* no new row can be inserted; otherwise the finding is a note */
	char sentence[SCHEMA_SENTENCE]; /* one sentence, which says what to do */
};

/*
 * Looks for the next finding. *at is 0 at first; it counts the checks done. path: the database's,
 * for the sentence. False when there are no more findings.
 */
bool schema_next(struct database *db, const char *path, size_t *at, struct schema_finding *finding);

#endif
