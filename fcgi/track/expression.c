#include "track/expression.h"

#include <stdio.h>
#include <string.h>

static void quoted(struct buffer *sql, const char *text, size_t length, char quote)
{
	buffer_append(sql, &quote, 1);
	for (size_t i = 0; i < length; i++) {
		buffer_append(sql, &text[i], 1);
		if (text[i] == quote)
			buffer_append(sql, &quote, 1);
	}
	buffer_append(sql, &quote, 1);
}

void expression_name(struct buffer *sql, const char *name)
{
	quoted(sql, name, strlen(name), '"');
}

void expression_text(struct buffer *sql, const char *text, size_t length)
{
	quoted(sql, text, length, '\'');
}

void expression_column(struct buffer *sql, const char *row, const char *column)
{
	buffer_printf(sql, "%s.", row);
	expression_name(sql, column);
}

struct join {
	const void *context;
	void (*value)(struct buffer *sql, size_t i, const void *context);
};

static void join_some(struct buffer *sql, size_t from, size_t to, const struct join *j)
{
	size_t middle = from + (to - from) / 2;

	if (to - from == 1) {
		j->value(sql, from, j->context);
		return;
	}
	buffer_text(sql, "(");
	join_some(sql, from, middle, j);
	buffer_text(sql, "\n\t\t|| ");
	join_some(sql, middle, to, j);
	buffer_text(sql, ")");
}

void expression_join(struct buffer *sql, size_t count, const void *context,
	void (*value)(struct buffer *sql, size_t i, const void *context))
{
	const struct join j = {.context = context, .value = value};

	if (count == 0)
		buffer_text(sql, "''");
	else
		join_some(sql, 0, count, &j);
}

void expression_json_name(struct buffer *json, const char *name)
{
	buffer_text(json, "\"");
	for (; *name; name++) {
		if ((unsigned char)*name < ' ')
			buffer_printf(json, "\\u%04x", (unsigned)*name);
		else
			buffer_printf(json, *name == '"' || *name == '\\' ? "\\%c" : "%c", *name);
	}
	buffer_text(json, "\"");
}

/* Appends the SQL text of ,"name": */
static void member_name(struct buffer *sql, const char *name)
{
	struct buffer json;

	buffer_init(&json, 7 * TRACK_NAME_MAX);
	buffer_text(&json, ",");
	expression_json_name(&json, name);
	buffer_text(&json, ":");
	expression_text(sql, (const char *)json.data, json.length);
	sql->failed |= json.failed;
	buffer_free(&json);
}

/* Appends '"' || … || '"' around a text's JSON. */
static void text_value(struct buffer *sql, const char *x, bool functions)
{
	if (functions)
		buffer_printf(sql, "json_quote(%s)", x);
	else
		buffer_printf(sql,
			"'\"' || replace(replace(substr(%s, 1, length(%s)), '\\', '\\\\'), '\"', "
			"'\\\"')"
			" || CASE WHEN instr(%s, char(0)) THEN '\\u0000\"' ELSE '\"' END",
			x, x, x);
}

void expression_member(struct buffer *sql, const char *row, const struct track_column *c,
	bool functions, size_t longest)
{
	struct buffer name;
	const char *x;

	buffer_init(&name, 3 * TRACK_NAME_MAX);
	expression_column(&name, row, c->name);
	buffer_append(&name, "", 1);
	x = name.failed ? "" : (const char *)name.data;
	buffer_text(sql, "coalesce(");
	member_name(sql, c->name);
	buffer_printf(sql,
		" || CASE typeof(%s) WHEN 'integer' THEN "
		"CASE WHEN %s BETWEEN -9007199254740991 AND 9007199254740991 THEN %s "
		"ELSE '\"' || %s || '\"' END WHEN 'text' THEN CASE WHEN ",
		x, x, x, x);
	buffer_printf(sql,
		functions ? "length(CAST(%s AS BLOB)) <= %zu THEN " : "length(%s) <= %zu THEN ", x,
		longest);
	text_value(sql, x, functions);
	buffer_text(sql, " END");
	/* Infinity minus infinity is NULL. quote() keeps every digit; CAST keeps fifteen. */
	buffer_printf(sql,
		" WHEN 'real' THEN CASE WHEN %s - %s = 0 THEN quote(%s) WHEN %s > 0 THEN "
		"'\"Infinity\"' "
		"ELSE '\"-Infinity\"' END WHEN 'null' THEN 'null' END, '')",
		x, x, x, x);
	sql->failed |= name.failed;
	buffer_free(&name);
}

