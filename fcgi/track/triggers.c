#include "track/triggers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "log/channel.h"
#include "track/expression.h"

#define VIEW TRIGGERS_PREFIX "event"

enum { NAME_TEXT_MAX = 8 * TRACK_NAME_MAX };

/* What is written, and about what. */
struct writing {
	struct buffer *sql;
	const struct track_table *t;
	const struct track_choice *choice;
	const char *row; /* of expression_join()'s values */
	const char *before; /* the row before an update; NULL elsewhere */
};

/* --- the channel --- */

static bool advise(char *sentence, const char *what, int length, const char *part)
{
	snprintf(sentence, TRACK_SENTENCE_MAX, "track-channel: %s: %.*s", what, length, part);
	return false;
}

bool triggers_channel_is_good(const struct track_table *t, const char *channel, char *sentence)
{
	const char *p = channel;
	size_t length;

	while (*p) {
		length = strcspn(p, "{}");
		p += length;
		if (*p == '}')
			return advise(sentence, "a } without a { before it", (int)strlen(channel),
				channel);
		if (!*p)
			break;
		length = strcspn(p, "}");
		if (!p[length])
			return advise(sentence, "a { without a }", (int)strlen(channel), channel);
		if (track_table_find(t, p + 1, length - 1) == t->count)
			return advise(sentence, "the table has no such column", (int)length + 1, p);
		p += length + 1;
	}
	if (channel_is_name(channel, strlen(channel)))
		return true;
	return advise(sentence,
		"give 1 to 255 bytes without control characters or *, with columns in braces, such "
		"as shop/{customer_id}/orders",
		40, channel);
}

/* The default as a template's parts: each value is '/' and a part of the key. */
static void key_part(struct buffer *sql, size_t i, const void *context)
{
	const struct writing *w = context;

	buffer_text(sql, "'/' || ");
	expression_part(sql, w->row, w->t, track_table_key(w->t, (int)i + 1));
}

static void append_literal(struct buffer *sql, const char *text, size_t length, bool first)
{
	if (length == 0)
		return;
	buffer_text(sql, first ? "" : " || ");
	expression_text(sql, text, length);
}

static void template_channel(struct buffer *sql, const struct writing *w)
{
	const char *p = w->choice->channel;
	bool first = true;
	size_t length;

	while (*p) {
		length = strcspn(p, "{");
		append_literal(sql, p, length, first);
		first = first && length == 0;
		p += length;
		if (!*p)
			break;
		length = strcspn(p, "}");
		buffer_text(sql, first ? "" : " || ");
		expression_part(sql, w->row, w->t, track_table_find(w->t, p + 1, length - 1));
		first = false;
		p += length + 1;
	}
}

static size_t key_count(const struct track_table *t)
{
	int n = 0;

	while (track_table_key(t, n + 1) < t->count)
		n++;
	return (size_t)n;
}

/* Writes the table's name as the first part of a channel, then a slash if asked for. */
static void table_part(struct buffer *sql, const struct track_table *t, const char *end)
{
	struct buffer text;

	buffer_init(&text, NAME_TEXT_MAX);
	expression_literal(&text, t->name);
	buffer_text(&text, end);
	expression_text(sql, (const char *)text.data, text.length);
	sql->failed |= text.failed;
	buffer_free(&text);
}

/* Appends the channel of a row, which may yet be too long. */
static void channel(struct buffer *sql, const struct writing *w)
{
	if (w->choice->channel) {
		template_channel(sql, w);
		return;
	}
	table_part(sql, w->t, "");
	buffer_text(sql, " || ");
	expression_join(sql, key_count(w->t), w, key_part);
}

/* --- the row as JSON --- */

static const struct track_column *tracked_at(const struct track_table *t, size_t i)
{
	const struct track_column *c = t->columns;

	while (!c->tracked || i-- > 0)
		c++;
	return c;
}

static size_t tracked_count(const struct track_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		n += t->columns[i].tracked;
	return n;
}

static void member(struct buffer *sql, size_t i, const void *context)
{
	const struct writing *w = context;
	const struct track_column *c = tracked_at(w->t, i);
	bool conditional = w->before && w->choice->changes && !c->key;

	if (conditional) {
		buffer_text(sql, "CASE WHEN ");
		expression_differs(sql, w->before, w->row, c->name);
		buffer_text(sql, " THEN ");
	}
	expression_member(sql, w->row, c, w->choice->functions);
	if (conditional)
		buffer_text(sql, " ELSE '' END");
}

