#include "log/schema.h"

#include "log/database.h"

/* The query has a row when it is so. "$" in a sentence is the database's path. */
struct look {
	const char *query;
	bool wrong;
	const char *sentence;
};

static const struct look looks[] = {
	{"SELECT 1 FROM sqlite_sequence WHERE name = 'events' AND seq >= 9007199254740991", true,
		"events has no ids left, since a row was given one of the largest, and every "
		"INSERT "
		"fails: sqlite3 $ < schema/after-restore.sql mends it, and gives other ids to the "
		"rows whose ids are too large"},
	{"SELECT 1 FROM sqlite_sequence WHERE name = 'events' AND seq > 9000000000000000 AND "
	 "seq < 9007199254740991",
		false,
		"a row of events was given a very large id, so that ids end soon: sqlite3 $ < "
		"schema/after-restore.sql mends it"},
	{"SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'events_refused')",
		false,
		"an older rowtail.sql made this log: sqlite3 $ < schema/rowtail.sql makes it one "
		"of "
		"this version, and keeps every row and grant"},
	{"SELECT 1 FROM sqlite_master WHERE name = 'grants' AND lower(sql) LIKE '%without rowid%'",
		false,
		"programs whose SQLite is older than 3.8.2 can read nothing in this database, for "
		"the table grants is WITHOUT ROWID: sqlite3 $ < schema/rowtail.sql mends it"},
	{"SELECT 1 FROM sqlite_master WHERE name = 'retention' AND type = 'table' AND NOT EXISTS "
	 "(SELECT 1 FROM sqlite_master WHERE name = 'retention_counted')",
		false,
		"an older retention.sql made the table retention, and may count wrongly: sqlite3 $ "
		"< "
		"schema/retention.sql, after rowtail.sql, counts anew and keeps the rules"},
	{"SELECT 1 FROM pragma_index_list('events') WHERE \"unique\" AND origin <> 'pk'", false,
		"events has a UNIQUE index of your own: INSERT OR REPLACE would delete rows "
		"without "
		"a trigger, and no reader would be told; INSERT OR IGNORE does no harm"},
};

static bool applies(struct database *db, const char *query)
{
	struct statement *st;
	bool found = database_prepare(db, &st, query) == DATABASE_OK &&
		     database_step(st) == DATABASE_ROW;

	database_finalize(st);
	return found;
}

static void put_path(char *out, const char *sentence, const char *path)
{
	size_t length = 0;

	for (; *sentence && length + 1 < SCHEMA_SENTENCE; sentence++) {
		if (*sentence != '$')
			out[length++] = *sentence;
		else
			for (const char *p = path; *p && length + 1 < SCHEMA_SENTENCE; p++)
				out[length++] = *p;
	}
	out[length] = '\0';
}

bool schema_next(struct database *db, const char *path, size_t *at, struct schema_finding *finding)
{
	while (*at < sizeof(looks) / sizeof(looks[0])) {
		const struct look *look = &looks[(*at)++];

		if (!applies(db, look->query))
			continue;
		finding->wrong = look->wrong;
		put_path(finding->sentence, look->sentence, path);
		return true;
	}
	return false;
}
