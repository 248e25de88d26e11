/*
 * database: the little of SQLite that is used, with its many codes made into few.
 *
 * The only includer of <sqlite3.h>. Opens read-only, never writes, never waits for a lock. Knows
 * nothing of events or grants. Never opens the files by other means: closing any descriptor of a
 * database file in this process would drop SQLite's POSIX locks on it.
 */
#ifndef ROWTAIL_DATABASE_H
#define ROWTAIL_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct database;
struct statement;

enum database_status {
	DATABASE_OK,
	DATABASE_ROW, /* of database_step() */
	DATABASE_DONE, /* of database_step() */
	DATABASE_BUSY, /* a lock: again in a moment */
	DATABASE_MISSING, /* no such file, or not to be opened: permissions, directory */
	DATABASE_DAMAGED, /* corrupt, not a database, I/O error */
	DATABASE_SCHEMA, /* no such table or column, or another error of the SQL */
	DATABASE_NO_MEMORY,
	DATABASE_TOO_LONG, /* a value is longer than database_limit_length() allows */
};

/* Why something failed, as far as it makes a difference to who has to mend it. */
enum database_cause {
	DATABASE_CAUSE_OTHER,
	DATABASE_CAUSE_HOT_JOURNAL, /* a write that was not finished has to be rolled back first */
	DATABASE_CAUSE_NOT_OPENED, /* the file, or one that belongs to it, can't be opened or made */
	DATABASE_CAUSE_NO_DATABASE,
	DATABASE_CAUSE_DAMAGED,
	DATABASE_CAUSE_IO,
};

struct database_failure {
	enum database_cause cause;
	int error; /* the system's errno; 0: none is known */
	char message[256]; /* what SQLite says */
};

/*
 * Opens a file read-only. On anything but DATABASE_OK and DATABASE_BUSY *db is NULL and *why says
 * why; a file that was locked is open, and read when the lock is gone.
 */
enum database_status database_open(
	struct database **db, const char *path, struct database_failure *why);
void database_close(struct database *db);

/* The path of the file itself, symbolic links followed. Borrowed until database_close(). */
const char *database_path(const struct database *db);

/* What SQLite said of the last failure. Borrowed until the next call. */
const char *database_message(const struct database *db);

/* Why the last call has failed. */
void database_explain(const struct database *db, struct database_failure *why);

/*
 * Prepares a statement that will be used many times. On failure *st is NULL. Statements are
 * finalized before the database is closed; NULL is allowed.
 */
enum database_status database_prepare(struct database *db, struct statement **st, const char *sql);
void database_finalize(struct statement *st);

void database_bind_int(struct statement *st, int index, int64_t value);
/* The text is borrowed until the statement is reset. */
void database_bind_text(struct statement *st, int index, const char *text, size_t length);

enum database_status database_step(struct statement *st);
/* Ends the read transaction that stepping began, unless an outer one is open; keeps nothing bound.
 */
void database_reset(struct statement *st);

/*
 * From now on a step that comes to a value of more than so many bytes, as it is stored, fails with
 * DATABASE_TOO_LONG instead of reading it. 0: as many as SQLite takes, which is so at first.
 */
void database_limit_length(struct database *db, int bytes);

bool database_is_null(struct statement *st, int column);
bool database_is_int(struct statement *st, int column);
int64_t database_int(struct statement *st, int column);
/* What a value is stored as: "INTEGER", "REAL", "TEXT", "BLOB" or "NULL". */
const char *database_type(struct statement *st, int column);
/* Borrowed until the next step or reset. NULL for NULL and without memory; a BLOB's bytes as they
 * are. */
const char *database_text(struct statement *st, int column, size_t *length);

/* Runs a statement to its end and forgets its rows: BEGIN, COMMIT. */
enum database_status database_run(struct statement *st);

/* Is a transaction open? After a failure inside one, it must still be ended. */
bool database_in_transaction(const struct database *db);

/* How SQLite stores and compares what is put into a column. */
enum database_affinity {
	DATABASE_TEXT,
	DATABASE_NUMERIC, /* or INTEGER */
	DATABASE_REAL,
	DATABASE_BLOB, /* as it comes */
};
struct database_column {
	enum database_affinity affinity;
	bool binary; /* its collation is BINARY: texts are equal if their bytes are */
};

/*
 * Looks at a column of a table. False for a view, and where there is no such column.
 * Source: https://www.sqlite.org/datatype3.html, section 3.1.
 */
bool database_column(
	struct database *db, const char *table, const char *name, struct database_column *column);

/* "main"."a""b": a name as SQL, in out. False when it does not fit. */
bool database_quote(char *out, size_t size, const char *name);

/* SQLite's version, as text. */
const char *database_version(void);

#endif
