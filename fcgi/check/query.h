/*
 * query: reads single values of the database for the sections of --check, and writes the commands
 * that fix it.
 *
 * A value that cannot be read counts as missing. If the reason is a lock or damage, that is
 * reported, once.
 */
#ifndef ROWTAIL_CHECK_QUERY_H
#define ROWTAIL_CHECK_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "check/section.h"

/* The first value of the first row, as text. False, and "", if there is none or it is NULL. */
bool query_text(struct checking *c, const char *sql, char *out, size_t size);

/* The same as a number; 0 if there is none. */
bool query_int(struct checking *c, const char *sql, int64_t *out);

/* Does it return a row? bind: for ?1, or NULL. */
bool query_any(struct checking *c, const char *sql, const char *bind);

/* Steps through rows. False at the end, and if the database cannot be read. */
bool query_next(struct checking *c, struct statement *st);

/* Both write a command to cure[REPORT_CURE_MAX], and return it. */

/* sqlite3 DATABASE < schema/FILE, or the path of the installed file if this directory has none. */
const char *cure_schema(char *cure, const struct checking *c, const char *file);

/* sqlite3 DATABASE "SQL" */
const char *cure_sql(char *cure, const struct checking *c, const char *sql);

#endif
