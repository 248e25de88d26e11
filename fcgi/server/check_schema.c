#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "log/schema.h"
#include "server/check_impl.h"
#include "track/track.h"

void check_query(struct database *db, const char *sql, const char *bind, char *out, size_t size)
{
	struct statement *st;
	const char *text;
	size_t length;

	*out = '\0';
	if (database_prepare(db, &st, sql) == DATABASE_OK) {
		if (bind)
			database_bind_text(st, 1, bind, strlen(bind));
		if (database_step(st) == DATABASE_ROW && (text = database_text(st, 0, &length)))
			snprintf(out, size, "%s", text);
	}
	database_finalize(st);
}

void check_journal(struct database *db)
{
	char mode[32];

	check_query(db, "PRAGMA journal_mode", NULL, mode, sizeof(mode));
	if (!strcasecmp(mode, "wal"))
		check_good("the journal mode is WAL");
	else
		check_note(
			"the journal mode is %s: readers and writers block each other; to fix it, "
			"let a writer run PRAGMA journal_mode=WAL once",
			mode);
}

void check_schema(struct checking *c, struct database *db)
{
	static const char *const parts[] = {"grants", "events_pruned"};
	char found[256];

	if (strcasecmp(c->config->table, "events")) {
		check_good("%s is a table or view of your own, with id and data", c->config->table);
		check_note(
			"ids must be unique and grow in the order of commits; rowtail cannot know "
			"which rows were deleted from the middle of this table");
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		bool needed =
			i == 0 ? !c->config->public_ : !strcasecmp(c->config->table, "events");

		check_query(db,
			"SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE "
			"m.type = 'table' AND m.name = ?1 AND c.name IN ('subject', 'deletion')",
			parts[i], found, sizeof(found));
		if (*found || !needed)
			continue;
		check_query(db, "SELECT 1 FROM sqlite_master WHERE lower(name) = ?1", parts[i],
			found, sizeof(found));
		if (*found && i == 0 && c->config->jwt_key)
			check_note("the table grants is the application's own, so only a JWT can "
				   "allow "
				   "reading");
		else if (*found && i == 0)
			check_wrong(c, EX_CONFIG,
				"the table grants is the application's own, so it grants nothing "
				"to anybody: use --jwt-key or --public, or keep the log in a "
				"database of its own");
		else
			check_wrong(c, EX_CONFIG,
				"the table %s is missing. To create what is missing and change "
				"nothing "
				"else: sqlite3 %s < schema/rowtail.sql",
				parts[i], c->config->db);
	}
	check_query(db,
		"SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = "
		"?1",
		"events", found, sizeof(found));
	if (!strcasecmp(c->config->table, "events") && !strcmp(found, "0"))
		check_wrong(c, EX_CONFIG,
			"events has no triggers; they keep ids growing and record what was "
			"pruned. To create them: sqlite3 %s < schema/rowtail.sql",
			c->config->db);
}

void check_form(struct checking *c, struct database *db)
{
	struct schema_finding finding;
	size_t at = 0;

	while (!strcasecmp(c->config->table, "events") &&
		schema_next(db, c->config->db, &at, &finding)) {
		if (finding.wrong)
			check_wrong(c, EX_CONFIG, "%s", finding.sentence);
		else
			check_note("%s", finding.sentence);
	}
}

void check_grants(const struct checking *c, struct database *db)
{
	char count[32];

	if (c->config->public_) {
		check_note("--public: everyone whom the web server lets through can read every "
			   "channel");
		return;
	}
	/* check_schema() has said so if there is no such table. */
	check_query(db, "SELECT count(*) FROM pragma_table_info('grants') WHERE name = 'subject'",
		NULL, count, sizeof(count));
	if (strcmp(count, "1") != 0)
		return;
	check_query(db,
		"SELECT count(*) FROM grants WHERE expires_at IS NULL OR "
		"julianday(expires_at) > julianday('now')",
		NULL, count, sizeof(count));
	if (*count && strcmp(count, "0"))
		check_good("%s grants are valid now", count);
	else if (c->config->jwt_key)
		check_note("there are no grants: only clients with a JWT can read");
	else
		check_note("there are no grants, so nobody can read anything yet; to let everyone "
			   "read "
			   "everything: INSERT INTO grants(subject, channel) VALUES ('*', '*')");
}

static void check_tracked_table(void *context, const struct tracked *t)
{
	struct checking *c = context;

	if (t->changed)
		check_wrong(c, EX_CONFIG,
			"the columns of %s have changed since it was tracked; to track it as it "
			"is now: rowtail --db %s --track %s | sqlite3 %s",
			t->table, c->config->db, t->table, c->config->db);
	else
		check_good("%s is tracked", t->table);
}

void check_tracked(struct checking *c, struct database *db)
{
	track_each(db, c, check_tracked_table);
}
