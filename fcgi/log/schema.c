#include "log/schema.h"

#include "log/database.h"

/* The finding applies if the query returns a row. */
struct look {
	const char *query;
	struct schema_finding finding;
};

static const struct look looks[] = {
	{"SELECT 1 FROM sqlite_sequence WHERE name = 'events' AND seq >= 9007199254740991",
		{true,
			"events has no ids left, because a row was given one of the largest ids; "
			"every INSERT fails; schema/after-restore.sql gives the rows with such "
			"ids new ones",
			"after-restore.sql"}},
	{"SELECT 1 FROM sqlite_sequence WHERE name = 'events' AND seq > 9000000000000000 AND "
	 "seq < 9007199254740991",
		{false, "a row of events was given a very large id, so ids will soon run out",
			"after-restore.sql"}},
	{"SELECT 1 FROM sqlite_master WHERE name = 'grants' AND lower(sql) LIKE '%without rowid%'",
		{false,
			"programs with a SQLite older than 3.8.2 cannot read this database, "
			"because "
			"the table grants is WITHOUT ROWID",
			"rowtail.sql"}},
	{"SELECT 1 FROM sqlite_master WHERE name = 'retention' AND type = 'table' AND NOT EXISTS "
	 "(SELECT 1 FROM sqlite_master WHERE name = 'retention_counted')",
		{false,
			"an older retention.sql made the table retention, and may count wrongly; "
			"the "
			"new one, run after rowtail.sql, counts again and keeps the rules",
			"retention.sql"}},
	{"SELECT 1 FROM pragma_index_list('events') WHERE \"unique\" AND origin <> 'pk'",
		{false,
			"events has a UNIQUE index of your own: INSERT OR REPLACE would delete "
			"rows "
			"without firing a trigger, and no client would get a gap; INSERT OR IGNORE "
			"is safe",
			NULL}},
};

static bool applies(struct database *db, const char *query)
{
	struct statement *st;
	bool found = database_prepare(db, &st, query) == DATABASE_OK &&
		     database_step(st) == DATABASE_ROW;

	database_finalize(st);
	return found;
}

bool schema_next(struct database *db, size_t *at, struct schema_finding *finding)
{
	while (*at < sizeof(looks) / sizeof(looks[0])) {
		const struct look *look = &looks[(*at)++];

		if (!applies(db, look->query))
			continue;
		*finding = look->finding;
		return true;
	}
	return false;
}

int64_t schema_version(struct database *db)
{
	struct statement *st;
	int64_t version = 1;

	if (database_prepare(db, &st, "SELECT version FROM rowtail_schema") == DATABASE_OK &&
		database_step(st) == DATABASE_ROW)
		version = database_int(st, 0);
	database_finalize(st);
	return version;
}
