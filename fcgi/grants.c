#include "grants.h"

#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "database.h"
#include "logging.h"

enum { ST_COVER, ST_ANY, ST_BEGIN, ST_END, ST_COUNT };

struct grants {
	struct eventlog *log;
	struct statement *st[ST_COUNT];
	bool missing; /* it has no table of grants, and that was told */
};

static const char *const sql[ST_COUNT] = {
	[ST_COVER] = "SELECT expires_at IS NULL OR julianday(expires_at) > julianday('now'), "
		     "expires_at IS NOT NULL FROM grants WHERE subject = ?1 AND channel = ?2 "
		     "ORDER BY 1 DESC, 2 LIMIT 1",
	[ST_ANY] = "SELECT 1 FROM grants WHERE subject = ?1 LIMIT 1",
	[ST_BEGIN] = "BEGIN",
	[ST_END] = "COMMIT",
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

struct grants *grants_new(struct eventlog *log)
{
	struct grants *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->log = log;
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

/* The administrator has taken everything away, perhaps not on purpose. */
static enum grant tell_missing(struct grants *g)
{
	if (!g->missing)
		log_warn("the database has no table of grants, so nobody is granted anything; "
			 "schema/rowtail.sql makes it");
	g->missing = true;
	return GRANT_NONE;
}

/* A statement of the log as it is open now; NULL, and *instead, when it can't be asked. */
static struct statement *statement(struct grants *g, int which, enum grant *instead)
{
	struct database *db = eventlog_database(g->log);

	*instead = GRANT_UNKNOWN;
	if (!db)
		return NULL;
	if (!g->st[which] && database_prepare(db, &g->st[which], sql[which]) == DATABASE_SCHEMA)
		*instead = tell_missing(g);
	return g->st[which];
}

/* What a step says of a grant, where a row was there or not. */
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

static enum grant look_up(
	struct grants *g, const char *subject, const struct channel_cover *c, bool *timed)
{
	enum grant found = GRANT_NONE;
	struct statement *st = statement(g, ST_COVER, &found);
	char channel[CHANNEL_MAX + 2];
	enum database_status s;

	if (!st)
		return found;
	memcpy(channel, c->pattern, c->length);
	channel[c->length] = '*';
	database_bind_text(st, 1, subject, strlen(subject));
	database_bind_text(st, 2, channel, c->length + (c->wild ? 1 : 0));
	s = database_step(st);
	if (s == DATABASE_ROW) {
		/* A time that SQLite can't read is NULL here, and grants nothing. */
		found = !database_is_null(st, 0) && database_int(st, 0) ? GRANT_VALID
									: GRANT_EXPIRED;
		*timed |= database_int(st, 1) != 0;
	}
	database_reset(st);
	return result(g, s, found);
}

enum grant grants_cover(struct grants *g, const char *subject, const char *pattern,
	size_t pattern_length, bool *timed)
{
	struct channel_cover c;
	enum grant best = GRANT_NONE, found;

	channel_cover_first(&c, pattern, pattern_length);
	do {
		found = look_up(g, subject, &c, timed);
		if (found > best)
			best = found;
	} while (best < GRANT_VALID && channel_cover_next(&c));
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
	/* Each connection counts by itself; SQLite's number has 32 bits. */
	*version = (int64_t)((uint64_t)eventlog_generation(g->log) << 32 | (uint32_t)*version);
	/* Nothing is begun that there is no memory to end. */
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
