/*
 * The questions, and the rows of the answers. Tables and views are those of schema/postgresql.sql,
 * whose first comment is the contract.
 */
#include "mirror/postgresql_impl.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { LINE_MAX_BYTES = 1024 };

/*
 * A session of a mirror, whatever is set for its role or the database. Each question is planned
 * once, since planning takes five times as long as the question. The planner then does not know how
 * many rows are new, so it is told to use the indexes.
 */
#define SETUP                                                                                      \
	"SET statement_timeout = 0; SET idle_session_timeout = 0; SET lock_timeout = '5s'; "       \
	"SET idle_in_transaction_session_timeout = 0; "                                            \
	"SET default_transaction_isolation = 'read committed'; "                                   \
	"SET default_transaction_read_only = off; SET default_transaction_deferrable = off; "      \
	"SET jit = off; SET max_parallel_workers_per_gather = 0; "                                 \
	"SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; "                     \
	"SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; "     \
	"SET enable_material = off"

enum { VERSION_TRANSACTION_TIMEOUT = 170000 };

const char *postgresql_setup(int server_version)
{
	return server_version < VERSION_TRANSACTION_TIMEOUT ? SETUP
							    : SETUP "; SET transaction_timeout = 0";
}

#define NO_INT "NULL::int8"
#define NO_TEXT "NULL::text"

/* An answer's columns: number, kind, channel, event, data, flags, at, first, last, subject. */
#define LOG_ROW(position)                                                                          \
	"SELECT " position "::int8 AS id, 'log'::text AS kind, s.token::text AS channel, " NO_TEXT \
	" AS event, " NO_TEXT " AS data, CASE WHEN NOT s.standby THEN 0 WHEN EXISTS (SELECT FROM " \
	"pg_stat_wal_receiver) AND (pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() OR "      \
	"clock_timestamp() - pg_last_xact_replay_timestamp() < interval '1 s') THEN 3 ELSE 1 "     \
	"END::int8 AS flags, " NO_TEXT                                                             \
	" AS at, s.floor AS first, s.timeline::int8 AS last, " NO_TEXT                             \
	" AS subject FROM events_server s"

#define NEWS                                                                                       \
	"SELECT id, kind, channel, event, data, retry::int8, at, first, last, subject "            \
	"FROM events_news "

#define AND_ALSO " UNION ALL "
#define LIMIT " LIMIT nullif($2, 0)"

static const char *const questions[SOURCE_QUESTIONS] = {
	[SOURCE_STATE] = LOG_ROW("s.position"),
	[SOURCE_VERSION] =
		"SELECT version::int8 AS id, 'log'::text, token::text, " NO_TEXT ", " NO_TEXT
		", 0::int8, " NO_TEXT ", floor, 0::int8, " NO_TEXT " FROM events_log",
	/* s.position takes as long as all the rest, so most looks do without. */
	[SOURCE_LOOK] = LOG_ROW("0") AND_ALSO "(" NEWS "WHERE id > $1 ORDER BY id)",
	[SOURCE_LOOK_WHOLE] = LOG_ROW("s.position") AND_ALSO "(" NEWS "WHERE id > $1 ORDER BY id)",
	[SOURCE_SIZE] = "WITH low AS (SELECT greatest(0, CASE WHEN $1 > 0 THEN (SELECT id FROM "
			"events WHERE id > 0 ORDER BY id DESC OFFSET $1 LIMIT 1) END, "
			"CASE WHEN $2 > 0 THEN coalesce((SELECT min(id) FROM events WHERE id > 0 "
			"AND created_at >= clock_timestamp() - $2 * interval '1 ms') - 1, "
			"(SELECT max(id) FROM events WHERE id > 0)) END) AS id) "
			"SELECT low.id, 'size'::text, " NO_TEXT ", " NO_TEXT ", " NO_TEXT
			", " NO_INT ", " NO_TEXT ", (SELECT count(*) FROM (SELECT FROM events "
			"WHERE id > low.id LIMIT 5000000) e), (SELECT reltuples::int8 FROM "
			"pg_class WHERE oid = 'events'::regclass), " NO_TEXT " FROM low",
	[SOURCE_ALL] = LOG_ROW("s.position") AND_ALSO
	"(SELECT base, 'timeline', " NO_TEXT ", " NO_TEXT ", " NO_TEXT ", " NO_INT ", " NO_TEXT
	", after, base, " NO_TEXT " FROM events_timelines)" AND_ALSO "(" NEWS
	"WHERE kind = 'row' AND id > $1 ORDER BY id)" AND_ALSO
	"(SELECT id, 'pruned', channel, " NO_TEXT ", " NO_TEXT ", " NO_INT ", " NO_TEXT ", " NO_INT
	", id, " NO_TEXT " FROM events_pruned" LIMIT ")" AND_ALSO
	"(SELECT max(id), 'pruned', channel, " NO_TEXT ", " NO_TEXT ", " NO_INT ", " NO_TEXT
	", " NO_INT ", max(id), " NO_TEXT " FROM events WHERE $2 = 0 AND id BETWEEN 1 AND $1 "
	"GROUP BY channel)" AND_ALSO "(SELECT 0, 'grant', channel, " NO_TEXT ", " NO_TEXT
	", " NO_INT ", expires_at, " NO_INT ", " NO_INT ", subject FROM events_grants" LIMIT
	")" AND_ALSO "(SELECT id, 'end', channel, " NO_TEXT ", " NO_TEXT ", " NO_INT ", " NO_TEXT
	", " NO_INT ", " NO_INT ", " NO_TEXT " FROM events_ended" LIMIT ")",
	[SOURCE_EVENT] = NEWS "WHERE kind = 'row' AND id = $1",
	[SOURCE_TELL_LOST] = "SELECT 0::int8 FROM events_lost($1)",
	[SOURCE_LISTEN] = "LISTEN rowtail",
};

