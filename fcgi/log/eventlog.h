/*
 * eventlog: the table or view that is tailed: which columns it has, where it begins and ends, and
 * reading it after an id.
 *
 * Owns the reading connection to the database and its statements. Every function is a transaction
 * of its own: nothing is held open between two calls, so that the write-ahead log can be
 * checkpointed at any moment. Never writes, never waits. Another engine could stand behind this
 * header: nothing of SQLite shows in it.
 *
 * "Newest" is the newest id that was ever given out, so far as the database knows it: deleted rows
 * count where the table is AUTOINCREMENT.
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
	EVENTLOG_BUSY, /* locked: again in a moment */
	EVENTLOG_FAULT, /* eventlog_error() says what; the log has been closed, see eventlog_read() */
};

enum eventlog_file {
	EVENTLOG_SAME,
	EVENTLOG_GONE,
	EVENTLOG_REPLACED,
	EVENTLOG_STALE, /* the same, but its -wal or -shm is not the one that is open: open it anew */
};

/* path and table are borrowed for good. Opens nothing yet. NULL without memory. */
struct eventlog *eventlog_new(const char *path, const char *table);
void eventlog_free(struct eventlog *log);

/* Opens the database if it is closed, and looks at the table's columns. */
enum eventlog_status eventlog_open(struct eventlog *log);
void eventlog_close(struct eventlog *log);
bool eventlog_is_open(const struct eventlog *log);
/* EVENTLOG_OK: open. EVENTLOG_BUSY: closed, since it was locked when it was to be opened. */
enum eventlog_status eventlog_state(const struct eventlog *log);

/* One sentence about the last fault, which says what would be right; shorter than this. */
enum { EVENTLOG_SENTENCE_MAX = 960 };
const char *eventlog_error(const struct eventlog *log);
/* Was the last fault one of a single row, while the log stayed open? Asked once. */
bool eventlog_met_row(struct eventlog *log);

/* Was another file open before this one, and has nobody been told? Until eventlog_replaced_told(). */
bool eventlog_was_replaced(const struct eventlog *log);
void eventlog_replaced_told(struct eventlog *log);

/* Does the path still lead to the files that are open? EVENTLOG_SAME when none is open. */
enum eventlog_file eventlog_file(struct eventlog *log);
/* How many names the file had when it was last opened or asked for: more than 1 with hard links. */
nlink_t eventlog_links(const struct eventlog *log);
/* Is it in WAL mode now? */
bool eventlog_is_wal(struct eventlog *log);

/* The connection, for other tables of the same database; NULL when closed. Borrowed until closed.
 */
struct database *eventlog_database(struct eventlog *log);
/*
 * Calls `closing` just before the connection is closed: statements that others prepared on it must be
 * finalized by then. SQLite would keep it, and what it has open, until the last of them is.
 */
void eventlog_on_close(struct eventlog *log, void (*closing)(void *context), void *context);
/* Changes whenever the log was opened anew. */
unsigned eventlog_generation(const struct eventlog *log);

/* What makes it slow, in a sentence that says what to do; NULL: nothing. Until the log is closed. */
const char *eventlog_slow(struct eventlog *log, char *sentence, size_t size);

/* Is it a view? Then its rows may change without a commit, as time goes by. */
bool eventlog_is_view(const struct eventlog *log);

/*
 * A mark of the row with this id, by which it is known again; 0: there is none. One row's mark at a
 * time. Every look at the log reads the marked row, so a row with more than EVENTLOG_MARKED_MAX bytes
 * of data gets no mark. data_length: how many it has, -1: unknown.
 */
enum { EVENTLOG_MARKED_MAX = 64 * 1024 };
enum eventlog_status eventlog_mark(
	struct eventlog *log, int64_t id, int64_t data_length, uint64_t *mark);

/*
 * Is the log the one of which `mark` is the mark of the row `id`, as far as can be told? It is not, when that
 * row is another one now, or is gone without having been deleted: another log was restored into the file. Of
 * a table that is not ours it is asked only when the schema has changed, as it does by a restore: the
 * application may change and delete its rows. Renews the mark.
 */
enum eventlog_status eventlog_is_same(struct eventlog *log, int64_t id, uint64_t *mark, bool *same);

/* A number that changes with every commit of another connection. */
enum eventlog_status eventlog_version(struct eventlog *log, int64_t *version);

