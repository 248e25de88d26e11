#include "track/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { COLUMNS_MAX = 2000, TERMS_MAX = 2000, UNIQUES_MAX = 64 };

/* Copies a text of a row; false if it is too long or missing. */
static bool copy(char *to, struct statement *st, int column)
{
	size_t length;
	const char *text = database_text(st, column, &length);

	if (!text || length >= TRACK_NAME_MAX || memchr(text, '\0', length))
		return false;
	memcpy(to, text, length);
	to[length] = '\0';
	return true;
}

/*
 * Prepares a statement with one text, calls `take` for each row until it returns false. False if
 * the database or `take` fails.
 */
static bool each_row(struct database *db, const char *sql, const char *text, void *context,
	bool (*take)(void *context, struct statement *st))
{
	struct statement *st;
	enum database_status s = database_prepare(db, &st, sql);
	bool good = s == DATABASE_OK;

	if (good && text)
		database_bind_text(st, 1, text, strlen(text));
	while (good && (s = database_step(st)) == DATABASE_ROW)
		good = take(context, st);
	database_finalize(st);
	return good && s == DATABASE_DONE;
}

/* Is the text one literal, which every version of SQLite reads in the same way? */
static bool is_literal(const char *text)
{
	static const char *const words[] = {"CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"};
	const char *p = text + strspn(text, "+-");
	size_t digits = strspn(p, "0123456789.");

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcasecmp(text, words[i]))
			return true;
	if (digits > 0 && p - text < 2)
		return !p[digits + strspn(p + digits, "eE+-0123456789")];
	if (strchr("xX", *text) && text[1] == '\'')
		return text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] == '\'';
	if (*text != '\'')
		return false;
	for (p = text + 1; (p = strchr(p, '\'')) && p[1] == '\'';)
		p += 2;
	return p && !p[1];
}

/* A name as a default is a text: DEFAULT open, DEFAULT "open". */
static bool is_name(const char *text)
{
	size_t length = strlen(text);

	if (*text == '"')
		return length > 1 && !memchr(text + 1, '"', length - 2) && text[length - 1] == '"';
	return !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")] &&
	       strcasecmp(text, "true") && strcasecmp(text, "false");
}

/* Takes the default of a NOT NULL column. */
static void take_default(struct track_column *c, const char *text, size_t length)
{
	bool quoted = *text == '"';

	if (!strcasecmp(text, "null"))
		return;
	c->odd_default = length + 3 > TRACK_DEFAULT_MAX || strchr(text, '\n') ||
			 (!is_literal(text) && !is_name(text));
	if (c->odd_default)
		return;
	if (is_literal(text))
		snprintf(c->otherwise, sizeof(c->otherwise), "%s", text);
	else
		snprintf(c->otherwise, sizeof(c->otherwise), "'%.*s'", (int)(length - 2 * quoted),
			text + quoted);
}

static bool take_column(void *context, struct statement *st)
{
	struct track_table *t = context;
	struct track_column *c = &t->columns[t->count];
	const char *otherwise;
	size_t length;

	if (t->count == COLUMNS_MAX || !copy(c->name, st, 0))
		return false;
	c->key = (int)database_int(st, 1);
	c->tracked = true;
	if ((otherwise = database_text(st, 2, &length)))
		take_default(c, otherwise, length);
	t->count++;
	return true;
}

/* One row for each column of each index: whether it is the first, name, collation. */
static bool take_term(void *context, struct statement *st)
{
	struct track_table *t = context;
	struct track_term *term = &t->terms[t->term_count];
	bool first = database_int(st, 0) != 0;
	char name[TRACK_NAME_MAX];

	if (t->unique_count == UNIQUES_MAX || t->term_count == TERMS_MAX || !copy(name, st, 1) ||
		!copy(term->collation, st, 2))
		return false;
	term->column = track_table_find(t, name, strlen(name));
	if (first)
		t->uniques[t->unique_count++] = (struct track_unique){.first = t->term_count};
	t->uniques[t->unique_count - 1].count++;
	t->term_count++;
	return term->column < t->count;
}

