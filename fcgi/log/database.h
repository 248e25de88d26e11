/*
 * database: the part of SQLite that rowtail uses, with its many status codes reduced to a few.
 *
 * The only file of rowtail that includes <sqlite3.h>; the programs that write have others. Opens
 * read-only, never writes, waits for a lock only as database_wait_until() allows. Knows nothing of
 * events or grants. Never opens the files in another way: closing any descriptor of a database file
 * in this process would drop SQLite's POSIX locks on it.
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
	DATABASE_ROW, /* from database_step() */
	DATABASE_DONE, /* from database_step() */
	DATABASE_BUSY, /* locked: try again soon */
	DATABASE_MISSING, /* the file is missing or cannot be opened: permissions, directory */
	DATABASE_DAMAGED, /* corrupt, not a database, I/O error */
	DATABASE_SCHEMA, /* a table or column is missing, or another SQL error */
	DATABASE_NO_MEMORY,
	DATABASE_TOO_LONG, /* a value is longer than database_limit_length() allows */
};

/* Why a call failed: what somebody who fixes it needs to know. */
enum database_cause {
	DATABASE_CAUSE_OTHER,
	DATABASE_CAUSE_HOT_JOURNAL, /* an unfinished write must be rolled back first */
	DATABASE_CAUSE_NOT_OPENED, /* the database or a file beside it can't be opened or created */
	DATABASE_CAUSE_NO_DATABASE,
	DATABASE_CAUSE_DAMAGED,
	DATABASE_CAUSE_IO,
};

struct database_failure {
	enum database_cause cause;
	int error; /* errno; 0: unknown */
	char message[256]; /* SQLite's own */
};

/*
 * Opens a file read-only. Unless the result is DATABASE_OK or DATABASE_BUSY, *db is NULL and *why
 * tells why. With DATABASE_BUSY the file is open, and can be read once it is no longer locked.
 */
enum database_status database_open(
	struct database **db, const char *path, struct database_failure *why);
void database_close(struct database *db);

/*
 * From now on, databases are opened as if nobody could write to them: without locks, and without a
 * -wal and -shm, so that none is created. What is in a -wal is not seen. For a look at a database
 * that nobody has open.
 */
void database_leave_no_trace(void);

/*
 * Until this clock_us(), all connections wait in short steps while the database is locked; 0:
 * never, as at first. Returns how long they have waited since the last call, in microseconds.
 */
int64_t database_wait_until(int64_t until_us);

/* The file's own path, with symbolic links resolved. Borrowed until database_close(). */
const char *database_path(const struct database *db);

/* SQLite's message for the last failure. Borrowed until the next call. */
const char *database_message(const struct database *db);

/* Fills *why with the reason why the last call failed. */
void database_explain(const struct database *db, struct database_failure *why);

/*
 * Prepares a statement for repeated use. On failure *st is NULL. Callers finalize statements before
 * they close the database. database_finalize(NULL) does nothing.
 */
enum database_status database_prepare(struct database *db, struct statement **st, const char *sql);
void database_finalize(struct statement *st);

/* index: of a parameter, from 1. */
void database_bind_int(struct statement *st, int index, int64_t value);
/* The text is borrowed until the statement is reset. */
void database_bind_text(struct statement *st, int index, const char *text, size_t length);

/* Goes to the next row: DATABASE_ROW, DATABASE_DONE, or why it failed. */
enum database_status database_step(struct statement *st);
/*
 * Ends the read transaction that stepping began, unless an outer one is open. Clears all bindings.
 */
void database_reset(struct statement *st);

/*
 * From now on, a step that reaches a value of more than so many bytes, as stored, fails with
 * DATABASE_TOO_LONG instead of reading it. 0: SQLite's own limit, which is the initial setting.
 */
void database_limit_length(struct database *db, int bytes);

/* The value in a column, from 0, of the row that was reached. */
bool database_is_null(struct statement *st, int column);
bool database_is_int(struct statement *st, int column);
int64_t database_int(struct statement *st, int column);
/* The type of a value as stored: "INTEGER", "REAL", "TEXT", "BLOB" or "NULL". */
const char *database_type(struct statement *st, int column);
/*
 * Borrowed until the next step or reset. NULL if the value is NULL or there is no memory. Returns
 * the bytes of a BLOB unchanged.
 */
const char *database_text(struct statement *st, int column, size_t *length);

/*
 * The same at a lower cost, for reading many values: it looks up the value once, and SQLite does
 * not copy a text to add a NUL, so there is none. utf8: the database's encoding is UTF-8. False if
 * there is no memory; *text is then NULL.
 */
bool database_bytes(struct statement *st, int column, bool utf8, const char **text, size_t *length);
/* Is the value an integer? Sets *number only if it is. */
bool database_number(struct statement *st, int column, int64_t *number);

/* Runs a statement to completion and discards its rows: BEGIN, COMMIT. */
enum database_status database_run(struct statement *st);

/* Is a transaction open? After a failure inside one, the caller must still end it. */
bool database_in_transaction(const struct database *db);

/*
 * Reads a number that changes with every commit from the write-ahead log's index in shared memory,
 * without a transaction or a system call. *writing (may be NULL): the log has pages after that
 * commit, so a writer is about to commit them, or gave up. DATABASE_BUSY if that is unknown: in
 * rollback mode, before the first read, or while a writer changes the index. Another failure is one
 * of reading the log; database_explain() does not know of it.
 * Source: https://www.sqlite.org/walformat.html, sections 1.3 and 2.1.
 */
enum database_status database_last_commit(struct database *db, uint64_t *commit, bool *writing);

/*
 * How many bytes a text or BLOB has, without reading it. False if there is no such row, the value
 * is of another type, or the table is a view or has no rowid.
 */
bool database_length(
	struct database *db, const char *table, const char *column, int64_t rowid, int64_t *bytes);

/* How SQLite stores and compares the values of a column. */
enum database_affinity {
	DATABASE_TEXT,
	DATABASE_NUMERIC, /* or INTEGER */
	DATABASE_REAL,
	DATABASE_BLOB, /* unchanged */
};
struct database_column {
	enum database_affinity affinity;
	bool binary; /* its collation is BINARY: texts are equal if their bytes are equal */
};

/*
 * Reads the affinity and collation of a table's column. False for a view or a missing column.
 * Source: https://www.sqlite.org/datatype3.html, section 3.1.
 */
bool database_column(
	struct database *db, const char *table, const char *name, struct database_column *column);

/* Writes a name as SQL to out: "main"."a""b". False if it does not fit. */
bool database_quote(char *out, size_t size, const char *name);

/* SQLite's version, as text. */
const char *database_version(void);

#endif