struct eventlog_bounds {
	int64_t oldest; /* id of the oldest row; newest + 1 when there is none */
	int64_t newest;
};
enum eventlog_status eventlog_bounds(struct eventlog *log, struct eventlog_bounds *bounds);

/*
 * Rows that are missing. Deletions are numbered, so that whoever was told of some is told of later ones
 * again, also where they took rows from before those that were missing already.
 */
struct eventlog_missing {
	int64_t id; /* up to this id; 0: none are */
	/*
	 * The number of the last deletion there was, of whichever rows, when it was looked: who has been
	 * told of all up to here need not look at them again while he goes on. 0: it was not looked.
	 */
	int64_t deletion;
};

/* Where a stream goes on that asks for what follows `position`. */
struct eventlog_place {
	int64_t id; /* goes on after this: the position itself where it holds */
	bool gap; /* it does not hold, for `reason` */
	enum gap reason; /* GAP_PRUNED or GAP_FUTURE */
	struct eventlog_missing pruned; /* with GAP_PRUNED */
	struct eventlog_bounds bounds;
};
enum eventlog_status eventlog_place(struct eventlog *log, const struct filter *f, int64_t position,
	struct eventlog_place *place);

/*
 * Looks for the place before the newest `want` rows of what is followed. A call looks at a
 * bounded number of rows: again until `done`.
 */
struct eventlog_seek {
	int64_t want; /* rows */
	int64_t floor; /* go back no further than this id */
	int64_t before; /* look below this id; INT64_MAX: at all */
	bool scans; /* it has begun to scan, and goes on with that; false at first */
	int64_t found; /* rows so far, `want` at most; 0 at first */
	int64_t first; /* the oldest of them; of use when there is one */
	bool done;
	int64_t id; /* when done: the stream goes on after this id */
	struct eventlog_missing pruned; /* when done: of wanted rows behind it */
};
enum eventlog_status eventlog_seek(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek);

/*
 * Takes one row; its texts are borrowed for the call. False: no room, stop before this row.
 */
typedef bool (*eventlog_take)(void *context, const struct row *row);

/* What is known of the rows that a stream follows. */
enum eventlog_rows {
	EVENTLOG_DENSE, /* or unknown, as at first: they are scanned */
	EVENTLOG_SPARSE, /* they are looked up by the index */
	EVENTLOG_CROWDED, /* sparse, but of too many channels for that */
};

struct eventlog_batch {
	enum eventlog_rows rows; /* in and out */
	int64_t scanned; /* everything up to this id has been looked at and, where wanted, taken */
	bool at_end; /* there was nothing behind it; scanned is the newest id */
	struct eventlog_missing pruned; /* of rows that were wanted */
	int64_t next; /* with pruned.id: the oldest row behind `after`; 0: none */
	int64_t too_large; /* the next row that was wanted, which cannot be read; 0: none */
	struct eventlog_bounds bounds; /* with pruned.id and too_large */
};

/* Instead of a deletion's number: missing rows are not looked for. */
#define EVENTLOG_TOLD_ALL INT64_MAX

enum {
	/* What a row may hold, in bytes of UTF-8; the same that schema/rowtail.sql allows. */
	EVENTLOG_ROW_MAX = 256 << 20,
	EVENTLOG_ROW_EXTRA = 1 << 20, /* for channel, event and created_at, all in all */
	/* One that is shorter than this waits until there is memory; another is too large then. */
	EVENTLOG_ROW_SMALL = 1 << 20,
};

/*
 * Reads rows after an id in order, of a filter (NULL: all), at most max_rows of them, and tells of
 * a bounded number only. Rows are not read when some are missing by a deletion later than `told` (the
 * number of the last one of which a gap was announced, or 0): the caller announces it and calls again.
 * Reading stops before a row that is too large (EVENTLOG_ROW_MAX), or for which there is no memory. When
 * it is the first, batch->too_large is its id: the caller announces a gap and goes on behind it.
 *
 * Where a fault lies in one row (a view cannot compute it, its id is no position), the log stays open. After
 * every fault, what was taken is good, up to batch->scanned.
 */
enum eventlog_status eventlog_read(struct eventlog *log, const struct filter *f, int64_t after,
	int64_t told, size_t max_rows, eventlog_take take, void *context,
	struct eventlog_batch *batch);

#endif
