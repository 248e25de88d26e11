#include "track/track.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"
#include "log/channel.h"
#include "track/expression.h"
#include "track/triggers.h"

enum { SQL_MAX = 64 << 20, LOCKED_MS = 3000 };

/* The table's CREATE statement, as the schema has it. */
static bool read_create(struct buffer *create, struct database *db, const char *table)
{
	struct statement *st;
	const char *text;
	size_t length;
	bool found = database_prepare(db, &st,
			     "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?1") ==
		     DATABASE_OK;

	if (found) {
		database_bind_text(st, 1, table, strlen(table));
		found = database_step(st) == DATABASE_ROW &&
			(text = database_text(st, 0, &length)) &&
			buffer_append(create, text, length) && buffer_append(create, "", 1);
	}
	database_finalize(st);
	return found;
}

static bool is_there(struct database *db, const char *sql, const char *text)
{
	struct statement *st;
	bool found = database_prepare(db, &st, sql) == DATABASE_OK;

	if (found && text)
		database_bind_text(st, 1, text, strlen(text));
	found = found && database_step(st) == DATABASE_ROW;
	database_finalize(st);
	return found;
}

/* --- which columns --- */

/* Takes the next name of a list, which commas separate. Returns its length; 0 at the end. */
static size_t next_name(const char **list, const char **name)
{
	size_t length;

	*list += strspn(*list, ", \t");
	*name = *list;
	length = strcspn(*list, ",");
	*list += length;
	while (length > 0 && text_is_blank((*name)[length - 1]))
		length--;
	return length;
}

/* Sets `tracked` of the columns in the list. False, with a sentence, if the table lacks one. */
static bool choose(
	struct track_table *t, const char *option, const char *list, bool tracked, char *sentence)
{
	struct text_quote quote;
	const char *name;
	size_t length, at;

	while ((length = next_name(&list, &name)) > 0) {
		at = track_table_find(t, name, length);
		if (at == t->count) {
			snprintf(sentence, TRACK_SENTENCE_MAX,
				"--%s: %s has no column %s: separate the names of columns by "
				"commas",
				option, t->name, text_quote(&quote, name, length));
			return false;
		}
		t->columns[at].tracked = tracked;
	}
	return true;
}

static bool choose_columns(struct track_table *t, const struct config *c, char *sentence)
{
	bool any = false;

	for (size_t i = 0; c->track_columns && i < t->count; i++)
		t->columns[i].tracked = false;
	if ((c->track_columns && !choose(t, "track-columns", c->track_columns, true, sentence)) ||
		(c->track_except && !choose(t, "track-except", c->track_except, false, sentence)))
		return false;
	for (size_t i = 0; i < t->count; i++)
		any |= t->columns[i].tracked;
	if (!any)
		snprintf(sentence, TRACK_SENTENCE_MAX, "no column of %s is left to track", t->name);
	return any;
}

/* Says which columns look as if their values should not reach a page. */
static void warn_of_secrets(const struct track_table *t)
{
	static const char *const words[] = {"password", "passwd", "pwd", "secret", "token",
		"api_key", "apikey", "private", "salt", "hash", "otp", "pin", "iban", "card_number",
		"cvv", "ssn"};

	for (size_t i = 0; i < t->count; i++)
		for (size_t w = 0; t->columns[i].tracked && w < sizeof(words) / sizeof(*words); w++)
			if (strcasestr(t->columns[i].name, words[w])) {
				warnx("column %s looks like a secret, and readers of the channel "
				      "will see it: "
				      "leave it out with --track-except %s",
					t->columns[i].name, t->columns[i].name);
				break;
			}
}

/* --- what is in the way --- */

/* A comment holds the names of columns. */
static bool names_fit_comment(const struct track_table *t, char *sentence)
{
	for (size_t i = 0; i < t->count; i++)
		if (strstr(t->columns[i].name, "*/")) {
			snprintf(sentence, TRACK_SENTENCE_MAX,
				"a column is named %s: no name may contain */", t->columns[i].name);
			return false;
		}
	return true;
}

