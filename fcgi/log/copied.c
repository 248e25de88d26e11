#include "log/copied.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "log/database.h"

static void take(struct statement *st, struct copied *c)
{
	int64_t now_ms = clock_unix_ms();
	int64_t fresh_ms = database_int(st, 1), max_stale_ms = database_int(st, 2);
	const char *where;
	size_t length;

	c->is_copy = true;
	c->looks = database_int(st, 0);
	/* The clock may have been set back. */
	c->age_ms = fresh_ms == 0 ? -1 : now_ms < fresh_ms ? 0 : now_ms - fresh_ms;
	c->stale = max_stale_ms > 0 && (c->age_ms < 0 || c->age_ms > max_stale_ms);
	c->behind = database_int(st, 3);
	if ((where = database_text(st, 4, &length)))
		snprintf(c->where, sizeof(c->where), "%.*s", (int)length, where);
}

enum eventlog_status copied_read(struct eventlog *log, struct copied *copied)
{
	struct database *db = eventlog_database(log);
	struct statement *st = NULL;
	enum database_status s;

	memset(copied, 0, sizeof(*copied));
	if (!db)
		return EVENTLOG_FAULT;
	s = database_prepare(db, &st,
		"SELECT looks, fresh_ms, max_stale_ms, behind, source FROM rowtail_mirror");
	if (s == DATABASE_OK)
		s = database_step(st);
	if (s == DATABASE_ROW)
		take(st, copied);
	database_finalize(st);
	/* DATABASE_SCHEMA: there is no such table. */
	return s == DATABASE_BUSY ? EVENTLOG_BUSY : EVENTLOG_OK;
}

enum eventlog_status copied_was_lost(struct eventlog *log, int64_t position, int64_t *base)
{
	struct database *db = eventlog_database(log);
	struct statement *st = NULL;
	enum database_status s;

	*base = 0;
	if (!db)
		return EVENTLOG_FAULT;
	s = database_prepare(db, &st,
		"SELECT max(base) FROM rowtail_mirror_timelines WHERE after < ?1 AND base > ?1");
	if (s == DATABASE_OK) {
		database_bind_int(st, 1, position);
		s = database_step(st);
	}
	if (s == DATABASE_ROW)
		*base = database_int(st, 0);
	database_finalize(st);
	return s == DATABASE_BUSY ? EVENTLOG_BUSY : EVENTLOG_OK;
}