static bool take_odd(void *context, struct statement *st)
{
	return copy(((struct track_table *)context)->odd_index, st, 0);
}

static bool take_schema(void *context, struct statement *st)
{
	struct track_table *t = context;

	t->wide = database_int(st, 0) > 1;
	return true;
}

static void find_rowid(struct track_table *t)
{
	static const char *const names[] = {"rowid", "_rowid_", "oid"};

	t->rowid = NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !t->rowid; i++)
		if (track_table_find(t, names[i], strlen(names[i])) == t->count)
			t->rowid = names[i];
}

struct kind {
	char name[TRACK_NAME_MAX];
	char type[TRACK_NAME_MAX]; /* table, view, virtual, shadow; "": there is no such table */
	bool without_rowid, found;
	bool is_rowtails;
};

static bool take_kind(void *context, struct statement *st)
{
	struct kind *k = context;

	k->found = true;
	k->without_rowid = database_int(st, 2) != 0;
	k->is_rowtails = database_int(st, 3) != 0;
	return copy(k->name, st, 0) && copy(k->type, st, 1);
}

/*
 * Is the table m one that the files of schema/ make? An application may have grants, publishers or
 * retention of its own: then other columns tell, or that nothing else of retention.sql is there.
 */
#define IS_ROWTAILS                                                                                \
	"lower(m.name) IN ('events', 'events_pruned', 'events_ended') OR m.name LIKE "             \
	"'rowtail~_%' ESCAPE '~' OR (lower(m.name) IN ('grants', 'publishers') AND (SELECT "       \
	"count(*) FROM pragma_table_info(m.name) i WHERE lower(i.name) IN ('subject', 'channel', " \
	"'expires_at')) = 3) OR (lower(m.name) IN ('retention', 'retention_counts', "              \
	"'retention_state') AND EXISTS (SELECT 1 FROM sqlite_master WHERE name = "                 \
	"'retention_rules'))"

/* pragma_table_list needs SQLite 3.37; this asks what older versions know. */
static bool read_kind(struct kind *k, struct database *db, const char *name)
{
	memset(k, 0, sizeof(*k));
	return each_row(db,
		"SELECT name, CASE WHEN type = 'table' AND sql LIKE 'create virtual%' THEN "
		"'virtual' "
		"ELSE type END, type = 'table' AND NOT sql LIKE 'create virtual%' AND EXISTS "
		"(SELECT 1 FROM pragma_index_list(m.name) l WHERE l.origin = 'pk' AND NOT EXISTS "
		"(SELECT 1 FROM sqlite_master i WHERE i.type = 'index' AND i.name = "
		"l.name)), " IS_ROWTAILS
		" FROM sqlite_master m WHERE type IN ('table', 'view') AND lower(name) = lower(?1)",
		name, k, take_kind);
}

static bool refuse(char *sentence, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(char *sentence, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, TRACK_SENTENCE_MAX, format, args);
	va_end(args);
	return false;
}

/* False, and a sentence, if it is no table whose rows triggers can see. */
static bool is_trackable(const struct kind *k, const char *name, char *sentence)
{
	if (!k->found)
		return refuse(sentence,
			"there is no table %s in this database: sqlite3 DATABASE .tables lists "
			"them",
			name);
	if (!strncasecmp(k->name, "sqlite_", 7))
		return refuse(sentence,
			"%s is SQLite's own table: track a table of the application", name);
	if (k->is_rowtails)
		return refuse(sentence,
			"%s is rowtail's own table: track a table of the application", name);
	if (!strcmp(k->type, "view"))
		return refuse(sentence,
			"%s is a view, and nothing is inserted into a view: track the tables that "
			"it "
			"reads",
			name);
	if (!strcmp(k->type, "virtual"))
		return refuse(sentence,
			"%s is a virtual table, which can have no triggers: track an ordinary "
			"table",
			name);
	return true;
}

/* The index has some rows only, or an expression. */
#define ODD                                                                                        \
	"(l.partial OR EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name) e WHERE e.key AND "        \
	"e.name IS NULL))"