int postgresql_parameters(enum source_question question)
{
	switch (question) {
	case SOURCE_SIZE:
	case SOURCE_ALL:
		return 2;
	case SOURCE_LOOK:
	case SOURCE_LOOK_WHOLE:
	case SOURCE_EVENT:
	case SOURCE_TELL_LOST:
		return 1;
	default:
		return 0;
	}
}

const char *postgresql_question(enum source_question question)
{
	return questions[question];
}

enum column {
	COLUMN_NUMBER,
	COLUMN_KIND,
	COLUMN_CHANNEL,
	COLUMN_EVENT,
	COLUMN_DATA,
	COLUMN_FLAGS,
	COLUMN_AT,
	COLUMN_FIRST,
	COLUMN_LAST,
	COLUMN_SUBJECT,
	COLUMNS,
};

static int64_t number_at(const PGresult *result, enum column column)
{
	uint64_t big;

	if (PQgetisnull(result, 0, column) || PQgetlength(result, 0, column) != sizeof(big))
		return 0;
	memcpy(&big, PQgetvalue(result, 0, column), sizeof(big));
	return (int64_t)be64toh(big);
}

static struct change_text text_at(const PGresult *result, enum column column)
{
	if (PQgetisnull(result, 0, column))
		return (struct change_text){NULL, 0};
	return (struct change_text){
		PQgetvalue(result, 0, column), (size_t)PQgetlength(result, 0, column)};
}

static bool kind_of(const char *text, enum change_kind *kind)
{
	static const char *const names[] = {[CHANGE_EVENT] = "row",
		[CHANGE_LOG] = "log",
		[CHANGE_TIMELINE] = "timeline",
		[CHANGE_DELETED] = "deleted",
		[CHANGE_PRUNED] = "pruned",
		[CHANGE_GRANT] = "grant",
		[CHANGE_REVOKED] = "revoked",
		[CHANGE_END] = "end",
		[CHANGE_OPENED] = "opened",
		[CHANGE_SIZE] = "size"};

	*kind = CHANGE_EVENT;
	if (!strcmp(text, names[CHANGE_EVENT]))
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(text, names[i])) {
			*kind = (enum change_kind)i;
			return true;
		}
	return false;
}

enum postgresql_row postgresql_read(const PGresult *result, struct change *c)
{
	*c = (struct change){.number = number_at(result, COLUMN_NUMBER)};

	if (PQnfields(result) < COLUMNS)
		return POSTGRESQL_NOTHING;
	if (!kind_of(PQgetvalue(result, 0, COLUMN_KIND), &c->kind))
		return POSTGRESQL_UNKNOWN;
	c->flags = number_at(result, COLUMN_FLAGS);
	c->has_flags = !PQgetisnull(result, 0, COLUMN_FLAGS);
	c->first = number_at(result, COLUMN_FIRST);
	c->last = number_at(result, COLUMN_LAST);
	c->channel = text_at(result, COLUMN_CHANNEL);
	c->event = text_at(result, COLUMN_EVENT);
	c->data = text_at(result, COLUMN_DATA);
	c->at = text_at(result, COLUMN_AT);
	c->subject = text_at(result, COLUMN_SUBJECT);
	return POSTGRESQL_CHANGE;
}

void postgresql_explain(const PGresult *result, char *text, size_t size)
{
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (!message)
		message = PQresultErrorMessage(result);
	if (code && (!strcmp(code, "42P01") || !strcmp(code, "42703") || !strcmp(code, "42883")))
		snprintf(text, size,
			"%s; has schema/postgresql.sql been run in this database, and is its "
			"schema in this user's search_path?",
			message);
	else if (code && !strcmp(code, "42501"))
		snprintf(text, size,
			"%s; as the owner of the tables: SELECT events_allow_mirror('USER')",
			message);
	else
		snprintf(text, size, "%s", message);
}

void postgresql_one_line(const char *message, char *text, size_t size)
{
	char line[LINE_MAX_BYTES] = "", *out = line, *end = out + sizeof(line) - 1;

	for (; *message && out < end; message++)
		if (!strchr(" \t\n", *message))
			*out++ = *message;
		else if (out > line && out[-1] != ' ')
			*out++ = ' ';
	while (out > line && out[-1] == ' ')
		out--;
	text_harmless(text, size - 1, line, (size_t)(out - line), false);
}
