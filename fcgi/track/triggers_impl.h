/*
 * What triggers.c (the frame of the SQL), triggers_table.c (a table's triggers) and triggers_row.c
 * (the channel and the JSON of a row) share. For these three only.
 */
#ifndef ROWTAIL_TRACK_TRIGGERS_IMPL_H
#define ROWTAIL_TRACK_TRIGGERS_IMPL_H

#include "track/triggers.h"

enum {
	TRIGGERS_NAME_TEXT_MAX = 8 * TRACK_NAME_MAX,
	/*
	 * The writer's own statement fails if a text becomes longer than SQLite allows, 10^9 bytes.
	 * So the texts of a row may have so many characters together, of 4 bytes at most, in the
	 * object.
	 */
	TRIGGERS_CHARACTERS_MAX = 249000000,
};

/* Instead of an object that the log does not take: rowtail.sql allows 256 MiB. */
#define TRIGGERS_LARGE "'{\"_large\":true}'"

/*
 * The view through which each event goes into the log: channel, event, data, and the channel to
 * take if that is none.
 */
#define TRIGGERS_VIEW TRIGGERS_PREFIX "event"
#define TRIGGERS_LOCK TRIGGERS_PREFIX "lock"

/* What is written, and about what. */
struct writing {
	struct buffer *sql;
	const struct track_table *t;
	const struct track_choice *choice;
	const char *row; /* of expression_join()'s values */
	const char *before; /* the row before an update; NULL elsewhere */
};

/* Appends the channel of the row w->row, which may yet be too long. */
void triggers_channel(struct buffer *sql, const struct writing *w);

/* Appends a text: the table's name as the first part of a channel, then `end`. */
void triggers_table_part(struct buffer *sql, const struct track_table *t, const char *end);

/* Appends the JSON object of the row w->row; after an update with the list of what changed. */
void triggers_object(struct buffer *sql, const struct writing *w);

/* Appends a text that is empty if no tracked column differs between w->before and w->row. */
void triggers_changed_names(struct buffer *sql, const struct writing *w);

/* How many columns the key has. */
size_t triggers_key_count(const struct track_table *t);

/* Appends the name of a table's trigger, or of its notes. */
void triggers_name(struct buffer *sql, const char *what, const char *table);

/* Does INSERT OR REPLACE delete rows of other channels? */
bool triggers_need_notes(const struct writing *w);

/* Appends all triggers of the table. */
void triggers_write_table(struct writing *w);

#endif