static void changed_name(struct buffer *sql, size_t i, const void *context)
{
	const struct writing *w = context;
	const struct track_column *c = tracked_at(w->t, i);
	struct buffer text;

	buffer_init(&text, NAME_TEXT_MAX);
	buffer_text(&text, ",");
	expression_json_name(&text, c->name);
	buffer_text(sql, "CASE WHEN ");
	expression_differs(sql, w->before, w->row, c->name);
	buffer_text(sql, " THEN ");
	expression_text(sql, (const char *)text.data, text.length);
	buffer_text(sql, " ELSE '' END");
	sql->failed |= text.failed;
	buffer_free(&text);
}

/* A name for the list of changed columns that is no column's. */
static const char *changed_member(const struct track_table *t)
{
	static const char *const names[] = {"_changed", "__changed", "___changed", "____changed"};
	size_t i = 0;

	while (i < 3 && track_table_find(t, names[i], strlen(names[i])) < t->count)
		i++;
	return names[i];
}

static void object(struct buffer *sql, const struct writing *w)
{
	buffer_text(sql, "'{' || substr(");
	expression_join(sql, tracked_count(w->t), w, member);
	if (w->before) {
		buffer_printf(sql, "\n\t\t|| ',\"%s\":[' || substr(", changed_member(w->t));
		expression_join(sql, tracked_count(w->t), w, changed_name);
		buffer_text(sql, ", 2) || ']'");
	}
	buffer_text(sql, ", 2) || '}'");
}

/* --- the triggers --- */

static void trigger_name(struct buffer *sql, const char *what, const char *table)
{
	char name[TRACK_NAME_MAX + 64];

	snprintf(name, sizeof(name), TRIGGERS_PREFIX "%s_%s", what, table);
	expression_name(sql, name);
}

/* a.x = b.x for what identifies a row: its rowid, or its key in a table WITHOUT ROWID. */
static void same_row(struct buffer *sql, const struct track_table *t, const char *a, const char *b)
{
	size_t c;

	if (t->rowid) {
		buffer_printf(sql, "%s.%s = %s.%s", a, t->rowid, b, t->rowid);
		return;
	}
	for (int n = 1; (c = track_table_key(t, n)) < t->count; n++) {
		buffer_text(sql, n > 1 ? " AND " : "");
		expression_column(sql, a, t->columns[c].name);
		buffer_text(sql, " = ");
		expression_column(sql, b, t->columns[c].name);
	}
}

/* The columns of the notes' table that identify a row are k1, k2… */
static void noted_row(struct buffer *sql, const struct track_table *t, const char *row)
{
	size_t c;

	if (t->rowid)
		buffer_printf(sql, "k1 = %s.%s", row, t->rowid);
	for (int n = 1; !t->rowid && (c = track_table_key(t, n)) < t->count; n++) {
		buffer_printf(sql, "%sk%d = ", n > 1 ? " AND " : "", n);
		expression_column(sql, row, t->columns[c].name);
	}
}

static bool needs_notes(const struct writing *w)
{
	return w->t->unique_count > 0 || w->choice->channel;
}

static void notes_name(struct buffer *sql, const struct track_table *t)
{
	trigger_name(sql, "notes", t->name);
}

static void begin_trigger(const struct writing *w, const char *when, const char *what)
{
	struct buffer *sql = w->sql;

	buffer_text(sql, "DROP TRIGGER IF EXISTS ");
	trigger_name(sql, what, w->t->name);
	buffer_text(sql, ";\nCREATE TRIGGER ");
	trigger_name(sql, what, w->t->name);
	buffer_printf(sql, " %s ON ", when);
	expression_name(sql, w->t->name);
	buffer_text(sql, "\nBEGIN ");
}

static void mark(const struct writing *w)
{
	buffer_printf(w->sql, TRIGGERS_MARK "\nchannel %s\ncolumns ",
		w->choice->channel ? w->choice->channel : "TABLE/KEY");
	triggers_write_columns(w->sql, w->t);
	buffer_text(w->sql, "\nuntracked ");
	for (size_t i = 0; i < w->t->count; i++)
		if (!w->t->columns[i].tracked) {
			expression_name(w->sql, w->t->columns[i].name);
			buffer_text(w->sql, " ");
		}
	buffer_text(w->sql, "*/\n");
}

void triggers_write_columns(struct buffer *text, const struct track_table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		buffer_text(text, i > 0 ? " " : "");
		expression_name(text, t->columns[i].name);
	}
}

