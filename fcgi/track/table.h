/*
 * table: what --track must know of a table: its columns, its key, its unique indexes.
 *
 * Reads the schema of an open database. Never writes, never reads a row.
 *
 * Source: https://www.sqlite.org/pragma.html (table_xinfo, index_list, index_xinfo).
 */
#ifndef ROWTAIL_TRACK_TABLE_H
#define ROWTAIL_TRACK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/database.h"

enum {
	TRACK_NAME_MAX = 256, /* bytes of a name of a table or column, with a NUL */
	TRACK_SENTENCE_MAX = 600,
	TRACK_DEFAULT_MAX = 256,
};

struct track_column {
	char name[TRACK_NAME_MAX];
	int key; /* its place in the primary key, from 1; 0: not in it */
	bool tracked; /* the caller's choice; true at first */
	/* The literal that REPLACE puts in place of a NULL in a NOT NULL column; "" for none. */
	char otherwise[TRACK_DEFAULT_MAX];
	bool odd_default; /* it puts something else, such as an expression */
};

/* A unique index, or a key, by which INSERT OR REPLACE finds rows to delete. */
struct track_unique {
	size_t first, count; /* of track_table.terms */
};

struct track_term {
	size_t column;
	char collation[TRACK_NAME_MAX];
};

struct track_table {
	char name[TRACK_NAME_MAX]; /* as the schema spells it */
	struct track_column *columns;
	size_t count;
	/* The key is one of them only if different keys can be equal: 'A' and 'a', 1 and 1.0. */
	struct track_unique *uniques;
	size_t unique_count;
	struct track_term *terms; /* of all unique indexes */
	size_t term_count;
	/* A unique index on an expression or on some rows; "" for none. */
	char odd_index[TRACK_NAME_MAX];
	/* In a unique index or the key, with odd_default; NULL for none. */
	const struct track_column *odd_column;
	const char *rowid; /* a name of the rowid that no column has; NULL: WITHOUT ROWID */
	bool integer_key; /* the key is the rowid */
	bool wide; /* the database stores texts as UTF-16 */
};

/*
 * Reads what the schema says of a table. Returns false if the table can't be tracked;
 * sentence[TRACK_SENTENCE_MAX] then says why, and what would be right. The caller frees *table with
 * track_table_free() in both cases.
 */
bool track_table_read(
	struct track_table *table, struct database *db, const char *name, char *sentence);
void track_table_free(struct track_table *table);

/* The column's index, by its name in any case; table->count if there is none. */
size_t track_table_find(const struct track_table *table, const char *name, size_t length);

/* The column that is number `place` (from 1) of the key; table->count if the key is shorter. */
size_t track_table_key(const struct track_table *table, int place);

#endif