void expression_differs(struct buffer *sql, const char *a, const char *b, const char *column)
{
	buffer_text(sql, "(");
	expression_column(sql, a, column);
	buffer_text(sql, " IS NOT ");
	expression_column(sql, b, column);
	buffer_text(sql, " COLLATE BINARY OR typeof(");
	expression_column(sql, a, column);
	buffer_text(sql, ") <> typeof(");
	expression_column(sql, b, column);
	buffer_text(sql, "))");
}

/* The numbers 0 to 255, as the rows n of a table. */
#define FOUR(column, times)                                                                        \
	"(SELECT 0 AS " column " UNION ALL SELECT " times " UNION ALL SELECT 2 * " times           \
	" UNION ALL SELECT 3 * " times ")"
#define NUMBERS                                                                                    \
	"(SELECT a + b + c + d AS n FROM " FOUR("a", "1") ", " FOUR("b", "4") ", " FOUR(           \
		"c", "16") ", " FOUR("d", "64") ")"
#define HEX(number)                                                                                \
	"substr('0123456789ABCDEF', 1 + " number " / 16, 1) || "                                   \
	"substr('0123456789ABCDEF', 1 + " number " % 16, 1)"

/* Appends the first 256 characters of x, each percent-encoded if need be. */
static void encoded(struct buffer *sql, const char *x)
{
	buffer_text(sql,
		"coalesce((SELECT group_concat(CASE\n\t\t\tWHEN u IN (37, 42, 47, 127) OR u < 32 "
		"THEN '%' || " HEX("u") "\n\t\t\tWHEN u BETWEEN 128 AND 159 THEN '%C2%' || " HEX(
			"u"));
	buffer_printf(sql,
		" ELSE s END, '')\n\t\t\tFROM (SELECT s, unicode(s) AS u FROM (SELECT substr(%s, n "
		"+ 1, 1) AS s"
		" FROM\n\t\t\t" NUMBERS "\n\t\t\tWHERE n < length(%s) ORDER BY n))), '')"
		" || CASE WHEN instr(%s, char(0)) THEN '%%00' ELSE '' END",
		x, x, x);
}

void expression_part(
	struct buffer *sql, const char *row, const struct track_table *t, size_t column)
{
	const struct track_column *c = &t->columns[column];
	struct buffer name;
	const char *x;

	if (t->integer_key && c->key) {
		expression_column(sql, row, c->name);
		return;
	}
	buffer_init(&name, 3 * TRACK_NAME_MAX);
	expression_column(&name, row, c->name);
	buffer_append(&name, "", 1);
	x = name.failed ? "" : (const char *)name.data;
	buffer_printf(sql,
		"CASE WHEN typeof(%s) = 'integer' THEN %s WHEN %s IS NULL THEN 'null' "
		"WHEN typeof(%s) = 'blob' THEN hex(%s)\n\t\t"
		"WHEN typeof(%s) = 'real' OR %s NOT GLOB '*[^ -$&-)+-.0-~]*' AND NOT instr(%s, "
		"char(0)) "
		"THEN CAST(%s AS TEXT)\n\t\tELSE ",
		x, x, x, x, x, x, x, x, x);
	encoded(sql, x);
	buffer_text(sql, " END");
	sql->failed |= name.failed;
	buffer_free(&name);
}

void expression_literal(struct buffer *text, const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	for (; *p; p++) {
		bool c1 = *p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;

		if (*p < ' ' || *p == 0x7f || strchr("%*/", *p) || c1)
			buffer_printf(text, "%%%02X", *p);
		else
			buffer_append(text, p, 1);
		if (c1)
			buffer_printf(text, "%%%02X", *++p);
	}
}