/*
 * Appends an INSERT of the row's event into the view that checks it. With TABLE/ as its last column, the channel if the
 * row's own is not one.
 */
static void begin_event(const struct writing *w, const char *event)
{
	struct buffer *sql = w->sql;

	buffer_text(sql, "INSERT INTO " VIEW "\nSELECT ");
	channel(sql, w);
	buffer_printf(sql, ", '%s',\n\t", event);
	object(sql, w);
	buffer_text(sql, ", ");
	table_part(sql, w->t, "/");
}

static void from_table(const struct writing *w)
{
	buffer_text(w->sql, "\nFROM ");
	expression_name(w->sql, w->t->name);
	buffer_text(w->sql, " AS t WHERE ");
	same_row(w->sql, w->t, "t", "NEW");
}

/*
 * Rows that a REPLACE has deleted: the notes of rows that are gone. After an INSERT also the row with the same key, if
 * its channel was another.
 */
static void replaced_rows(const struct writing *w, bool inserted)
{
	struct buffer *sql = w->sql;

	if (!needs_notes(w))
		return;
	buffer_text(sql, "INSERT INTO " VIEW "\nSELECT channel, 'delete', data, ");
	table_part(sql, w->t, "/");
	buffer_text(sql, " FROM ");
	notes_name(sql, w->t);
	buffer_text(sql, "\nWHERE NOT EXISTS (SELECT 1 FROM ");
	expression_name(sql, w->t->name);
	buffer_text(sql, " AS t WHERE ");
	noted_row(sql, w->t, "t");
	buffer_text(sql, ")");
	if (inserted) {
		buffer_text(sql, " OR ");
		noted_row(sql, w->t, "NEW");
	}
	buffer_text(sql, ";\nDELETE FROM ");
	notes_name(sql, w->t);
	buffer_text(sql, ";\n");
}

static void insert_trigger(struct writing *w)
{
	begin_trigger(w, "AFTER INSERT", "insert");
	mark(w);
	replaced_rows(w, true);
	w->row = "t";
	begin_event(w, "insert");
	from_table(w);
	buffer_text(w->sql, ";\nEND;\n\n");
}

/* NOT (OLD.x IS NEW.x AND …) for the columns that make the channel. */
static void channel_may_differ(const struct writing *w)
{
	const char *p = w->choice->channel;
	const struct track_table *t = w->t;
	size_t length;

	buffer_text(w->sql, "(0");
	for (int n = 1; !p && track_table_key(t, n) < t->count; n++) {
		buffer_text(w->sql, " OR ");
		expression_differs(w->sql, "OLD", "NEW", t->columns[track_table_key(t, n)].name);
	}
	for (p = p ? strchr(p, '{') : NULL; p; p = strchr(p + 1, '{')) {
		length = strcspn(p, "}");
		buffer_text(w->sql, " OR ");
		expression_differs(w->sql, "OLD", "NEW",
			t->columns[track_table_find(t, p + 1, length - 1)].name);
	}
	buffer_text(w->sql, ")");
}

static void update_trigger(struct writing *w)
{
	struct buffer *sql = w->sql;

	begin_trigger(w, "AFTER UPDATE", "update");
	mark(w);
	replaced_rows(w, false);
	/* Whoever follows the channel in which the row was must hear that it left. */
	w->row = "OLD";
	begin_event(w, "delete");
	buffer_text(sql, "\nWHERE ");
	channel_may_differ(w);
	buffer_text(sql, ";\n");
	w->row = "t";
	w->before = "OLD";
	begin_event(w, "update");
	from_table(w);
	if (w->choice->changes) {
		buffer_text(sql, " AND '' <> ");
		expression_join(sql, tracked_count(w->t), w, changed_name);
	}
	w->before = NULL;
	buffer_text(sql, ";\nEND;\n\n");
}

static void delete_trigger(struct writing *w)
{
	begin_trigger(w, "AFTER DELETE", "delete");
	mark(w);
	if (needs_notes(w)) {
		buffer_text(w->sql, "DELETE FROM ");
		notes_name(w->sql, w->t);
		buffer_text(w->sql, " WHERE ");
		noted_row(w->sql, w->t, "OLD");
		buffer_text(w->sql, ";\n");
	}
	w->row = "OLD";
	begin_event(w, "delete");
	buffer_text(w->sql, ";\nEND;\n\n");
}

