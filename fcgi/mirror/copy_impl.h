/*
 * Shared by copy.c (opening, looking after the file), copy_apply.c (transactions) and copy_make.c (a new
 * file), and used by no others.
 */
#ifndef ROWTAIL_MIRROR_COPY_IMPL_H
#define ROWTAIL_MIRROR_COPY_IMPL_H

#include <limits.h>
#include <sqlite3.h>
#include <sys/types.h>

#include "mirror/copy.h"

enum copy_statement {
	DO_EVENT,
	DO_DELETE,
	DO_MARK,
	DO_MARK_OLDER,
	DO_GRANT,
	DO_REVOKE,
	DO_END,
	DO_OPEN,
	DO_TIMELINE,
	DO_SEQUENCE,
	DO_COUNT,
};

/* One open file: PATH or PATH.new. */
struct copy_file {
	sqlite3 *db;
	sqlite3_stmt *st[DO_COUNT];
	bool has_ends; /* there is a table events_ended */
};

struct copy {
	const char *path; /* as given */
	char real[PATH_MAX]; /* symbolic links resolved */
	int lock;
	struct copy_file file, made;
	dev_t device;
	ino_t inode;
	struct copy_state state;
	struct copy_state before; /* the transaction */
	int64_t rows, rows_before;
	int64_t examined; /* everything up to this id was read */
	char error[512];
};

/* Keeps the sentence about the last failure of a connection; returns what it means. */
enum copy_status copy_fail(struct copy *c, sqlite3 *db, const char *what);

/* Runs SQL without results. */
enum copy_status copy_run(struct copy *c, sqlite3 *db, const char *sql);

/* Prepares all statements, for which the tables must be there. */
enum copy_status copy_prepare(struct copy *c, struct copy_file *file);
void copy_file_close(struct copy_file *file);

/* Puts a change into a file; *rows: how many events were added. */
enum copy_status copy_put(
	struct copy *c, struct copy_file *file, const struct change *change, int64_t *rows);
/* Writes the state, and sets the ids that new rows would get. */
enum copy_status copy_put_state(
	struct copy *c, struct copy_file *file, const struct copy_state *state);

/* Makes the table rowtail_mirror, and triggers that refuse what others write, in place of rowtail.sql's. */
enum copy_status copy_set_up(struct copy *c, sqlite3 *db);
enum copy_status copy_drop_triggers(struct copy *c, sqlite3 *db);

/* Remembers beside the file that it is ours. */
void copy_sign(struct copy *c);

#endif
