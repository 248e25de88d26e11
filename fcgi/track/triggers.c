#include <stdio.h>
#include <string.h>

#include "track/expression.h"
#include "track/triggers_impl.h"

/* --- what all tracked tables share --- */

#define CONTROLS "'*[' || char(1) || '-' || char(31) || ']*'"

enum {
	STEPS = 4,
	STEP_CHARACTERS = 8,
	DATA_MAX = 268435456, /* bytes; as in rowtail.sql */
	ESCAPED_MAX = DATA_MAX / 6, /* characters, of which each may become \u001f */
};

/* Replaces some control characters in NEW.data. SQLite 3.7.17 can't parse deeper nested calls. */
static void escaped_some(struct buffer *sql, int step)
{
	int first = step > 0 ? step * STEP_CHARACTERS : 1, end = (step + 1) * STEP_CHARACTERS;

	for (int c = first; c < end; c++)
		buffer_text(sql, "replace(");
	buffer_text(sql, "NEW.data");
	for (int c = first; c < end; c++)
		buffer_printf(sql, ", char(%d), '\\u%04x')", c, (unsigned)c);
}

static void view(struct buffer *sql, const char *name)
{
	buffer_printf(sql,
		"DROP VIEW IF EXISTS %s;\nCREATE VIEW %s AS SELECT NULL AS channel, NULL AS event, "
		"NULL AS data, NULL AS otherwise WHERE 0;\n",
		name, name);
}

/* Replaces control characters in steps: each view's trigger inserts into the next one. */
static void escaping_views(struct buffer *sql)
{
	char name[64], next[64];

	for (int step = STEPS - 1; step >= 0; step--) {
		snprintf(name, sizeof(name), TRIGGERS_VIEW "_%d", step);
		snprintf(next, sizeof(next), TRIGGERS_VIEW "_%d", step + 1);
		view(sql, name);
		buffer_printf(sql,
			"CREATE TRIGGER %s_escaped INSTEAD OF INSERT ON %s\nBEGIN\n\tINSERT INTO "
			"%s VALUES (",
			name, name, step + 1 < STEPS ? next : TRIGGERS_VIEW);
		buffer_text(sql, "NEW.channel, NEW.event,\n\t\t");
		escaped_some(sql, step);
		buffer_text(sql, ", NEW.otherwise);\nEND;\n");
	}
}

/*
 * An INSERT into the view puts a row into events. In a database of UTF-16 nobody can count the
 * bytes of UTF-8 quickly, so a channel that isn't ASCII may have 63 characters there, of 4 bytes at
 * most. A channel that has ended takes no rows, and that must not be an error of the application:
 * such events go to TABLE/ unless it has ended too. rowtail.sql 0.1.0 made no events_ended.
 */
static void shared_views(struct buffer *sql, bool wide)
{
	view(sql, TRIGGERS_VIEW);
	escaping_views(sql);
	buffer_text(sql,
		"CREATE TABLE IF NOT EXISTS events_ended(\n\tchannel TEXT NOT NULL PRIMARY "
		"KEY,\n\tid INTEGER NOT NULL\n);\n"
		"CREATE TRIGGER " TRIGGERS_VIEW "_plain INSTEAD OF INSERT ON " TRIGGERS_VIEW
		"\nWHEN NEW.data NOT GLOB " CONTROLS
		"\nBEGIN\n\tINSERT INTO events(channel, event, data)\n\tSELECT c, NEW.event, ");
	buffer_printf(sql,
		"CASE WHEN length(CAST(NEW.data AS BLOB)) <= %d THEN NEW.data\n\t\t"
		"ELSE " TRIGGERS_LARGE " END FROM (SELECT CASE WHEN ",
		DATA_MAX);
	buffer_text(sql, wide ? "length(NEW.channel) BETWEEN 1\n\t\tAND CASE WHEN NEW.channel GLOB "
				"'*[^ -~]*' "
				"THEN 63 ELSE 255 END"
			      : "length(CAST(NEW.channel AS BLOB)) BETWEEN 1 AND 255");
	buffer_text(sql,
		"\n\t\tAND NOT EXISTS (SELECT 1 FROM events_ended WHERE channel = NEW.channel)"
		"\n\t\tTHEN NEW.channel ELSE NEW.otherwise END AS c)"
		"\n\tWHERE NOT EXISTS (SELECT 1 FROM events_ended WHERE channel = c);\nEND;\n"
		"CREATE TRIGGER " TRIGGERS_VIEW "_escaped INSTEAD OF INSERT ON " TRIGGERS_VIEW
		"\nWHEN NEW.data GLOB " CONTROLS "\nBEGIN\n\tINSERT INTO " TRIGGERS_VIEW
		"_0\n\tVALUES (NEW.channel, NEW.event, ");
	buffer_printf(sql,
		"CASE WHEN length(NEW.data) <= %d THEN NEW.data\n\t\tELSE " TRIGGERS_LARGE
		" END, NEW.otherwise);\nEND;\n\n",
		ESCAPED_MAX);
}

