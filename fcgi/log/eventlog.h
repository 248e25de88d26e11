/*
 * eventlog: the table or view that is tailed: its columns, where it begins and ends, and reading it
 * after an id.
 *
 * Owns the reading connection to the database and its statements. Every function is a transaction
 * of its own, except between eventlog_hold() and eventlog_release(). Nothing is held open between
 * two turns of the loop, so that the write-ahead log can be checkpointed at any moment. Never
 * writes. Waits for a lock only while database_wait_until() allows it. This header shows nothing of
 * SQLite, so another engine could implement it.
 *
 * "Newest" is the newest id that was ever given out, as far as the database knows: deleted rows
 * count if the table is AUTOINCREMENT.
 */
#ifndef ROWTAIL_EVENTLOG_H
#define ROWTAIL_EVENTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "log/database.h"
#include "log/filter.h"
#include "log/gap.h"
#include "log/row.h"

struct eventlog;

enum eventlog_status {
	EVENTLOG_OK,
	EVENTLOG_BUSY, /* locked: try again soon */
	EVENTLOG_FAULT, /* see eventlog_error(); the log is closed now, see eventlog_read() */
};

enum eventlog_file {
	EVENTLOG_SAME,
	EVENTLOG_GONE,
	EVENTLOG_REPLACED,
	EVENTLOG_STALE, /* the same, but with another -wal or -shm: open it again */
};

/* Borrows path and table for good. Opens nothing yet. NULL if there is no memory. */
struct eventlog *eventlog_new(const char *path, const char *table);
void eventlog_free(struct eventlog *log);

/* Opens the database if it is closed, and reads the table's columns. */
enum eventlog_status eventlog_open(struct eventlog *log);
void eventlog_close(struct eventlog *log);
bool eventlog_is_open(const struct eventlog *log);
/*
 * EVENTLOG_OK: open. EVENTLOG_BUSY: closed, because it was locked at the last attempt to open it.
 */
enum eventlog_status eventlog_state(const struct eventlog *log);

/* A sentence about the last fault, which says what to do; shorter than this. */
enum { EVENTLOG_SENTENCE_MAX = 960 };
const char *eventlog_error(const struct eventlog *log);
/* Was the last fault in a single row, so that the log stayed open? True only once per fault. */
bool eventlog_met_row(struct eventlog *log);

/* Was another file open before this one? True until eventlog_replaced_told(). */
bool eventlog_was_replaced(const struct eventlog *log);
void eventlog_replaced_told(struct eventlog *log);

/*
 * Does the path still lead to the files that are open? EVENTLOG_SAME if none is open. beside: also
 * checks the -wal and -shm.
 */
enum eventlog_file eventlog_file(struct eventlog *log, bool beside);
/* How many names the file had when it was last opened or checked: more than 1 with hard links. */
nlink_t eventlog_links(const struct eventlog *log);
/* Is it in WAL mode now? */
bool eventlog_is_wal(struct eventlog *log);

/* The connection, for other tables of the same database; NULL if closed. Borrowed until closed. */
struct database *eventlog_database(struct eventlog *log);
/*
 * Sets a function to call just before the connection is closed. It must finalize the statements
 * that others have prepared: until the last of them is finalized, SQLite would keep the connection
 * and its files open.
 */
void eventlog_on_close(struct eventlog *log, void (*closing)(void *context), void *context);
/* Changes whenever the log has been opened again. */
unsigned eventlog_generation(const struct eventlog *log);

/*
 * A sentence that says what makes the log slow and what to do; NULL: nothing. Valid until the log
 * is closed.
 */
const char *eventlog_slow(struct eventlog *log, char *sentence, size_t size);

/* Is it a view? Then its rows may change without a commit, as time goes by. */
bool eventlog_is_view(const struct eventlog *log);

/*
 * Makes a mark that identifies the row with this id; 0: it gets none. Only one row has a mark at a
 * time. Every look at the log reads the marked row. So if a row has more than EVENTLOG_MARKED_MAX
 * bytes of data, its mark is made of their number; in a table that is not ours it gets none.
 * data_length: how many bytes of data it has; -1: unknown.
 */
enum { EVENTLOG_MARKED_MAX = 64 * 1024 };
enum eventlog_status eventlog_mark(
	struct eventlog *log, int64_t id, int64_t data_length, uint64_t *mark);

/*
 * Is this still the log that had the row `id` with the mark `mark`, as far as can be told? It is
 * not if that row has changed, or is gone without having been deleted: another log was restored
 * into the file. An application may change and delete the rows of a table that is not ours, so such
 * a table is only checked if the schema has changed, which a restore does. Renews the mark.
 */
enum eventlog_status eventlog_is_same(struct eventlog *log, int64_t id, uint64_t *mark, bool *same);

/* A number that changes with every commit of another connection. */
enum eventlog_status eventlog_version(struct eventlog *log, int64_t *version);

/*
 * A number that changes with every commit, read from shared memory without a transaction. *writing
 * (may be NULL): another commit may be on its way. False if it is unknown; see
 * database_last_commit(). A log that cannot be read is closed: the next call fails.
 */
bool eventlog_last_commit(struct eventlog *log, uint64_t *commit, bool *writing);

/*
 * Makes one transaction of the calls until eventlog_release(), which costs less than a transaction
 * for each. If it is already held, this does nothing. Unless the result is EVENTLOG_OK, nothing is
 * held. Release it before the loop goes on.
 */
