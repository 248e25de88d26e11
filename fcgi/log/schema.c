#include "log/schema.h"

#include "log/database.h"

/*
 * The finding applies if the query returns a row. "$" in the sentence stands for the database's
 * path.
 */
struct look {
	const char *query;
	bool wrong;
	const char *sentence;
};

static const struct look looks[] = {
	{"SELECT 1 FROM sqlite_sequence WHERE name = 'events' AND seq >= 9007199254740991", true,
		"events has no ids left, because a row was given one of the largest ids; every "
		"INSERT fails. To fix it: sqlite3 $ < schema/after-restore.sql, which gives the "
		"rows "
		"with such ids new ones"},
	{"SELECT 1 FROM sqlite_sequence WHERE name = 'events' AND seq > 9000000000000000 AND "
	 "seq < 9007199254740991",
		false,
		"a row of events was given a very large id, so ids will soon run out. To fix it: "
		"sqlite3 $ < schema/after-restore.sql"},
	{"SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name IN "
	 "('events_refused', 'rowtail_mirror'))",
		false,
		"an older rowtail.sql made this log. To upgrade it: sqlite3 $ < "
		"schema/rowtail.sql, "
		"which keeps every row and grant"},
	{"SELECT 1 FROM sqlite_master WHERE name = 'grants' AND lower(sql) LIKE '%without rowid%'",
		false,
		"programs with a SQLite older than 3.8.2 cannot read this database, because the "
		"table grants is WITHOUT ROWID. To fix it: sqlite3 $ < schema/rowtail.sql"},
	{"SELECT 1 FROM sqlite_master WHERE name = 'retention' AND type = 'table' AND NOT EXISTS "
	 "(SELECT 1 FROM sqlite_master WHERE name = 'retention_counted')",
		false,
		"an older retention.sql made the table retention, and may count wrongly. To fix "
		"it, "
		"after rowtail.sql: sqlite3 $ < schema/retention.sql, which counts again and keeps "
		"the rules"},
	{"SELECT 1 FROM pragma_index_list('events') WHERE \"unique\" AND origin <> 'pk'", false,
		"events has a UNIQUE index of your own: INSERT OR REPLACE would delete rows "
		"without "
		"firing a trigger, and no client would get a gap; INSERT OR IGNORE is safe"},
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
