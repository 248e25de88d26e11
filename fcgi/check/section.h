/*
 * section: the parts of --check. Each looks at one thing that a deployment needs, and reports
 * lines.
 *
 * A section changes nothing, and waits for nothing but a lock, for CHECKING_LOCKED_MS at most.
 */
#ifndef ROWTAIL_CHECK_SECTION_H
#define ROWTAIL_CHECK_SECTION_H

#include <limits.h>
#include <stdbool.h>

#include "base/report.h"
#include "config/config.h"
#include "log/database.h"
#include "log/eventlog.h"
#include "log/header.h"
#include "log/traces.h"

enum { CHECKING_LOCKED_MS = 3000 }; /* a commit in rollback mode, with its fsync, takes less */

/* What the sections know. */
struct checking {
	const struct config *config;
	struct report *report;
	char real[PATH_MAX]; /* the database, symbolic links followed */
	char word[2 * PATH_MAX]; /* its path as the user wrote it, quoted for the shell */
	struct header header;
	struct traces traces;
	/* From the section `database` on: */
	struct eventlog *log; /* NULL: it cannot be read */
	struct database *db; /* its connection */
	struct eventlog_bounds bounds;
	/* From the section `schema` on: */
	bool ours; /* --table is the table events of rowtail.sql */
	bool is_copy; /* rowtail-mirror keeps it */
};

void section_configuration(struct checking *c);
void section_files(struct checking *c);
void section_database(struct checking *c); /* opens c->log */
void section_schema(struct checking *c);
void section_retention(struct checking *c);
void section_grants(struct checking *c);
void section_publishers(struct checking *c);
void section_tracked(struct checking *c);
void section_copy(struct checking *c);
void section_clock(struct checking *c);
void section_place(struct checking *c);
void section_watch(struct checking *c);
void section_jwt(struct checking *c);
void section_listen(struct checking *c);
void section_limits(struct checking *c);

#endif
