/*
 * triggers: the SQL that --track prints: triggers that put a row into events for each row that is
 * inserted, updated or deleted in a table, and the SQL that takes them away.
 *
 * Pure: appends SQL to a buffer. SQLite 3.7.17 understands all of it. The SQL runs as a whole or
 * not at all, also in the sqlite3 shell, which continues after an error.
 *
 * INSERT OR REPLACE deletes rows without running DELETE triggers, unless the writer has set
 * recursive_triggers. So, if it can delete a row whose channel is not that of the new row, a BEFORE
 * trigger notes in a table of its own which rows the statement might replace, and the AFTER trigger
 * finds those that are gone.
 */
#ifndef ROWTAIL_TRACK_TRIGGERS_H
#define ROWTAIL_TRACK_TRIGGERS_H

#include "base/buffer.h"
#include "track/table.h"

struct track_choice {
	const char *channel; /* "shop/{customer_id}/orders"; NULL: TABLE/KEY */
	bool changes; /* of an update, only what changed */
	bool functions; /* json_quote() may be used */
	const char *former; /* the table's name when it was tracked before, if another; or "" */
};

/*
 * Does the template of a channel hold for the table? If not, sentence[TRACK_SENTENCE_MAX] says what
 * would be right.
 */
bool triggers_channel_is_good(const struct track_table *t, const char *channel, char *sentence);

/*
 * Appends the SQL that tracks a table. seen: the table's CREATE statement; the SQL fails if it has
 * changed since.
 */
void triggers_write(struct buffer *sql, const struct track_table *t,
	const struct track_choice *choice, const char *seen);

/*
 * Appends the SQL that undoes it. former: as in struct track_choice. last: no other table is
 * tracked, so remove also what they share.
 */
void triggers_write_removal(struct buffer *sql, const char *table, const char *former, bool last);

/* Appends the table's columns as triggers_write() notes them in a comment: "id", "note". */
void triggers_write_columns(struct buffer *text, const struct track_table *t);

/*
 * The first words of the comment in each trigger, then on lines of their own: channel …, columns …,
 * untracked …
 */
#define TRIGGERS_MARK "/* rowtail --track"

/* The names: this, then insert, update, delete or replaced, then _TABLE. */
#define TRIGGERS_PREFIX "rowtail_track_"

#endif
