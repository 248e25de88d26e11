/*
 * What these files share, and nobody else uses: eventlog.c (opening, transactions, bounds),
 * eventlog_table.c (columns and statements), eventlog_read.c (batches), eventlog_seek.c (the newest
 * rows of a filter), eventlog_place.c (places, missing rows, ends), eventlog_index.c (ids from the
 * index) and eventlog_mark.c (is it still the same log?). They call each other in both directions.
 */
#ifndef ROWTAIL_EVENTLOG_IMPL_H
#define ROWTAIL_EVENTLOG_IMPL_H

#include <sys/types.h>

#include "log/eventlog.h"

enum eventlog_statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_VERSION,
	ST_SCHEMA,
	ST_OLDEST,
	ST_NEWEST,
	ST_SEQUENCE, /* NULL if the table is not AUTOINCREMENT */
	ST_NEXT,
	ST_NAMES, /* id, channel and event of the next rows */
	ST_PRUNED_ANY, /* this and the next four: NULL without a table events_pruned */
	ST_PRUNED_SINCE,
	ST_PRUNED_CHANNEL,
	ST_PRUNED_BELOW,
	ST_DELETION,
	ST_ENDED, /* NULL without a table events_ended */
	ST_MARK, /* what identifies a row; NULL if each look sorts all rows */
	ST_CREATED, /* NULL without a column created_at */
	ST_SCAN,
	ST_BACK,
	ST_ROW,
	ST_NAMES_OF, /* id, channel and event of one row */
	ST_IDS, /* this and the next four: NULL without an index on channel */
	ST_IDS_BACK,
	ST_WALK_FROM, /* id and channel, from the first channel at or after a text; next: after */
	ST_WALK_BEHIND,
	ST_NO_TEXT, /* is there a row whose channel is NULL or a BLOB? */
	ST_COUNT,
};

struct eventlog {
	const char *path;
	const char *table;
	struct database *db;
	unsigned generation;
	dev_t device;
	ino_t inode;
	nlink_t links;
	bool replaced; /* another file, by device and inode, was open before */
	bool locked; /* at the last attempt to open it */
	ino_t beside[2]; /* the -wal and -shm that are open; 0: not seen yet */
	struct statement *st[ST_COUNT];
	int64_t schema; /* the schema's version number for which st[] was prepared */
	void (*closing)(void *context); /* NULL: nobody asked */
	void *closing_context;
	unsigned prepared; /* how often st[] was prepared */
	unsigned marked; /* `prepared` when a row's mark was last read */
	bool is_view;
	int unit; /* bytes of the shortest character in the database: 1, or 2 in UTF-16 */
	bool sorts; /* no index gives the rows in the order of their ids */
	bool row_met; /* eventlog_met_row() has not been asked since */
	bool held; /* eventlog_hold() has begun the transaction */
	bool at_row; /* `unfit` is about one row; the rows before it can be read */
	/* Why the table cannot be followed; or "". */
	char unfit[EVENTLOG_SENTENCE_MAX / 2];
	char error[EVENTLOG_SENTENCE_MAX];
};

/*
 * Reads the table's columns and prepares the statements that read it. *lacking: the table or a
 * required column is missing, and the error sentence says what to do.
 */
enum database_status eventlog_prepare_table(struct eventlog *log, bool *lacking);

/*
 * Begins a transaction in which the statements match the columns that the table has now. Unless the
 * result is EVENTLOG_OK, no transaction is open.
 */
enum eventlog_status eventlog_begin(struct eventlog *log);

/*
 * Ends a transaction. `s` is the result of the last step in it: DATABASE_OK, _ROW or _DONE are
 * success; BUSY becomes EVENTLOG_BUSY; anything else sets the error sentence and closes the log.
 */
enum eventlog_status eventlog_end(struct eventlog *log, enum database_status s);

/*
 * Steps a statement whose first column is an id, once, and resets it. Sets *id to `none` if there
 * is no row, the column is NULL, or the statement is NULL.
 */
enum database_status eventlog_one(struct statement *st, int64_t none, int64_t *id);

/*
 * Checks the id in the first column of a statement that stands on a row. If it cannot be a
 * position, writes a sentence to log->unfit and returns false; the caller then ends with
 * DATABASE_SCHEMA.
 */
bool eventlog_id_is_good(struct eventlog *log, struct statement *st);

enum {
	EVENTLOG_IDS_MAX = 8192, /* for all channels of a filter in one call */
	/* Time in one call, at most: SQLite also reads the payload of rows that are not wanted. */
	EVENTLOG_SCAN_US = 1000,
	/* A channel is sparse if fewer than one row in so many belongs to it. */
	EVENTLOG_SPARSE_ROWS = 10,
};

/* The columns of ST_SCAN and ST_ROW. ST_NAMES, ST_NAMES_OF and ST_BACK have the first three. */
enum {
	COLUMN_ID,
	COLUMN_CHANNEL,
	COLUMN_EVENT,
	COLUMN_DATA,
	COLUMN_RETRY,
	COLUMN_CREATED_AT,
};

/*
 * Reads channel and type, which a filter needs. The rest of a row is read only if it is wanted.
 * False if there is no memory.
 */
bool eventlog_read_names(const struct eventlog *log, struct statement *st, struct row *row);

/* The ids of the channels that a filter follows, from the index. */
struct eventlog_ids {
	struct eventlog *log;
	enum eventlog_statement which; /* ST_IDS or ST_IDS_BACK */
	int64_t after, up_to;
	size_t each; /* at most this many of a channel with many rows */
	int64_t id[EVENTLOG_IDS_MAX];
	size_t count;
	bool complete; /* these are all ids */
	int64_t horizon; /* unless complete: has all ids up to this one (back: from this one on) */
	size_t looked_up; /* channels */
	size_t walked; /* entries of the index */
	bool too_many; /* too many channels or ids: the result is unusable */
	enum database_status s;
};

/*
 * Looks up the ids above `after` of everything a filter follows: the oldest with ST_IDS, the newest
 * up to `up_to` with ST_IDS_BACK. At most `each` of a channel with many rows. In ascending order,
 * without duplicates. Valid until the next call.
 */
struct eventlog_ids *eventlog_collect(struct eventlog *log, const struct filter *f,
	enum eventlog_statement which, int64_t after, int64_t up_to, size_t each);

/*
 * Can the index find every row that a filter wants? It cannot if all channels are followed, or if
 * the table has channels that are not text: NULL is followed as "default", a BLOB by its bytes.
 */
bool eventlog_index_finds_all(struct eventlog *log, const struct filter *f);

/* Both need an open transaction. */
enum database_status eventlog_newest(struct eventlog *log, int64_t *newest);
enum database_status eventlog_get_bounds(struct eventlog *log, struct eventlog_bounds *bounds);

/*
 * Has a deletion later than `told` removed rows above `after` that f wants? If only the oldest id
 * of the table is known, every id between `after` and the oldest row counts as missing.
 */
enum database_status eventlog_missing(struct eventlog *log, const struct filter *f, int64_t after,
	int64_t told, struct eventlog_missing *missing);

#endif