/* --- the frame --- */

static void remove_former(struct buffer *sql, const char *table)
{
	static const char *const names[] = {
		"insert", "update", "delete", "before_insert", "before_update"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		buffer_text(sql, "DROP TRIGGER IF EXISTS ");
		triggers_name(sql, names[i], table);
		buffer_text(sql, ";\n");
	}
	buffer_text(sql, "DROP TABLE IF EXISTS ");
	triggers_name(sql, "notes", table);
	buffer_text(sql, ";\nDROP VIEW IF EXISTS ");
	triggers_name(sql, "of", table);
	buffer_text(sql, ";\n");
}

/*
 * DROP TABLE drops the triggers too, and many migrations make a table anew and drop the old one.
 * This view stays, and shows that the table was tracked.
 */
static void remember(struct buffer *sql, const char *table)
{
	buffer_text(sql, "CREATE VIEW ");
	triggers_name(sql, "of", table);
	buffer_text(sql, " AS SELECT ");
	expression_text(sql, table, strlen(table));
	buffer_text(sql, " AS name " TRIGGERS_MARK " */;\n");
}

/* RAISE(ROLLBACK) undoes everything if the condition holds for a row of sqlite_master. */
static void refuse_if(struct buffer *sql, const char *sentence, const char *condition)
{
	buffer_text(sql, "\tSELECT RAISE(ROLLBACK, ");
	expression_text(sql, sentence, strlen(sentence));
	buffer_printf(sql, ")\n\tWHERE %s", condition);
}

/* The sqlite3 shell continues after an error. The last statement checks all, and rolls back. */
static void check(const struct writing *w, const char *seen)
{
	struct buffer *sql = w->sql;
	char sentence[TRACK_NAME_MAX + 200];

	buffer_text(sql, "CREATE TEMP TRIGGER rowtail_track_checked BEFORE INSERT ON "
			 "rowtail_track\nWHEN NEW.step = 'done'\nBEGIN\n");
	snprintf(sentence, sizeof(sentence),
		"the table %s is not as rowtail --track saw it: run rowtail --track again",
		w->t->name);
	refuse_if(sql, sentence,
		"NOT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ");
	expression_text(sql, w->t->name, strlen(w->t->name));
	buffer_text(sql, "\n\t\tAND sql = ");
	expression_text(sql, seen, strlen(seen));
	buffer_text(sql, ");\n");
	refuse_if(sql, "this database has no table events: run schema/rowtail.sql first",
		"NOT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND lower(name) "
		"= 'events'\n"
		"\t\tAND lower(sql) LIKE '%channel%' AND lower(sql) LIKE '%event%' AND lower(sql) "
		"LIKE '%data%');\n");
	if (w->choice->functions)
		refuse_if(sql,
			"this SQLite has no json_quote(): run rowtail --track without --track-json",
			"NOT EXISTS (SELECT 1 FROM temp.rowtail_track WHERE step = '\"json\"');\n");
	snprintf(sentence, sizeof(sentence),
		"rowtail --track %s: a statement failed, so nothing was changed; the first error "
		"says why",
		w->t->name);
	refuse_if(sql, sentence,
		"(SELECT count(*) FROM main.sqlite_master WHERE type = 'trigger' AND name IN (");
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"insert", "update", "delete"};
		char name[TRACK_NAME_MAX + 64];

		snprintf(name, sizeof(name), TRIGGERS_PREFIX "%s_%s", names[i], w->t->name);
		buffer_text(sql, i > 0 ? ", " : "");
		expression_text(sql, name, strlen(name));
	}
	buffer_printf(sql, ")) < 3\n\t\tOR (SELECT count(*) FROM main.sqlite_master WHERE name "
			   "GLOB '" TRIGGERS_PREFIX "*' AND tbl_name = ");
	expression_text(sql, w->t->name, strlen(w->t->name));
	buffer_printf(sql, ") < %d;\nEND;\n", triggers_need_notes(w) ? 5 : 3);
}