/* t.a = NEW.a AND …, for each unique index and the key, joined by OR. */
static void conflicts(const struct writing *w)
{
	const struct track_table *t = w->t;
	struct buffer *sql = w->sql;
	size_t c;

	buffer_text(sql, "(");
	for (int n = 1; (c = track_table_key(t, n)) < t->count; n++) {
		buffer_text(sql, n > 1 ? " AND " : "");
		expression_column(sql, "t", t->columns[c].name);
		buffer_text(sql, " = ");
		expression_column(sql, "NEW", t->columns[c].name);
	}
	for (size_t u = 0; u < t->unique_count; u++)
		for (size_t i = 0; i < t->uniques[u].count; i++) {
			const struct track_term *term = &t->terms[t->uniques[u].first + i];

			buffer_text(sql, i > 0 ? " AND " : "\n\t\tOR ");
			expression_column(sql, "t", t->columns[term->column].name);
			buffer_text(sql, " = ");
			expression_column(sql, "NEW", t->columns[term->column].name);
			buffer_text(sql, " COLLATE ");
			expression_name(sql, term->collation);
		}
	buffer_text(sql, ")");
}

/* Notes the rows that the statement would delete if it is a REPLACE. */
static void note_trigger(struct writing *w, const char *when, const char *what, bool update)
{
	struct buffer *sql = w->sql;
	size_t keys = w->t->rowid ? 1 : key_count(w->t);

	begin_trigger(w, when, what);
	mark(w);
	buffer_text(sql, "INSERT INTO ");
	notes_name(sql, w->t);
	buffer_text(sql, "\nSELECT ");
	for (size_t n = 1; n <= keys; n++) {
		if (w->t->rowid)
			buffer_printf(sql, "t.%s", w->t->rowid);
		else
			expression_column(
				sql, "t", w->t->columns[track_table_key(w->t, (int)n)].name);
		buffer_text(sql, ", ");
	}
	w->row = "t";
	channel(sql, w);
	buffer_text(sql, ",\n\t");
	object(sql, w);
	buffer_text(sql, "\nFROM ");
	expression_name(sql, w->t->name);
	buffer_text(sql, " AS t WHERE ");
	conflicts(w);
	if (update) {
		buffer_text(sql, " AND NOT (");
		same_row(sql, w->t, "t", "OLD");
		buffer_text(sql, ")");
	} else {
		/* A row that stays in its channel is only changed for its readers. */
		buffer_text(sql, " AND NOT (");
		channel(sql, w);
		buffer_text(sql, " IS ");
		w->row = "NEW";
		channel(sql, w);
		w->row = "t";
		buffer_text(sql, ")");
	}
	buffer_text(sql, ";\nEND;\n\n");
}

static void notes(struct writing *w)
{
	size_t keys = w->t->rowid ? 1 : key_count(w->t);

	if (!needs_notes(w))
		return;
	buffer_text(w->sql, "CREATE TABLE IF NOT EXISTS ");
	notes_name(w->sql, w->t);
	buffer_text(w->sql, "(");
	for (size_t n = 1; n <= keys; n++)
		buffer_printf(w->sql, "k%zu, ", n);
	buffer_text(w->sql, "channel, data);\n\n");
	note_trigger(w, "BEFORE INSERT", "before_insert", false);
	note_trigger(w, "BEFORE UPDATE", "before_update", true);
}

/* --- what all tracked tables share --- */

#define CONTROLS "'*[' || char(1) || '-' || char(31) || ']*'"

enum { STEPS = 4, STEP_CHARACTERS = 8 };

/* Replaces some control characters in NEW.data. SQLite 3.7.17 can't parse calls that are nested more deeply. */
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
		snprintf(name, sizeof(name), VIEW "_%d", step);
		snprintf(next, sizeof(next), VIEW "_%d", step + 1);
		view(sql, name);
		buffer_printf(sql,
			"CREATE TRIGGER %s_escaped INSTEAD OF INSERT ON %s\nBEGIN\n\tINSERT INTO "
			"%s VALUES (",
			name, name, step + 1 < STEPS ? next : VIEW);
		buffer_text(sql, "NEW.channel, NEW.event,\n\t\t");
		escaped_some(sql, step);
		buffer_text(sql, ", NEW.otherwise);\nEND;\n");
	}
}

/*
 * An INSERT into VIEW puts a row into events. In a database of UTF-16 nobody can count the bytes of UTF-8 quickly, so a
 * channel that isn't ASCII may have 63 characters there, of 4 bytes at most.
 */
