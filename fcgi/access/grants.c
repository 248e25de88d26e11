#include "access/grants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/logging.h"
#include "log/channel.h"
#include "log/database.h"

enum { ST_COVER, ST_BELOW, ST_ANY, ST_BEGIN, ST_END, ST_COUNT };
enum { SQL_MAX = 256 };

struct grants {
	struct eventlog *log;
	const char *table;
	struct statement *st[ST_COUNT];
	bool missing; /* there is no table of grants, and that was logged */
};

/* The table's name comes between the two parts. */
static const struct {
	const char *before, *behind;
} sql[ST_COUNT] = {
	[ST_COVER] = {"SELECT expires_at IS NULL OR julianday(expires_at) > julianday('now'), "
		      "expires_at IS NOT NULL FROM ",
		" WHERE subject = ?1 AND channel = ?2 ORDER BY 1 DESC, 2 LIMIT 1"},
	[ST_BELOW] = {"SELECT 1 FROM ",
		" WHERE subject = ?1 AND channel >= ?2 AND channel < ?3 LIMIT 1"},
	[ST_ANY] = {"SELECT 1 FROM ", " WHERE subject = ?1 LIMIT 1"},
	[ST_BEGIN] = {"BEGIN", NULL},
	[ST_END] = {"COMMIT", NULL},
};

static void finalize(void *context)
{
	struct grants *g = context;

	for (int i = 0; i < ST_COUNT; i++) {
		database_finalize(g->st[i]);
		g->st[i] = NULL;
	}
	g->missing = false;
}

struct grants *grants_new(struct eventlog *log, const char *table)
{
	struct grants *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->log = log;
	g->table = table;
	eventlog_on_close(log, finalize, g);
	return g;
}

void grants_free(struct grants *g)
{
	if (!g)
		return;
	eventlog_on_close(g->log, NULL, NULL);
	finalize(g);
	free(g);
}

/* Does the application use the table's name for something of its own? */
static bool is_foreign(struct grants *g)
{
	struct statement *st;
	bool found = database_prepare(eventlog_database(g->log), &st,
			     "SELECT 1 FROM main.sqlite_master WHERE lower(name) = ?1 AND type IN "
			     "('table', 'view')") == DATABASE_OK;

	if (found) {
		database_bind_text(st, 1, g->table, strlen(g->table));
		found = database_step(st) == DATABASE_ROW;
	}
	database_finalize(st);
	return found;
}

/* The table was dropped, perhaps by mistake, or the application has one of the same name. */
static enum grant tell_missing(struct grants *g)
{
	if (!g->missing && is_foreign(g))
		log_warn("the table %s is the application's own (it has no columns subject, "
			 "channel and expires_at), so it grants nothing to anybody; to use "
			 "rowtail's table, keep the log in a database of its own",
			g->table);
	else if (!g->missing)
		log_warn("the database has no table of %s, so nobody is granted anything; "
			 "to create it: sqlite3 DATABASE < schema/rowtail.sql",
			g->table);
	g->missing = true;
	return GRANT_NONE;
}

static enum database_status prepare(struct grants *g, struct database *db, int which)
{
	char text[SQL_MAX];

	snprintf(text, sizeof(text), "%s%s%s", sql[which].before, sql[which].behind ? g->table : "",
		sql[which].behind ? sql[which].behind : "");
	return database_prepare(db, &g->st[which], text);
}

/* A statement for the log as it is open now; NULL, with *instead set, if there is none. */
static struct statement *statement(struct grants *g, int which, enum grant *instead)
{
	struct database *db = eventlog_database(g->log);

	*instead = GRANT_UNKNOWN;
	if (!db)
		return NULL;
	if (!g->st[which] && prepare(g, db, which) == DATABASE_SCHEMA)
		*instead = tell_missing(g);
	return g->st[which];
}

/* Converts the result of a step; `row` is the result if there was a row. */
static enum grant result(struct grants *g, enum database_status s, enum grant row)
{
	switch (s) {
	case DATABASE_ROW:
		return row;
	case DATABASE_DONE:
		return GRANT_NONE;
	case DATABASE_SCHEMA:
		return tell_missing(g);
	default:
		return GRANT_UNKNOWN;
	}
}