static bool names_are_free(struct database *db, const struct track_table *t, char *sentence)
{
	if (!is_there(db,
		    "SELECT 1 FROM sqlite_master WHERE lower(name) IN (lower('" TRIGGERS_PREFIX
		    "insert_' || ?1), lower('" TRIGGERS_PREFIX
		    "update_' || ?1), lower('" TRIGGERS_PREFIX
		    "delete_' || ?1), lower('" TRIGGERS_PREFIX
		    "before_insert_' || ?1), lower('" TRIGGERS_PREFIX
		    "before_update_' || ?1)) AND NOT (type = 'trigger' AND sql LIKE "
		    "'%" TRIGGERS_MARK "%') OR lower(name) = lower('" TRIGGERS_PREFIX
		    "notes_' || ?1) AND NOT (type = 'table' "
		    "AND sql LIKE '%k1%') OR lower(name) = lower('" TRIGGERS_PREFIX
		    "of_' || ?1) AND NOT (type = 'view' AND sql LIKE '%" TRIGGERS_MARK "%')",
		    t->name))
		return true;
	snprintf(sentence, TRACK_SENTENCE_MAX,
		"the application has a trigger or table with a name that begins "
		"with " TRIGGERS_PREFIX " and ends with _%s: rename it",
		t->name);
	return false;
}

static bool log_is_there(struct database *db, const char *path, char *sentence)
{
	if (is_there(db,
		    "SELECT 1 FROM (SELECT id, channel, event, data FROM events LIMIT 0) "
		    "UNION ALL SELECT 1 LIMIT 1",
		    NULL) &&
		is_there(db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'events'",
			NULL))
		return true;
	snprintf(sentence, TRACK_SENTENCE_MAX,
		"%.300s has no event log: create it with: sqlite3 %.200s < schema/rowtail.sql",
		path, path);
	return false;
}

/*
 * Finds the table's name when it was tracked, if the application has renamed it since: ALTER TABLE
 * leaves the names of triggers alone.
 */
static void find_former(char former[TRACK_NAME_MAX], struct database *db, const char *table)
{
	struct statement *st;
	size_t length;
	const char *name;

	*former = '\0';
	if (database_prepare(db, &st,
		    "SELECT substr(name, length('" TRIGGERS_PREFIX
		    "insert_') + 1) FROM sqlite_master WHERE type = 'trigger' AND name GLOB "
		    "'" TRIGGERS_PREFIX "insert_*' AND sql LIKE '%" TRIGGERS_MARK
		    "%' AND lower(tbl_name) = lower(?1) AND lower(name) <> lower('" TRIGGERS_PREFIX
		    "insert_' || ?1)") == DATABASE_OK) {
		database_bind_text(st, 1, table, strlen(table));
		if (database_step(st) == DATABASE_ROW && (name = database_text(st, 0, &length)) &&
			length < TRACK_NAME_MAX)
			snprintf(former, TRACK_NAME_MAX, "%s", name);
	}
	database_finalize(st);
}

/* The name was another table's when that one was tracked, and its triggers still have it. */
static bool name_is_its_own(struct database *db, const struct track_table *t, char *sentence)
{
	if (!is_there(db,
		    "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND lower(name) = "
		    "lower('" TRIGGERS_PREFIX "insert_' || ?1) AND lower(tbl_name) <> lower(?1)",
		    t->name))
		return true;
	snprintf(sentence, TRACK_SENTENCE_MAX,
		"a tracked table was renamed, and its triggers are still named after %s: run "
		"rowtail --track for that table first (rowtail --tracked lists it)",
		t->name);
	return false;
}

/* Events for which no channel of their own can be made are in TABLE/. */
static bool name_fits_channel(const struct track_table *t, char *sentence)
{
	struct buffer text;
	bool fits;

	buffer_init(&text, SQL_MAX);
	expression_literal(&text, t->name);
	buffer_text(&text, "/");
	fits = !text.failed && channel_is_name((const char *)text.data, text.length);
	buffer_free(&text);
	if (!fits)
		snprintf(sentence, TRACK_SENTENCE_MAX,
			"the name of this table is too long for a channel, which has 255 bytes: "
			"give it a shorter one");
	return fits;
}

/* --- --track --- */

static int print(const struct buffer *sql)
{
	if (sql->failed || fwrite(sql->data, 1, sql->length, stdout) != sql->length ||
		fflush(stdout)) {
		warnx("the SQL could not be written");
		return EX_IOERR;
	}
	return 0;
}

