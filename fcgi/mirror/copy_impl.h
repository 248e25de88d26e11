/*
 * Shared by copy.c (opening, looking after the file), copy_place.c (where it is, its lock),
 * copy_apply.c (transactions) and copy_make.c (a new file), and used by no others.
 */
#ifndef ROWTAIL_MIRROR_COPY_IMPL_H
#define ROWTAIL_MIRROR_COPY_IMPL_H

#include <limits.h>
#include <sqlite3.h>
#include <sys/stat.h>

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
	struct stat is; /* the file at PATH when it was opened last; st_nlink 0: it never was */
	struct copy_state state;
	struct copy_state before; /* the transaction */
	int64_t rows, rows_before;
	int64_t examined; /* everything up to this id was read; 0: nothing yet */
	int64_t aged; /* old events up to this id were deleted; 0: begins again */
	int64_t examine_ms; /* by clock_ms(): when to begin again */
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

/* Makes the table rowtail_mirror. Replaces rowtail.sql's triggers by some that refuse writers. */
enum copy_status copy_set_up(struct copy *c, sqlite3 *db);
enum copy_status copy_drop_triggers(struct copy *c, sqlite3 *db);

/*
 * The absolute path of a file that may not exist, without symbolic links; PATH_MAX bytes. A link to
 * a file that does not exist leads to where the file will be.
 */
void copy_resolve(const char *path, char *real);

/*
 * Notes beside the file that it is ours. If it cannot be read one day, it is then known to be a
 * damaged copy, not another program's file.
 */
void copy_sign(struct copy *c);
bool copy_is_signed(const struct copy *c);

/* Gives the file at this path the owner and permissions that the file at PATH has, or had last. */
void copy_inherit(const struct copy *c, const char *path);

#endif
