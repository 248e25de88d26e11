/*
 * store: writes messages into the event log, each request in one transaction.
 *
 * Includes <sqlite3.h>, as log/database.c does. Owns the writing connection. A commit is durable
 * when store_put() returns STORE_DONE: synchronous is EXTRA, which in WAL mode is FULL, so SQLite
 * syncs the write-ahead log before COMMIT returns, and in rollback mode the directory too. Blocks
 * while the database is locked, for wait_ms.
 */
#ifndef ROWTAIL_STORE_H
#define ROWTAIL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "publish/submission.h"

enum {
	STORE_ANSWER_MAX = 20 * SUBMISSION_MESSAGES_MAX + 32,
	STORE_SENTENCE_MAX = 512,
	STORE_KEYS_MAX = 10000, /* remembered; older ones are forgotten */
	STORE_RATES = 2,
};

struct store;

enum store_status {
	STORE_DONE,
	STORE_REPEATED, /* the key was used for the same messages: the answer is the first one */
	STORE_REFUSED, /* the schema, or an application's trigger or constraint, says why */
	STORE_ENDED, /* the channel has ended */
	STORE_KEY_REUSED, /* with other messages */
	STORE_TOO_MANY, /* over a rate */
	STORE_BUSY, /* locked, or there is no memory */
	STORE_FULL, /* the disk */
	STORE_FAULT, /* the administrator has to do something; it was logged */
};

/* At most `most` messages a minute under this name, which is a hash. most 0: no limit. */
struct store_rate {
	const char *name;
	int64_t most;
};

struct store_ask {
	const struct message *message;
	size_t count;
	/* Hashes of the Idempotency-Key and of the messages; NULL: none. */
	const char *key, *fingerprint;
	struct store_rate rate[STORE_RATES];
};

struct store_result {
	char answer[STORE_ANSWER_MAX]; /* STORE_DONE, STORE_REPEATED: {"ids":[1,2]} */
	char sentence[STORE_SENTENCE_MAX]; /* otherwise: for the client */
	int retry_after_s; /* STORE_TOO_MANY */
};

/* Borrows path for good. Opens nothing yet. NULL if there is no memory. */
struct store *store_new(const char *path, int64_t wait_ms);
void store_free(struct store *s);

/*
 * Opens the database if it is closed, or if the path leads to another file now. Fills sentence, and
 * logs, if not.
 */
enum store_status store_open(struct store *s, char sentence[STORE_SENTENCE_MAX]);

/* Publishes all messages or none. */
enum store_status store_put(
	struct store *s, const struct store_ask *ask, struct store_result *result);

/* Can the database be written now? For --check and the health page. Writes nothing. */
enum store_status store_try(struct store *s, char sentence[STORE_SENTENCE_MAX]);

/*
 * STORE_DONE if the table publishers is rowtail's. Without it only a JWT can allow publishing. Call
 * it after store_try().
 */
enum store_status store_try_publishers(struct store *s, char sentence[STORE_SENTENCE_MAX]);

#endif