static void begin_whole(struct buffer *sql)
{
	buffer_text(sql, "PRAGMA busy_timeout = 10000;\n"
			 "DROP TABLE IF EXISTS temp.rowtail_track;\n"
			 "CREATE TEMP TABLE rowtail_track(step);\n");
}

/*
 * SQLite waits for another writer only if the transaction has read nothing yet, and a DROP that
 * finds nothing reads. So the first statement is one that always writes.
 */
static void begin_changes(struct buffer *sql)
{
	buffer_text(sql, "SAVEPOINT rowtail_track;\n"
			 "CREATE VIEW " TRIGGERS_LOCK " AS SELECT 1;\n"
			 "DROP VIEW " TRIGGERS_LOCK ";\n");
}

static void end_whole(struct buffer *sql)
{
	buffer_text(sql, "INSERT INTO rowtail_track VALUES ('done');\nRELEASE rowtail_track;\n"
			 "DROP TABLE IF EXISTS temp.rowtail_track;\n");
}

void triggers_write(struct buffer *sql, const struct track_table *t,
	const struct track_choice *choice, const char *seen)
{
	struct writing w = {.sql = sql, .t = t, .choice = choice};

	begin_whole(sql);
	check(&w, seen);
	if (choice->functions)
		buffer_text(sql, "INSERT INTO rowtail_track SELECT json_quote('json');\n");
	begin_changes(sql);
	remove_former(sql, t->name);
	if (*choice->former)
		remove_former(sql, choice->former);
	buffer_text(sql, "\n");
	shared_views(sql, t->wide);
	triggers_write_table(&w);
	remember(sql, t->name);
	end_whole(sql);
}

/* Nothing of a tracked table may be left that needs the views. */
static void remove_shared(struct buffer *sql)
{
	buffer_text(sql, "CREATE TEMP TRIGGER rowtail_track_checked BEFORE INSERT ON "
			 "rowtail_track\nWHEN NEW.step = 'done'\nBEGIN\n");
	refuse_if(sql, "another table is tracked by now: run rowtail --untrack again",
		"EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger'\n\t\tAND name "
		"GLOB '" TRIGGERS_PREFIX "*' AND NOT tbl_name GLOB '" TRIGGERS_PREFIX
		"*');\nEND;\n");
	for (int step = STEPS - 1; step >= 0; step--)
		buffer_printf(sql, "DROP VIEW IF EXISTS " TRIGGERS_VIEW "_%d;\n", step);
	buffer_text(sql, "DROP VIEW IF EXISTS " TRIGGERS_VIEW ";\n");
}

void triggers_write_removal(struct buffer *sql, const char *table, const char *former, bool last)
{
	begin_whole(sql);
	begin_changes(sql);
	remove_former(sql, table);
	if (*former)
		remove_former(sql, former);
	if (last)
		remove_shared(sql);
	end_whole(sql);
}
