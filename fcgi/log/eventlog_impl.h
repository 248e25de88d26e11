/*
 * What eventlog.c (opening, transactions, bounds), eventlog_table.c (columns and statements), eventlog_read.c
 * (batches, seeking), eventlog_place.c (places, missing rows), eventlog_index.c (ids by the index) and
 * eventlog_mark.c (is it the same log still?) share. For nobody else. They call each other in both directions.
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
	ST_SEQUENCE, /* NULL when the table is not AUTOINCREMENT */
	ST_NEXT,
	ST_NAMES, /* id, channel and event of the next rows */
	ST_PRUNED_ANY, /* this and the four behind it: NULL without a table events_pruned */
	ST_PRUNED_SINCE,
	ST_PRUNED_CHANNEL,
	ST_PRUNED_BELOW,
	ST_DELETION,
	ST_MARK, /* what a row is known by; NULL where each look sorts all rows */
	ST_SCAN,
	ST_BACK,
	ST_ROW,
	ST_IDS, /* this and the four behind it: NULL without an index on channel */
	ST_IDS_BACK,
	ST_CHANNEL_FROM, /* the first channel from a text on, and behind a text */
	ST_CHANNEL_BEHIND,
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
	bool replaced; /* device and inode were others before */
	bool locked; /* when it was to be opened */
	ino_t beside[2]; /* the -wal and -shm that are open; 0: not seen yet */
	struct statement *st[ST_COUNT];
	int64_t schema; /* a number that changes with the schema, of that which st[] was made for */
	void (*closing)(void *context); /* NULL: nobody wants to know */
	void *closing_context;
	unsigned prepared; /* how often st[] was made */
	unsigned marked; /* the same, when a row's mark was last looked at */
	bool is_view;
	int unit; /* bytes of the shortest character, as the database stores text: 1, or 2 in UTF-16 */
	bool sorts; /* no index gives the rows in the order of their ids */
	bool row_met; /* eventlog_met_row() was not asked since */
	bool at_row; /* `unfit` is about one row: those before it can be read */
	/* What was found in the table that cannot be followed; or "". */
	char unfit[EVENTLOG_SENTENCE_MAX / 2];
	char error[EVENTLOG_SENTENCE_MAX];
};

/*
 * Looks at the table's columns and prepares the statements that read it. *lacking: it is not there, or
 * has not what is needed, and the error sentence says what to do.
 */
enum database_status eventlog_prepare_table(struct eventlog *log, bool *lacking);

/*
 * Begins a transaction, in which the statements are those for the columns that the table has now.
 * Anything but EVENTLOG_OK: none is open.
 */
enum eventlog_status eventlog_begin(struct eventlog *log);

/*
 * Ends a transaction after `s`, the last thing that happened in it: DATABASE_OK, _ROW or _DONE are
 * success; BUSY is told as such; anything else becomes the error sentence and closes the log.
 */
enum eventlog_status eventlog_end(struct eventlog *log, enum database_status s);

/*
 * Steps a statement whose first column is an id, once, and resets it. *id becomes `none` when there
 * is no row, the column is NULL, or the statement is NULL.
 */
enum database_status eventlog_one(struct statement *st, int64_t none, int64_t *id);

/*
 * Looks at the id, in the first column of a statement that stands on a row. False, and a sentence in
 * log->unfit, when it can't be a position: then the caller ends with DATABASE_SCHEMA.
 */
bool eventlog_id_is_good(struct eventlog *log, struct statement *st);

enum { EVENTLOG_IDS_MAX = 8192 }; /* of all channels of a filter in one call */

/* The ids of the channels that a filter follows, by the index. */
struct eventlog_ids {
	struct eventlog *log;
	enum eventlog_statement which; /* ST_IDS or ST_IDS_BACK */
	int64_t after;
	size_t each; /* of one channel, at most */
	int64_t id[EVENTLOG_IDS_MAX];
	size_t count;
	int64_t horizon; /* beyond which a channel may have more ids; INT64_MAX when none has */
	size_t looked_up; /* channels */
	bool too_many; /* channels or ids: nothing is known */
	enum database_status s;
};

/*
 * Looks up the ids behind `after` of all that a filter follows, at most `each` of one channel: the oldest
 * with ST_IDS, the newest with ST_IDS_BACK. They come in ascending order, each once. Valid until the next call.
 */
struct eventlog_ids *eventlog_collect(struct eventlog *log, const struct filter *f,
	enum eventlog_statement which, int64_t after, size_t each);

/*
 * Does the index find every row of a filter's channels? Not where all channels are followed, nor in a
 * table with channels that are no text: NULL is followed as "default", a BLOB by its bytes.
 */
bool eventlog_index_finds_all(struct eventlog *log, const struct filter *f);

/* Inside a transaction. */
enum database_status eventlog_newest(struct eventlog *log, int64_t *newest);
enum database_status eventlog_get_bounds(struct eventlog *log, struct eventlog_bounds *bounds);

/*
 * Are rows missing that f wants behind `after`, by a deletion later than `told`? Where nothing but the
 * oldest id is known of the table, all that may have stood before it counts as missing.
 */
enum database_status eventlog_missing(struct eventlog *log, const struct filter *f, int64_t after,
	int64_t told, struct eventlog_missing *missing);

#endif
