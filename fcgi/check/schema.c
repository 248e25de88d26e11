/* Is everything from schema/rowtail.sql there, and is it the schema that this rowtail knows? */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "check/query.h"
#include "log/copied.h"
#include "log/schema.h"

/* As in rowtail.sql, which refuses any other table. */
#define IS_LOG                                                                                     \
	"type = 'table' AND lower(sql) LIKE '%autoincrement%' AND lower(sql) LIKE '%channel%' "    \
	"AND lower(sql) LIKE '%event%' AND lower(sql) LIKE '%data%' AND lower(sql) LIKE "          \
	"'%retry%' AND lower(sql) LIKE '%created_at%'"

/* A table or view of the application's, which --table names. */
static void tell_own(struct checking *c)
{
	report_ok(
		c->report, "%s is a table or view of your own, with id and data", c->config->table);
	report_note(c->report, NULL,
		"ids must be unique and grow in the order of commits; rowtail cannot know "
		"which rows were deleted from the middle of this table");
}

/* Is the table `events` one of rowtail.sql's? Reports if it is not. */
static bool check_kind(struct checking *c)
{
	char type[16];

	if (query_any(c, "SELECT 1 FROM sqlite_master WHERE lower(name) = 'events' AND " IS_LOG,
		    NULL))
		return true;
	query_text(c, "SELECT type FROM sqlite_master WHERE lower(name) = 'events'", type,
		sizeof(type));
	report_wrong(c->report, EX_CONFIG, NULL,
		"the %s events is not one that schema/rowtail.sql makes: deleted rows make no gap, "
		"and "
		"ids may be used twice. Make the log in a database of its own, as in sqlite3 "
		"log.db < "
		"schema/rowtail.sql with --db log.db; or follow this one under another name, as in "
		"CREATE VIEW feed AS SELECT id, data FROM events with --table feed",
		*type ? type : "table");
	return false;
}

/* One of rowtail.sql's tables, by a column that it has. */
static void check_table(struct checking *c, const char *name)
{
	char cure[REPORT_CURE_MAX];

	if (query_any(c,
		    "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE "
		    "m.type = 'table' AND m.name = ?1 AND c.name IN ('subject', 'deletion')",
		    name))
		return;
	if (!query_any(c, "SELECT 1 FROM sqlite_master WHERE lower(name) = ?1", name))
		report_wrong(c->report, EX_CONFIG, cure_schema(cure, c, "rowtail.sql"),
			"the table %s is missing; schema/rowtail.sql creates what is missing, and "
			"changes nothing else",
			name);
	else if (strcmp(name, "grants") != 0)
		report_wrong(c->report, EX_CONFIG, NULL,
			"the table %s is the application's own: keep the log in a database of its "
			"own",
			name);
	else if (c->config->jwt_key)
		report_note(c->report, NULL,
			"the table grants is the application's own, so only a JWT can allow "
			"reading");
	else
		report_wrong(c->report, EX_CONFIG, NULL,
			"the table grants is the application's own, so it grants nothing to "
			"anybody: "
			"use --jwt-key or --public, or keep the log in a database of its own");
}

/* A mirror's copy has no triggers: rowtail-mirror has checked the rows. */
static void check_triggers(struct checking *c, int64_t version)
{
	static const char *const names[] = {"events_deleted", "events_refused", "events_numbered",
		"events_row_is_final", "events_pruned_bound"};
	char cure[REPORT_CURE_MAX];

	if (!query_any(c,
		    "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = ?1",
		    "events")) {
		report_wrong(c->report, EX_CONFIG, cure_schema(cure, c, "rowtail.sql"),
			"events has no triggers; they keep ids growing and record what was pruned");
		return;
	}
	/* Of these, a log of 0.1.0 has only the first. */
	for (size_t i = 0; i < (version < 2 ? 1 : sizeof(names) / sizeof(*names)); i++)
		if (!query_any(c,
			    "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?1",
			    names[i]))
			report_wrong(c->report, EX_CONFIG, cure_schema(cure, c, "rowtail.sql"),
				"the trigger %s is missing%s", names[i],
				i == 0 ? ", so readers are not told of deleted rows" : "");
}

/* Compares the schema's version with the one that this rowtail knows. */
static void check_version(struct checking *c, int64_t version)
{
	char cure[REPORT_CURE_MAX];

	if (version > SCHEMA_VERSION)
		report_note(c->report, NULL,
			"a newer rowtail.sql made this log: it has version %lld of the schema, and "
			"this rowtail knows %d; install the newer rowtail",
			(long long)version, SCHEMA_VERSION);
	else if (version == SCHEMA_VERSION)
		report_ok(c->report, "the log has version %d of the schema, as this rowtail",
			SCHEMA_VERSION);
	else if (!c->is_copy)
		report_note(c->report, cure_schema(cure, c, "rowtail.sql"),
			"an older rowtail.sql made this log: it has version %lld of the schema, "
			"and "
			"this rowtail knows %d; the upgrade keeps every row and grant",
			(long long)version, SCHEMA_VERSION);
}

/* Reports what a newer file of schema/ would improve or fix. */
static void check_form(struct checking *c)
{
	struct schema_finding finding;
	char cure[REPORT_CURE_MAX];
	size_t at = 0;

	while (schema_next(c->db, &at, &finding)) {
		const char *fix = finding.file ? cure_schema(cure, c, finding.file) : NULL;

		if (finding.wrong)
			report_wrong(c->report, EX_CONFIG, fix, "%s", finding.sentence);
		else
			report_note(c->report, fix, "%s", finding.sentence);
	}
}

void section_schema(struct checking *c)
{
	struct copied copied;
	int64_t version;

	c->is_copy = copied_read(c->log, &copied) == EVENTLOG_OK && copied.is_copy;
	c->ours = !strcasecmp(c->config->table, "events");
	if (!c->ours)
		tell_own(c);
	else if (!(c->ours = check_kind(c)))
		return;
	if (!c->config->public_)
		check_table(c, "grants");
	if (!c->ours)
		return;
	check_table(c, "events_pruned");
	version = schema_version(c->db);
	if (!c->is_copy)
		check_triggers(c, version);
	check_version(c, version);
	check_form(c);
}
