/*
 * source: the log in its database server: connect, wait, changes after a number.
 *
 * Owns one connection and its state. Never blocks, but for the look-up of a host's name. Everything
 * that is PostgreSQL's is in postgresql.c and the files of its family, which alone include
 * <libpq-fe.h>: another server needs another such family. Never logs, and no sentence holds a
 * password.
 *
 * One question is asked at a time: source_ask(), then `change` for each row of the answer, then
 * `answered` or `failed`. After `failed` with SOURCE_LOST the connection is closed.
 */
#ifndef ROWTAIL_MIRROR_SOURCE_H
#define ROWTAIL_MIRROR_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mirror/change.h"

struct source;

enum source_failure {
	SOURCE_LOST, /* not connected: unreachable, refused, cut, silent for too long */
	SOURCE_REFUSED, /* connected; the question failed: no such table, no permission */
};

struct source_calls {
	void (*ready)(void *context); /* connected; it may be asked now */
	void (*change)(void *context, const struct change *change);
	void (*answered)(void *context);
	void (*failed)(void *context, enum source_failure failure, const char *sentence);
	void (*noticed)(void *context); /* somebody has committed something */
};

enum source_question {
	SOURCE_STATE, /* CHANGE_LOG alone */
	SOURCE_VERSION, /* the same; its number is the version of schema/postgresql.sql */
	SOURCE_LOOK, /* all changes above number a; CHANGE_LOG has no number */
	SOURCE_LOOK_WHOLE, /* the same, with that number */
	SOURCE_SIZE, /* a: how many of the newest, 0: all; b: how old in ms at most, 0: any */
	SOURCE_ALL, /* the whole log: events above id a, marks, grants, ends; b: so many, 0: all */
	SOURCE_EVENT, /* the event with id a, if there is one */
	SOURCE_TELL_LOST, /* rows before base a were taken back: tells the other mirrors */
	SOURCE_LISTEN, /* from now on `noticed` is called */
	SOURCE_QUESTIONS,
};

/*
 * Can the text be used to connect? If not, writes a sentence that says what would be right, which
 * quotes nothing of the text. A password is refused: everybody can read a command line.
 */
bool source_is_good(const char *text, char *sentence, size_t size);

/* Borrows text and calls for good; source_is_good(text). NULL if there is no memory. */
struct source *source_new(const char *text, const struct source_calls *calls, void *context);

/* Begins to connect. Does nothing unless the source is closed. */
void source_connect(struct source *s);
void source_close(struct source *s);

/* The next source_connect() begins with the host after the current one. */
void source_pass_over_host(struct source *s);
/* The next one begins with the first host again. */
void source_first_host(struct source *s);

/* Asks a question; a and b: see there. Does nothing unless connected, and while one is open. */
void source_ask(struct source *s, enum source_question question, int64_t a, int64_t b);

/* Is a question open? */
bool source_is_asking(const struct source *s);

/* "db1.example:5432/app", of the current or the last connection. "" before the first. Borrowed. */
const char *source_where(const struct source *s);

/* The client library's version, as text. */
const char *source_version(void);

#endif
