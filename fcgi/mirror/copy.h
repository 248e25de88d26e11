/*
 * copy: the SQLite log beside rowtail: makes it, keeps it the same as the source, replaces it.
 *
 * Owns the writing connection to PATH, and PATH.new while a new file is made. Rows and cursor
 * change in one transaction, so a crash at any moment leaves a prefix of the log that knows where
 * it ends. Never touches a database that rowtail-mirror did not make. Includes <sqlite3.h>, as
 * log/database.c does.
 *
 * Its table rowtail_mirror has one row. rowtail reads it, see log/copied.h. While it is there,
 * triggers refuse what others want to write to events and grants.
 */
#ifndef ROWTAIL_MIRROR_COPY_H
#define ROWTAIL_MIRROR_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror/change.h"

struct copy;

enum copy_status {
	COPY_OK,
	COPY_ABSENT, /* there is no file, or an empty one */
	COPY_FOREIGN, /* there is a file, which is not ours, or no regular file */
	COPY_DAMAGED, /* it is ours; make a new one */
	COPY_BUSY, /* somebody else writes to it: try again soon */
	COPY_FULL, /* the disk is full: try again later */
	COPY_TAKEN, /* another rowtail-mirror keeps it */
	COPY_FAULT, /* anything else: permissions, I/O */
};

enum { COPY_TOKEN_MAX = 64, COPY_WHERE_MAX = 256 };

/* What the copy knows of itself. */
struct copy_state {
	char token[COPY_TOKEN_MAX]; /* which log it is a copy of */
	int64_t timeline; /* of the server it was last read from */
	int64_t cursor; /* it has everything up to this number */
	int64_t changed; /* number of the last change that was no event, and no word of lost rows */
	int64_t looks; /* how often it was complete */
	int64_t fresh_ms; /* when it was last complete, in ms since 1970; 0: never */
	int64_t behind; /* rows that it lacks, as far as known */
	int64_t lost_base; /* the other mirrors have to be told of rows before this; 0: no */
	int64_t max_stale_ms; /* --max-stale */
	char where[COPY_WHERE_MAX]; /* the server it is read from; "": none at the moment */
};

/* Borrows path for good. NULL if there is no memory. */
struct copy *copy_new(const char *path);

/* Locks PATH.lock until the process ends. False, with a sentence, if another mirror has it. */
bool copy_lock(struct copy *c, char *sentence, size_t size);

/*
 * Looks whether PATH still leads to the same file, and the lock is still beside it. If not, takes
 * the lock again. COPY_ABSENT: PATH is now another file, and the one before is closed. COPY_TAKEN,
 * COPY_FAULT: not locked.
 */
enum copy_status copy_settle(struct copy *c);

/* PATH without symbolic links. Borrowed. */
const char *copy_path(const struct copy *c);

/* A sentence about the last failure. Borrowed. */
const char *copy_error(const struct copy *c);

/* Opens PATH and checks it. */
enum copy_status copy_open(struct copy *c);
/* Reads the state of PATH, and closes it again. Changes nothing. */
enum copy_status copy_look(struct copy *c);
void copy_close(struct copy *c);
bool copy_is_open(const struct copy *c);

/* Is the open file still at PATH? */
bool copy_is_in_place(const struct copy *c);

/*
 * Reads part of the file, not from a cache, for some milliseconds at most. If it is called each
 * second, it reads all of the file in turns. COPY_DAMAGED if that fails.
 */
enum copy_status copy_examine(struct copy *c);

/* The caller may change it between copy_begin() and copy_commit(), which writes it. */
struct copy_state *copy_state(struct copy *c);

/* How many events it has. */
int64_t copy_rows(const struct copy *c);

/* The newest event's id, and a hash of it; 0 if there is none. */
enum copy_status copy_newest(struct copy *c, int64_t *id, uint64_t *hash);
/* The same hash, of an event from the source. */
uint64_t copy_hash(const struct change *event);
enum copy_status copy_has(struct copy *c, int64_t id, bool *has);

/*
 * Was there ever an event with an id from `first` to `last`? One that the source deleted does not
 * count.
 */
enum copy_status copy_had(struct copy *c, int64_t first, int64_t last, bool *had);
/* The base of the last takeover, up to this number, of which all readers were told; 0: none. */
enum copy_status copy_told(struct copy *c, int64_t number, int64_t *base);

/* A transaction: any number of changes, in any order; all or nothing. */
enum copy_status copy_begin(struct copy *c);
enum copy_status copy_apply(struct copy *c, const struct change *change);
/* Deletes the events from `first` to `last`, which never were. Readers before `last` get a gap. */
enum copy_status copy_take_back(struct copy *c, int64_t first, int64_t last);
enum copy_status copy_commit(struct copy *c);
void copy_rollback(struct copy *c);
bool copy_in_transaction(const struct copy *c);

/*
 * Deletes some of the events above the newest keep_rows (0: all are kept), and of those made before
 * `oldest` ("2026-01-31T…Z"; NULL: of any age). *more: there are further ones. A transaction of its
 * own. Called each second, it also finds old events after younger ones: it reads the file in turns.
 * With `all` it reads the whole file at once.
 */
enum copy_status copy_prune(
	struct copy *c, int64_t keep_rows, const char *oldest, bool all, bool *more);

/*
 * A new file: copy_make() begins PATH.new, copy_add() fills it in, copy_replace() puts it in the
 * place of PATH, which is closed, and opens it. copy_unmake() drops it.
 */
enum copy_status copy_make(struct copy *c);
enum copy_status copy_add(struct copy *c, const struct change *change);
enum copy_status copy_replace(struct copy *c, const struct copy_state *state);
void copy_unmake(struct copy *c);

#endif