/* A line break in a name must not end the comment. */
static void head(struct buffer *sql, const struct track_table *t)
{
	char name[TRACK_NAME_MAX];

	snprintf(name, sizeof(name), "%s", t->name);
	for (char *p = name; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = '?';
	buffer_printf(sql,
		"-- rowtail --track: each row that is inserted, updated or deleted in %s becomes "
		"an event.\n"
		"-- Run this on the database with any SQLite from 3.7.17 on, as in: rowtail ... | "
		"sqlite3 app.db\n"
		"-- Don't split it at each semicolon: triggers contain semicolons. In Perl set "
		"sqlite_allow_multiple_statements.\n"
		"-- To undo it: rowtail --db ... --untrack %s | sqlite3 app.db\n",
		name, name);
}

static int track(const struct config *c, struct database *db, struct track_table *t)
{
	char sentence[TRACK_SENTENCE_MAX], former[TRACK_NAME_MAX];
	const struct track_choice choice = {.channel = c->track_channel,
		.changes = c->track_changes,
		.functions = c->track_json_functions,
		.former = former};
	struct buffer create, sql;
	int status = EX_DATAERR;

	buffer_init(&create, SQL_MAX);
	buffer_init(&sql, SQL_MAX);
	if (!track_table_read(t, db, c->track, sentence) || !log_is_there(db, c->db, sentence) ||
		!names_fit_comment(t, sentence) || !names_are_free(db, t, sentence) ||
		!name_is_its_own(db, t, sentence) || !name_fits_channel(t, sentence))
		warnx("%s", sentence);
	else if (!choose_columns(t, c, sentence) ||
		 (c->track_channel && !triggers_channel_is_good(t, c->track_channel, sentence))) {
		warnx("%s", sentence);
		status = EX_USAGE;
	} else if (!read_create(&create, db, t->name))
		warnx("%s", database_message(db));
	else {
		if (*t->odd_index)
			warnx("index %s is on an expression or on some rows only: a row that "
			      "REPLACE "
			      "deletes because of it makes no delete event, unless the writer sets "
			      "PRAGMA recursive_triggers = ON",
				t->odd_index);
		if (t->odd_column)
			warnx("column %s is NOT NULL with a default that is no literal: a row that "
			      "REPLACE deletes because of that default makes no delete event, "
			      "unless "
			      "the writer sets PRAGMA recursive_triggers = ON",
				t->odd_column->name);
		warn_of_secrets(t);
		find_former(former, db, t->name);
		head(&sql, t);
		triggers_write(&sql, t, &choice, (const char *)create.data);
		status = print(&sql);
	}
	buffer_free(&create);
	buffer_free(&sql);
	return status;
}

/* --- --tracked and --untrack --- */

static bool copy_line(char *to, size_t size, const char *text, const char *word, const char *end)
{
	const char *line = strstr(text, word);
	size_t length;

	if (!line)
		return false;
	line += strlen(word);
	length = (size_t)(strstr(line, end) ? strstr(line, end) - line : 0);
	if (length >= size)
		return false;
	memcpy(to, line, length);
	to[length] = '\0';
	return true;
}

/* Have the table's columns changed since --track noted them? */
static bool columns_changed(struct database *db, const char *table, const char *sql)
{
	char sentence[TRACK_SENTENCE_MAX];
	struct track_table t;
	struct buffer now;
	bool same;

	buffer_init(&now, SQL_MAX);
	buffer_text(&now, "\ncolumns ");
	same = track_table_read(&t, db, table, sentence);
	if (same)
		triggers_write_columns(&now, &t);
	buffer_text(&now, "\nuntracked ");
	same = same && buffer_append(&now, "", 1) && strstr(sql, (const char *)now.data);
	track_table_free(&t);
	buffer_free(&now);
	return !same;
}

/* Calls `each` for the tracked tables whose triggers are gone. */
static bool each_lost(struct database *db, void *context,
	void (*each)(void *context, const struct tracked *tracked))
{
	struct tracked tracked = {.untracked = "", .lost = true};
	struct statement *st;
	const char *name;
	size_t length;
	enum database_status s = database_prepare(db, &st,
		"SELECT substr(name, length('" TRIGGERS_PREFIX
		"of_') + 1) AS t FROM sqlite_master m "
		"WHERE type = 'view' AND name GLOB '" TRIGGERS_PREFIX "of_*' AND sql LIKE "
		"'%" TRIGGERS_MARK "%' AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = "
		"'trigger' AND name = '" TRIGGERS_PREFIX "insert_' || t) ORDER BY 1");

	if (s != DATABASE_OK)
		return false;
	while ((s = database_step(st)) == DATABASE_ROW)
		if ((name = database_text(st, 0, &length)) && length < sizeof(tracked.table)) {
			snprintf(tracked.table, sizeof(tracked.table), "%s", name);
			each(context, &tracked);
		}
	database_finalize(st);
	return s == DATABASE_DONE;
}

bool track_each(struct database *db, void *context,
	void (*each)(void *context, const struct tracked *tracked))
{
	enum { UNTRACKED_MAX = 4096 };
	char untracked[UNTRACKED_MAX];
	struct statement *st;
	enum database_status s = database_prepare(db, &st,
		"SELECT tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB "
		"'" TRIGGERS_PREFIX "insert_*' AND sql LIKE '%" TRIGGERS_MARK "%' ORDER BY 1");

	if (s != DATABASE_OK)
		return false;
	while ((s = database_step(st)) == DATABASE_ROW) {
		struct tracked tracked = {.untracked = untracked};
		size_t length, sql_length;
		const char *name = database_text(st, 0, &length),
			   *sql = database_text(st, 1, &sql_length);

		if (!name || !sql || length >= sizeof(tracked.table))
			continue;
		snprintf(tracked.table, sizeof(tracked.table), "%s", name);
		if (!copy_line(tracked.channel, sizeof(tracked.channel), sql, "\nchannel ", "\n") ||
			!copy_line(untracked, sizeof(untracked), sql, "\nuntracked ", "*/"))
			*untracked = '\0';
		tracked.changed = columns_changed(db, tracked.table, sql);
		each(context, &tracked);
	}
	database_finalize(st);
	return s == DATABASE_DONE && each_lost(db, context, each);
}

static void print_tracked(void *context, const struct tracked *t)
{
	bool standard = !strcmp(t->channel, "TABLE/KEY");

	*(size_t *)context += 1;
	if (t->lost) {
		printf("%s: its triggers are gone, since the table was recreated or dropped: run "
		       "rowtail --track %s again, or --untrack %s\n",
			t->table, t->table, t->table);
		return;
	}
	printf("%s: channel %s%s", t->table, standard ? t->table : t->channel,
		standard ? "/KEY" : "");
	if (*t->untracked)
		printf("; without %s", t->untracked);
	printf(t->changed ? "; its columns have changed: run rowtail --track %s again\n" : "\n",
		t->table);
}

static int list(struct database *db)
{
	size_t count = 0;

	if (!track_each(db, &count, print_tracked)) {
		warnx("%s", database_message(db));
		return EX_DATAERR;
	}
	if (count == 0)
		warnx("no table is tracked");
	return 0;
}

/* The table may be gone. Removes what is left of its tracking, too. */
static int untrack(const struct config *c, struct database *db)
{
	char former[TRACK_NAME_MAX];
	struct buffer sql;
	int status;

	find_former(former, db, c->track);
	if (!*former &&
		!is_there(db,
			"SELECT 1 FROM sqlite_master WHERE lower(name) IN (lower('" TRIGGERS_PREFIX
			"insert_' || ?1), lower('" TRIGGERS_PREFIX
			"notes_' || ?1), lower('" TRIGGERS_PREFIX "of_' || ?1))",
			c->track)) {
		warnx("%s is not tracked: rowtail --tracked lists the tables that are", c->track);
		return EX_DATAERR;
	}
	buffer_init(&sql, SQL_MAX);
	triggers_write_removal(&sql, c->track, former,
		!is_there(db,
			"SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name GLOB "
			"'" TRIGGERS_PREFIX "*' AND NOT tbl_name GLOB '" TRIGGERS_PREFIX
			"*' AND lower(tbl_name) <> lower(?1)",
			c->track));
	status = print(&sql);
	buffer_free(&sql);
	return status;
}

int track_run(const struct config *c)
{
	struct database_failure why;
	struct track_table table = {0};
	struct database *db;
	enum database_status s = database_open(&db, c->db, &why);
	int status;

	if (!db) {
		warnx("%s: %s", c->db, why.message);
		return s == DATABASE_MISSING ? EX_NOINPUT : EX_DATAERR;
	}
	database_wait_until(clock_us() + LOCKED_MS * INT64_C(1000));
	if (c->action == CONFIG_TRACKED)
		status = list(db);
	else if (c->action == CONFIG_UNTRACK)
		status = untrack(c, db);
	else
		status = track(c, db, &table);
	track_table_free(&table);
	database_close(db);
	return status;
}
