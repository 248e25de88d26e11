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
#include <stdint.h>

struct database;

/*
 * The version of schema/rowtail.sql that this program was made with: the number in its view
 * rowtail_schema. A log of 0.1.0, without this view, has version 1.
 */
enum { SCHEMA_VERSION = 2 };
int64_t schema_version(struct database *db);

struct schema_finding {
	bool wrong; /* no new row can be inserted; otherwise the finding is a note */
	const char *sentence; /* one sentence without a full stop */
	/* Running this file of schema/ fixes it; NULL: the sentence says what to do. */
	const char *file;
};

/* Looks for the next finding. *at counts the checks done, 0 at first. False: no more findings. */
bool schema_next(struct database *db, size_t *at, struct schema_finding *finding);

#endif
