#include "grants.h"

#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "database.h"

enum { ST_COVER, ST_ANY, ST_BEGIN, ST_END, ST_COUNT };

struct grants {
	struct eventlog *log;
	struct statement *st[ST_COUNT];
	unsigned generation; /* of the log that they were prepared for */
};

static const char *const sql[ST_COUNT] = {
	[ST_COVER] = "SELECT expires_at IS NULL OR julianday(expires_at) > julianday('now'), "
		     "expires_at IS NOT NULL FROM grants WHERE subject = ?1 AND channel = ?2 "
		     "ORDER BY 1 DESC, 2 LIMIT 1",
	[ST_ANY] = "SELECT 1 FROM grants WHERE subject = ?1 LIMIT 1",
	[ST_BEGIN] = "BEGIN",
	[ST_END] = "COMMIT",
};

struct grants *grants_new(struct eventlog *log)
{
	struct grants *g = calloc(1, sizeof(*g));

	if (g)
		g->log = log;
	return g;
}

static void finalize(struct grants *g)
{
	for (int i = 0; i < ST_COUNT; i++) {
		database_finalize(g->st[i]);
		g->st[i] = NULL;
	}
}

void grants_free(struct grants *g)
{
	if (g)
		finalize(g);
	free(g);
}

/* A statement of the log as it is open now; NULL when it is closed or has no table of grants. */
static struct statement *statement(struct grants *g, int which)
{
	struct database *db = eventlog_database(g->log);

	if (!db)
		return NULL;
	if (g->generation != eventlog_generation(g->log)) {
		finalize(g);
		g->generation = eventlog_generation(g->log);
	}
	if (!g->st[which])
		database_prepare(db, &g->st[which], sql[which]);
	return g->st[which];
}

static enum grant look_up(
	struct grants *g, const char *subject, const struct channel_cover *c, bool *timed)
{
	struct statement *st = statement(g, ST_COVER);
	char channel[CHANNEL_MAX + 2];
	enum grant found = GRANT_NONE;
	enum database_status s;

	if (!st)
		return GRANT_UNKNOWN;
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
	return s == DATABASE_ROW || s == DATABASE_DONE ? found : GRANT_UNKNOWN;
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
	struct statement *st = statement(g, ST_ANY);
	enum database_status s;

	if (!st)
		return GRANT_UNKNOWN;
	database_bind_text(st, 1, subject, strlen(subject));
	s = database_step(st);
	database_reset(st);
	if (s == DATABASE_ROW)
		return GRANT_VALID;
	return s == DATABASE_DONE ? GRANT_NONE : GRANT_UNKNOWN;
}

bool grants_begin(struct grants *g, int64_t *version)
{
	struct statement *st;

	if (!eventlog_is_open(g->log) || eventlog_version(g->log, version) != EVENTLOG_OK)
		return false;
	st = statement(g, ST_BEGIN);
	return st && database_run(st) == DATABASE_OK;
}

void grants_end(struct grants *g)
{
	struct statement *st = statement(g, ST_END);

	if (st && database_in_transaction(eventlog_database(g->log)))
		database_run(st);
}
