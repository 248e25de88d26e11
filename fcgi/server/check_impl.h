/*
 * What check.c (files, locks, the log's rows, sockets) and check_schema.c (what is in the database's schema) share. For
 * these two only.
 */
#ifndef ROWTAIL_CHECK_IMPL_H
#define ROWTAIL_CHECK_IMPL_H

#include <limits.h>

#include "log/database.h"
#include "server/check.h"

/* The state of a check. The exit status is that of the first thing that is wrong. */
struct checking {
	const struct config *config;
	char real[PATH_MAX]; /* of the database, symbolic links followed */
	int status;
};

/* Print a line that begins with ok, note or WRONG. */
void check_good(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_wrong(struct checking *c, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Copies the one value of a query's first row as text; "" if there is none. bind: the query's parameter, or NULL. */
void check_query(struct database *db, const char *sql, const char *bind, char *out, size_t size);

void check_journal(struct database *db);

/* Is everything from schema/rowtail.sql there? */
void check_schema(struct checking *c, struct database *db);

/* Reports what a newer file of schema/ would improve or fix. */
void check_form(struct checking *c, struct database *db);

/* Names the tracked tables whose columns have changed. */
void check_tracked(struct checking *c, struct database *db);

void check_grants(const struct checking *c, struct database *db);

#endif