static void shared_views(struct buffer *sql, bool wide)
{
	view(sql, VIEW);
	escaping_views(sql);
	buffer_text(sql, "CREATE TRIGGER " VIEW "_plain INSTEAD OF INSERT ON " VIEW
			 "\nWHEN NEW.data NOT GLOB " CONTROLS
			 "\nBEGIN\n\tINSERT INTO events(channel, event, data) VALUES (CASE WHEN ");
	buffer_text(sql, wide ? "length(NEW.channel) BETWEEN 1\n\t\tAND CASE WHEN NEW.channel GLOB "
				"'*[^ -~]*' "
				"THEN 63 ELSE 255 END"
			      : "length(CAST(NEW.channel AS BLOB)) BETWEEN 1 AND 255");
	buffer_text(sql,
		"\n\t\tTHEN NEW.channel ELSE NEW.otherwise END, NEW.event, NEW.data);\nEND;\n"
		"CREATE TRIGGER " VIEW "_escaped INSTEAD OF INSERT ON " VIEW
		"\nWHEN NEW.data GLOB " CONTROLS "\nBEGIN\n\tINSERT INTO " VIEW
		"_0 VALUES (NEW.channel, NEW.event, NEW.data, "
		"NEW.otherwise);\nEND;\n\n");
}

/* --- the frame --- */

static void remove_former(struct buffer *sql, const char *table)
{
	static const char *const names[] = {
		"insert", "update", "delete", "before_insert", "before_update"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		buffer_text(sql, "DROP TRIGGER IF EXISTS ");
		trigger_name(sql, names[i], table);
		buffer_text(sql, ";\n");
	}
	buffer_text(sql, "DROP TABLE IF EXISTS ");
	trigger_name(sql, "notes", table);
	buffer_text(sql, ";\n");
}

/* RAISE(ROLLBACK) undoes everything if the condition holds for a row of sqlite_master. */
static void refuse_if(struct buffer *sql, const char *sentence, const char *condition)
{
	buffer_text(sql, "\tSELECT RAISE(ROLLBACK, ");
	expression_text(sql, sentence, strlen(sentence));
	buffer_printf(sql, ")\n\tWHERE %s", condition);
}

/* The sqlite3 shell continues after an error. So the last statement checks everything, and rolls back. */
static void check(const struct writing *w, const char *seen)
{
	struct buffer *sql = w->sql;
	char sentence[TRACK_NAME_MAX + 200];

	buffer_text(sql, "CREATE TEMP TRIGGER rowtail_track_checked BEFORE INSERT ON "
			 "rowtail_track\nBEGIN\n");
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
	buffer_printf(sql, ") < %d;\nEND;\n", needs_notes(w) ? 5 : 3);
}

static void begin_whole(struct buffer *sql)
{
	buffer_text(sql, "PRAGMA busy_timeout = 10000;\n"
			 "DROP TABLE IF EXISTS temp.rowtail_track;\n"
			 "CREATE TEMP TABLE rowtail_track(step);\n");
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
	buffer_text(sql, "SAVEPOINT rowtail_track;\n");
	remove_former(sql, t->name);
	buffer_text(sql, "\n");
	shared_views(sql, t->wide);
	notes(&w);
	insert_trigger(&w);
	update_trigger(&w);
	delete_trigger(&w);
	end_whole(sql);
}

/* Nothing of a tracked table may be left that needs the views. */
static void remove_shared(struct buffer *sql)
{
	buffer_text(sql, "CREATE TEMP TRIGGER rowtail_track_checked BEFORE INSERT ON "
			 "rowtail_track\nBEGIN\n");
	refuse_if(sql, "another table is tracked by now: run rowtail --untrack again",
		"EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger'\n\t\tAND name "
		"GLOB '" TRIGGERS_PREFIX "*' AND NOT tbl_name GLOB '" TRIGGERS_PREFIX
		"*');\nEND;\n");
	for (int step = STEPS - 1; step >= 0; step--)
		buffer_printf(sql, "DROP VIEW IF EXISTS " VIEW "_%d;\n", step);
	buffer_text(sql, "DROP VIEW IF EXISTS " VIEW ";\n");
}

void triggers_write_removal(struct buffer *sql, const char *table, bool last)
{
	begin_whole(sql);
	buffer_text(sql, "SAVEPOINT rowtail_track;\n");
	remove_former(sql, table);
	if (last)
		remove_shared(sql);
	end_whole(sql);
}
