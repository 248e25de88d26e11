/*
 * expression: SQL expressions over the columns of a row: its channel, its JSON, its identity.
 *
 * Pure: appends SQL to a buffer. SQLite 3.7.17 understands all of it.
 *
 * `row` names the row in SQL: OLD, NEW, or the alias of a table.
 */
#ifndef ROWTAIL_TRACK_EXPRESSION_H
#define ROWTAIL_TRACK_EXPRESSION_H

#include "base/buffer.h"
#include "track/table.h"

/* Appends a name or a text as SQL: "a""b", 'it''s'. */
void expression_name(struct buffer *sql, const char *name);
void expression_text(struct buffer *sql, const char *text, size_t length);

/* Appends a name as a JSON string. */
void expression_json_name(struct buffer *json, const char *name);

/* Appends row."column". */
void expression_column(struct buffer *sql, const char *row, const char *column);

/*
 * Appends values, joined by ||. `value` appends the one with the number i. SQLite limits the depth
 * of an expression, so this makes a balanced tree.
 */
void expression_join(struct buffer *sql, size_t count, const void *context,
	void (*value)(struct buffer *sql, size_t i, const void *context));

/*
 * Appends a column's member of a JSON object, preceded by a comma: ,"total":12. A BLOB has none.
 * Control characters are left as they are: the caller escapes them in the whole object.
 *
 * Integers beyond 2^53, which JavaScript would round, and infinite numbers become strings. A text
 * ends at a NUL, which becomes \u0000, unless `functions` allows json_quote() (SQLite 3.9 and
 * newer). A text of more than `longest` characters has no member.
 */
void expression_member(struct buffer *sql, const char *row, const struct track_column *c,
	bool functions, size_t longest);

/* Appends an expression that is true if the column differs between the rows. */
void expression_differs(struct buffer *sql, const char *a, const char *b, const char *column);

/*
 * Appends a column's value as a part of a channel: %, * and / and control characters
 * percent-encoded, a BLOB as hex digits, NULL as null.
 */
void expression_part(
	struct buffer *sql, const char *row, const struct track_table *t, size_t column);

/* Appends text that is part of a channel literally, with what would break it percent-encoded. */
void expression_literal(struct buffer *text, const char *name);

#endif
