#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "track/expression.h"
#include "track/triggers_impl.h"

/* --- the triggers --- */

void triggers_name(struct buffer *sql, const char *what, const char *table)
{
	char name[TRACK_NAME_MAX + 64];

	snprintf(name, sizeof(name), TRIGGERS_PREFIX "%s_%s", what, table);
	expression_name(sql, name);
}

/* NEW.x, or what REPLACE puts in its place. */
static void new_value(struct buffer *sql, const struct track_column *c)
{
	buffer_text(sql, *c->otherwise ? "coalesce(" : "");
	expression_column(sql, "NEW", c->name);
	if (*c->otherwise)
		buffer_printf(sql, ", %s)", c->otherwise);
}

/* a.x = b.x for the columns of the key. */
static void same_key(struct buffer *sql, const struct track_table *t, const char *a, const char *b)
{
	size_t c;

	for (int n = 1; (c = track_table_key(t, n)) < t->count; n++) {
		buffer_text(sql, n > 1 ? " AND " : "");
		expression_column(sql, a, t->columns[c].name);
		buffer_text(sql, " = ");
		if (!strcmp(b, "NEW"))
			new_value(sql, &t->columns[c]);
		else
			expression_column(sql, b, t->columns[c].name);
	}
}

/* a.x = b.x for what identifies a row: its rowid, or its key in a table WITHOUT ROWID. */
static void same_row(struct buffer *sql, const struct track_table *t, const char *a, const char *b)
{
	if (t->rowid)
		buffer_printf(sql, "%s.%s = %s.%s", a, t->rowid, b, t->rowid);
	else
		same_key(sql, t, a, b);
}

/*
 * VACUUM, and a dump that is read in again, give the rows other rowids, unless the key is the
 * rowid. So the notes hold the key too.
 */
static bool keeps_key(const struct track_table *t)
{
	return t->rowid && !t->integer_key;
}

/* A column of the notes, which the table's own columns can't hide. */
static void noted(struct buffer *sql, const struct track_table *t, const char *column, int n)
{
	triggers_name(sql, "notes", t->name);
	buffer_printf(sql, n > 0 ? ".%s%d" : ".%s", column, n);
}

/* The key in the notes is that of the row. Their columns are k1, k2…, or j1, j2… beside a rowid. */
static void noted_key(
	struct buffer *sql, const struct track_table *t, const char *column, const char *row)
{
	size_t c;

	for (int n = 1; (c = track_table_key(t, n)) < t->count; n++) {
		buffer_text(sql, n > 1 ? " AND " : "");
		expression_column(sql, row, t->columns[c].name);
		buffer_text(sql, " = ");
		noted(sql, t, column, n);
	}
}

/* The columns of the notes' table that identify a row are k1, k2… */
static void noted_row(struct buffer *sql, const struct track_table *t, const char *row)
{
	if (!t->rowid) {
		noted_key(sql, t, "k", row);
		return;
	}
	noted(sql, t, "k", 1);
	buffer_printf(sql, " = %s.%s", row, t->rowid);
}

static void noted_row_exists(struct buffer *sql, const struct track_table *t)
{
	buffer_text(sql, "EXISTS (SELECT 1 FROM ");
	expression_name(sql, t->name);
	buffer_text(sql, " AS t WHERE ");
	noted_row(sql, t, "t");
	buffer_text(sql, ")");
}

bool triggers_need_notes(const struct writing *w)
{
	return w->t->unique_count > 0 || w->choice->channel;
}

static void notes_name(struct buffer *sql, const struct track_table *t)
{
	triggers_name(sql, "notes", t->name);
}

static void begin_trigger(const struct writing *w, const char *when, const char *what)
{
	struct buffer *sql = w->sql;

	buffer_text(sql, "DROP TRIGGER IF EXISTS ");
	triggers_name(sql, what, w->t->name);
	buffer_text(sql, ";\nCREATE TRIGGER ");
	triggers_name(sql, what, w->t->name);
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
 * Appends an INSERT of the row's event into the view that checks it. With TABLE/ as its last
 * column, the channel if the row's own is not one.
 */
static void begin_event(const struct writing *w, const char *event)
{
	struct buffer *sql = w->sql;

	buffer_text(sql, "INSERT INTO " TRIGGERS_VIEW "\nSELECT ");
	triggers_channel(sql, w);
	buffer_printf(sql, ", '%s',\n\t", event);
	triggers_object(sql, w);
	buffer_text(sql, ", ");
	triggers_table_part(sql, w->t, "/");
}

static void from_table(const struct writing *w)
{
	buffer_text(w->sql, "\nFROM ");
	expression_name(w->sql, w->t->name);
	buffer_text(w->sql, " AS t WHERE ");
	same_row(w->sql, w->t, "t", "NEW");
}

/*
 * Rows that a REPLACE has deleted: the notes of rows that are gone, and of a row in whose place the
 * new row is, in another channel.
 */
static void replaced_rows(struct writing *w)
{
	struct buffer *sql = w->sql;

	if (!triggers_need_notes(w))
		return;
	buffer_text(sql, "INSERT INTO " TRIGGERS_VIEW "\nSELECT channel, 'delete', data, ");
	triggers_table_part(sql, w->t, "/");
	buffer_text(sql, " FROM ");
	notes_name(sql, w->t);
	buffer_text(sql, "\nWHERE NOT ");
	noted_row_exists(sql, w->t);
	buffer_text(sql, " OR ");
	noted_row(sql, w->t, "NEW");
	buffer_text(sql, " AND ");
	noted(sql, w->t, "channel", 0);
	buffer_text(sql, " IS NOT ");
	w->row = "NEW";
	buffer_text(sql, "(");
	triggers_channel(sql, w);
	buffer_text(sql, ");\nDELETE FROM ");
	notes_name(sql, w->t);
	buffer_text(sql, ";\n");
}

static void insert_trigger(struct writing *w)
{
	begin_trigger(w, "AFTER INSERT", "insert");
	mark(w);
	replaced_rows(w);
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
	replaced_rows(w);
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
		triggers_changed_names(sql, w);
	}
	w->before = NULL;
	buffer_text(sql, ";\nEND;\n\n");
}