/* Looks up grants for exactly this name or pattern. */
static enum grant look_up(
	struct grants *g, const char *subject, const char *channel, size_t length, bool *timed)
{
	enum grant found = GRANT_NONE;
	struct statement *st = statement(g, ST_COVER, &found);
	enum database_status s;

	if (!st)
		return found;
	database_bind_text(st, 1, subject, strlen(subject));
	database_bind_text(st, 2, channel, length);
	s = database_step(st);
	if (s == DATABASE_ROW) {
		/* A time that SQLite can't read is NULL here and grants nothing. */
		found = !database_is_null(st, 0) && database_int(st, 0) ? GRANT_VALID
									: GRANT_EXPIRED;
		*timed |= database_int(st, 1) != 0;
	}
	database_reset(st);
	return result(g, s, found);
}

/* Does any grant begin with this prefix, which ends with '/'? GRANT_VALID: yes. */
static enum grant look_below(
	struct grants *g, const char *subject, const char *prefix, size_t length)
{
	enum grant instead;
	struct statement *st = statement(g, ST_BELOW, &instead);
	char above[CHANNEL_MAX + 1];
	enum database_status s;

	if (!st)
		return instead;
	channel_above(above, prefix, length);
	database_bind_text(st, 1, subject, strlen(subject));
	database_bind_text(st, 2, prefix, length);
	database_bind_text(st, 3, above, length);
	s = database_step(st);
	database_reset(st);
	return result(g, s, GRANT_VALID);
}

static enum grant better(enum grant a, enum grant b)
{
	return a > b ? a : b;
}

/*
 * Looks up the patterns above this one, from the widest on. The search ends at a level below which
 * there are no grants: a client that asks for a hundred levels causes no more look-ups than levels
 * are granted.
 */
static enum grant cover_levels(
	struct grants *g, const char *subject, const char *pattern, size_t length, bool *timed)
{
	char wide[CHANNEL_MAX + 1];
	enum grant best = GRANT_NONE, below;

	for (size_t i = 0; i < length && best < GRANT_VALID; i++) {
		wide[i] = pattern[i];
		/* The pattern itself has been looked up already. */
		if (pattern[i] != '/' || (i + 2 == length && pattern[i + 1] == '*'))
			continue;
		if ((below = look_below(g, subject, pattern, i + 1)) != GRANT_VALID)
			return better(best, below);
		wide[i + 1] = '*';
		best = better(best, look_up(g, subject, wide, i + 2, timed));
	}
	return best;
}

enum grant grants_cover(struct grants *g, const char *subject, const char *pattern,
	size_t pattern_length, bool *timed)
{
	enum grant best = look_up(g, subject, pattern, pattern_length, timed);

	if (best < GRANT_VALID && (pattern_length > 1 || pattern[0] != '*'))
		best = better(best, look_up(g, subject, "*", 1, timed));
	if (best < GRANT_VALID)
		best = better(best, cover_levels(g, subject, pattern, pattern_length, timed));
	return best;
}

enum grant grants_any(struct grants *g, const char *subject)
{
	enum grant instead;
	struct statement *st = statement(g, ST_ANY, &instead);
	enum database_status s;

	if (!st)
		return instead;
	database_bind_text(st, 1, subject, strlen(subject));
	s = database_step(st);
	database_reset(st);
	return result(g, s, GRANT_VALID);
}

bool grants_begin(struct grants *g, int64_t *version)
{
	struct statement *st;
	enum grant unused;

	if (!eventlog_is_open(g->log) || eventlog_version(g->log, version) != EVENTLOG_OK)
		return false;
	/* Each connection counts separately; SQLite's number has 32 bits. */
	*version = (int64_t)((uint64_t)eventlog_generation(g->log) << 32 | (uint32_t)*version);
	/* Begin nothing that we might have no memory to end. */
	st = statement(g, ST_END, &unused) ? statement(g, ST_BEGIN, &unused) : NULL;
	return st && database_run(st) == DATABASE_OK;
}

void grants_end(struct grants *g)
{
	enum grant unused;
	struct statement *st = statement(g, ST_END, &unused);

	if (st && database_in_transaction(eventlog_database(g->log)))
		database_run(st);
}