enum eventlog_status eventlog_hold(struct eventlog *log);
enum eventlog_status eventlog_release(struct eventlog *log);

struct eventlog_bounds {
	int64_t oldest; /* id of the oldest row; newest + 1 if there is none */
	int64_t newest;
};
enum eventlog_status eventlog_bounds(struct eventlog *log, struct eventlog_bounds *bounds);

/*
 * The time at which a row was created, by its created_at, in seconds since 1970 UTC; -1: there is
 * no such column, row or time.
 */
enum eventlog_status eventlog_created(struct eventlog *log, int64_t id, int64_t *unix_s);

/*
 * Rows that are missing. Deletions are numbered. So a stream that has been told of some deletions
 * is also told of later ones, even if these removed rows below the ids that were already missing.
 */
struct eventlog_missing {
	int64_t id; /* rows are missing up to this id; 0: none are */
	/*
	 * The number of the last deletion of any rows at the time of the check. A stream that has
	 * been told of all up to this one need not check them again. 0: not checked.
	 */
	int64_t deletion;
};

/* Where a stream continues whose client asks for the rows after `position`. */
struct eventlog_place {
	int64_t id; /* continues after this: the position itself if it is valid */
	bool gap; /* it is not valid, for `reason` */
	enum gap reason; /* GAP_PRUNED or GAP_FUTURE */
	struct eventlog_missing pruned; /* with GAP_PRUNED */
	struct eventlog_bounds bounds;
};
enum eventlog_status eventlog_place(struct eventlog *log, const struct filter *f, int64_t position,
	struct eventlog_place *place);

/*
 * Can channels end? Only those of the table events of schema/rowtail.sql, whose events_ended holds
 * the ends. False while the log is closed.
 */
bool eventlog_has_ends(const struct eventlog *log);

/*
 * Have all channels that a filter follows ended? *id: that of the last end; 0: they have not. A
 * pattern never ends.
 */
enum eventlog_status eventlog_ended(struct eventlog *log, const struct filter *f, int64_t *id);

/*
 * Looks for the place before the newest `want` rows that a filter wants. If there are fewer, it is
 * the place before the oldest of them; if there are none, behind the newest row. Each call examines
 * a bounded number of rows. Call it until `done`.
 */
struct eventlog_seek {
	int64_t want; /* rows */
	int64_t floor; /* go back no further than this id */
	int64_t last; /* look no higher than this id */
	bool begun; /* these three: for eventlog_seek.c; false at first */
	bool scans; /* it reads row after row, not the index */
	bool crowded; /* the index has too many entries for this filter */
	int64_t top; /* it began to look here */
	int64_t found; /* rows so far, at most `want`; 0 at first */
	int64_t first; /* the oldest of them; only valid if there is one */
	bool done;
	int64_t id; /* when done: the stream continues after this id */
	struct eventlog_missing pruned; /* when done: wanted rows after it that are missing */
};
enum eventlog_status eventlog_seek(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek);

/* Takes one row; its texts are borrowed for the call. False: no room, stop before this row. */
typedef bool (*eventlog_take)(void *context, const struct row *row);

/* What is known of the rows that a stream follows. */
enum eventlog_rows {
	EVENTLOG_DENSE, /* or unknown, as at first: scan them */
	EVENTLOG_SPARSE, /* look them up in the index */
	EVENTLOG_CROWDED, /* sparse, but in too many channels for the index */
};

struct eventlog_batch {
	enum eventlog_rows rows; /* in and out */
	int64_t scanned; /* everything up to this id has been examined and, if wanted, taken */
	bool at_end; /* there was nothing after it; scanned is the newest id */
	struct eventlog_missing pruned; /* wanted rows that are missing */
	int64_t next; /* with pruned.id: the oldest row after `after`; 0: none */
	int64_t too_large; /* the next wanted row, which cannot be read; 0: none */
	struct eventlog_bounds bounds; /* with pruned.id and too_large */
};

/* Use instead of a deletion's number to skip the check for missing rows. */
#define EVENTLOG_TOLD_ALL INT64_MAX

enum {
	/* The maximum of a row's data, in bytes of UTF-8; the same as in schema/rowtail.sql. */
	EVENTLOG_ROW_MAX = 256 << 20,
	EVENTLOG_ROW_EXTRA = 1 << 20, /* for channel, event and created_at together */
	/*
	 * A row shorter than this waits until there is memory; a longer one then counts as too
	 * large.
	 */
	EVENTLOG_ROW_SMALL = 1 << 20,
};

/*
 * Reads rows after an id in order, at most max_rows of those that a filter wants (NULL: all).
 * Examines a bounded number of rows per call. Reads none if wanted rows are missing because of a
 * deletion later than `told` (the number of the last deletion that a gap announced, or 0): the
 * caller announces it and calls again. Stops before a row that is too large (EVENTLOG_ROW_MAX), or
 * for which there is no memory. If that row is the first, batch->too_large is its id: the caller
 * announces a gap and continues after it.
 *
 * If the fault is in one row (a view cannot compute it, its id is not a valid position), the log
 * stays open. After every fault, the rows taken up to batch->scanned are valid.
 */
enum eventlog_status eventlog_read(struct eventlog *log, const struct filter *f, int64_t after,
	int64_t told, size_t max_rows, eventlog_take take, void *context,
	struct eventlog_batch *batch);

#endif