static void delete_trigger(struct writing *w)
{
	begin_trigger(w, "AFTER DELETE", "delete");
	mark(w);
	if (triggers_need_notes(w)) {
		buffer_text(w->sql, "DELETE FROM ");
		notes_name(w->sql, w->t);
		buffer_text(w->sql, " WHERE ");
		noted_row(w->sql, w->t, "OLD");
		if (keeps_key(w->t)) {
			buffer_text(w->sql, " OR ");
			noted_key(w->sql, w->t, "j", "OLD");
		}
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

	buffer_text(sql, "(");
	same_key(sql, t, "t", "NEW");
	for (size_t u = 0; u < t->unique_count; u++)
		for (size_t i = 0; i < t->uniques[u].count; i++) {
			const struct track_term *term = &t->terms[t->uniques[u].first + i];

			buffer_text(sql, i > 0 ? " AND " : "\n\t\tOR ");
			expression_column(sql, "t", t->columns[term->column].name);
			buffer_text(sql, " = ");
			new_value(sql, &t->columns[term->column]);
			buffer_text(sql, " COLLATE ");
			expression_name(sql, term->collation);
		}
	buffer_text(sql, ")");
}

/*
 * Removes the notes of a statement that deleted nothing, such as INSERT OR IGNORE. A row that is
 * gone already waits for the end of a REPLACE that this statement, of a trigger or a foreign key,
 * is a part of. A row that is still in its channel under another rowid isn't gone: the note was
 * made before a VACUUM.
 */
static void remove_notes(struct writing *w)
{
	struct buffer *sql = w->sql;

	buffer_text(sql, "DELETE FROM ");
	notes_name(sql, w->t);
	buffer_text(sql, " WHERE ");
	noted_row_exists(sql, w->t);
	if (keeps_key(w->t)) {
		buffer_text(sql, "\n\tOR EXISTS (SELECT 1 FROM ");
		expression_name(sql, w->t->name);
		buffer_text(sql, " AS t WHERE ");
		noted_key(sql, w->t, "j", "t");
		buffer_text(sql, " AND ");
		noted(sql, w->t, "channel", 0);
		buffer_text(sql, " IS ");
		w->row = "t";
		triggers_channel(sql, w);
		buffer_text(sql, ")");
	}
	buffer_text(sql, ";\n");
}

/* Notes the rows that the statement would delete if it is a REPLACE. */
static void note_trigger(struct writing *w, const char *when, const char *what, bool update)
{
	struct buffer *sql = w->sql;
	size_t keys = triggers_key_count(w->t);

	begin_trigger(w, when, what);
	mark(w);
	remove_notes(w);
	buffer_text(sql, "INSERT INTO ");
	notes_name(sql, w->t);
	buffer_text(sql, "\nSELECT ");
	if (w->t->rowid)
		buffer_printf(sql, "t.%s, ", w->t->rowid);
	for (size_t n = 1; n <= keys && (!w->t->rowid || keeps_key(w->t)); n++) {
		expression_column(sql, "t", w->t->columns[track_table_key(w->t, (int)n)].name);
		buffer_text(sql, ", ");
	}
	w->row = "t";
	triggers_channel(sql, w);
	buffer_text(sql, ",\n\t");
	triggers_object(sql, w);
	buffer_text(sql, "\nFROM ");
	expression_name(sql, w->t->name);
	buffer_text(sql, " AS t WHERE ");
	conflicts(w);
	if (update) {
		buffer_text(sql, " AND NOT (");
		same_row(sql, w->t, "t", "OLD");
		buffer_text(sql, ")");
	} else {
		/*
		 * A row that stays in its channel is only changed for its readers. NEW has the key
		 * -1 if the statement leaves the number to SQLite.
		 */
		buffer_text(sql, " AND NOT (");
		if (w->t->integer_key)
			buffer_printf(sql, "NEW.%s <> -1 AND ", w->t->rowid);
		same_key(sql, w->t, "t", "NEW");
		buffer_text(sql, " AND ");
		triggers_channel(sql, w);
		buffer_text(sql, " IS ");
		w->row = "NEW";
		triggers_channel(sql, w);
		w->row = "t";
		buffer_text(sql, ")");
	}
	buffer_text(sql, ";\nEND;\n\n");
}

static void notes(struct writing *w)
{
	size_t keys = triggers_key_count(w->t);

	if (!triggers_need_notes(w))
		return;
	buffer_text(w->sql, "CREATE TABLE IF NOT EXISTS ");
	notes_name(w->sql, w->t);
	buffer_text(w->sql, "(");
	if (w->t->rowid)
		buffer_text(w->sql, "k1, ");
	for (size_t n = 1; n <= keys && (!w->t->rowid || keeps_key(w->t)); n++)
		buffer_printf(w->sql, w->t->rowid ? "j%zu, " : "k%zu, ", n);
	buffer_text(w->sql, "channel, data);\n\n");
	note_trigger(w, "BEFORE INSERT", "before_insert", false);
	note_trigger(w, "BEFORE UPDATE", "before_update", true);
}

void triggers_write_table(struct writing *w)
{
	notes(w);
	insert_trigger(w);
	update_trigger(w);
	delete_trigger(w);
}
