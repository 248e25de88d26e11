/*
 * What store.c (the connection, the wait for a lock, what errors mean) and store_put.c (what
 * happens inside a transaction) share. For these two only.
 */
#ifndef ROWTAIL_PUBLISH_STORE_IMPL_H
#define ROWTAIL_PUBLISH_STORE_IMPL_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "publish/store.h"

struct store {
	const char *path;
	sqlite3 *db;
	sqlite3_stmt *insert;
	struct stat file; /* what is open */
	int64_t wait_ms;
	int64_t until_us; /* the end of the present wait */
	int64_t impatient_us; /* waits are short until then */
};

/* Writes a text into sentence[STORE_SENTENCE_MAX]. */
void store_say(char *sentence, const char *text);

/* What a failed call means: fills sentence, and logs what the administrator has to act on. */
enum store_status store_failed(struct store *s, int code, char *sentence);

/* STORE_FAULT: logs the text with SQLite's own message, and writes it into sentence. */
enum store_status store_fault(struct store *s, char *sentence, const char *text);

/* STORE_BUSY. */
enum store_status store_no_memory(char *sentence);

/* STORE_DONE if the database is not a copy that rowtail-mirror keeps. */
enum store_status store_refuse_copy(struct store *s, char *sentence);

/* Inserts all messages, stores the answer under the key, and counts, in the open transaction. */
enum store_status store_put_inside(
	struct store *s, const struct store_ask *ask, struct store_result *result);

#endif