/* The index may find keys equal that differ as texts: by its collation, or as untyped numbers. */
#define LOOSE                                                                                      \
	"EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name) e JOIN pragma_table_xinfo(?1) c ON "     \
	"c.cid = e.cid WHERE e.key AND (lower(e.coll) <> 'binary' OR lower(c.type) IN ('', "       \
	"'any') OR lower(c.type) LIKE '%blob%'))"

static bool read_all(struct track_table *t, struct database *db)
{
	t->columns = calloc(COLUMNS_MAX + 1, sizeof(*t->columns));
	t->uniques = calloc(UNIQUES_MAX + 1, sizeof(*t->uniques));
	t->terms = calloc(TERMS_MAX + 1, sizeof(*t->terms));
	return t->columns && t->uniques && t->terms &&
	       each_row(db, "SELECT 1 + (length(CAST('a' AS BLOB)) > 1)", NULL, t, take_schema) &&
	       each_row(db,
		       "SELECT name, pk, CASE WHEN \"notnull\" THEN dflt_value END "
		       "FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
		       t->name, t, take_column) &&
	       each_row(db,
		       "SELECT x.seqno = 0, x.name, x.coll "
		       "FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x WHERE x.key AND "
		       "l.\"unique\" AND (l.origin <> 'pk' OR " LOOSE ") AND NOT " ODD
		       " ORDER BY l.seq, x.seqno",
		       t->name, t, take_term) &&
	       each_row(db,
		       "SELECT l.name FROM pragma_index_list(?1) l WHERE l.\"unique\" AND " ODD,
		       t->name, t, take_odd);
}

/* Is the key's only column the rowid? Then no index exists for the key. */
static bool key_is_rowid(const struct track_table *t, struct database *db)
{
	struct statement *st;
	bool indexed;

	if (track_table_key(t, 1) == t->count || track_table_key(t, 2) < t->count || !t->rowid)
		return false;
	if (database_prepare(db, &st, "SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk'") !=
		DATABASE_OK)
		return false;
	database_bind_text(st, 1, t->name, strlen(t->name));
	indexed = database_step(st) == DATABASE_ROW;
	database_finalize(st);
	return !indexed;
}

static void find_odd_column(struct track_table *t)
{
	for (size_t i = 0; i < t->term_count && !t->odd_column; i++)
		if (t->columns[t->terms[i].column].odd_default)
			t->odd_column = &t->columns[t->terms[i].column];
}

bool track_table_read(struct track_table *t, struct database *db, const char *name, char *sentence)
{
	struct kind kind;

	memset(t, 0, sizeof(*t));
	if (!read_kind(&kind, db, name))
		return refuse(sentence, "%s", database_message(db));
	if (!is_trackable(&kind, name, sentence))
		return false;
	memcpy(t->name, kind.name, sizeof(t->name));
	if (!read_all(t, db))
		return refuse(sentence,
			"cannot read the columns of %s: a name is longer than 255 bytes, or the "
			"database is damaged",
			name);
	if (track_table_key(t, 1) == t->count)
		return refuse(sentence,
			"%s has no primary key, so that no channel could name a row: give it one, "
			"such "
			"as id INTEGER PRIMARY KEY",
			name);
	find_rowid(t);
	if (kind.without_rowid)
		t->rowid = NULL;
	else if (!t->rowid)
		return refuse(sentence,
			"%s has columns named rowid, _rowid_ and oid, so that no trigger can find "
			"its "
			"rows: rename one",
			name);
	t->integer_key = key_is_rowid(t, db);
	find_odd_column(t);
	return true;
}

void track_table_free(struct track_table *t)
{
	free(t->columns);
	free(t->uniques);
	free(t->terms);
	memset(t, 0, sizeof(*t));
}

size_t track_table_find(const struct track_table *t, const char *name, size_t length)
{
	size_t i = 0;

	while (i < t->count && !(strlen(t->columns[i].name) == length &&
				       !strncasecmp(t->columns[i].name, name, length)))
		i++;
	return i;
}

size_t track_table_key(const struct track_table *t, int place)
{
	size_t i = 0;

	while (i < t->count && t->columns[i].key != place)
		i++;
	return i;
}
