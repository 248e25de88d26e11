#include "publish/store.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"

enum {
	SLEEP_US = 500, /* between two tries to get a lock */
	WAIT_SHORT_MS = 20, /* after a wait in vain, the others who wait are answered soon */
	MINUTE_S = 60,
};

struct store {
	const char *path;
	sqlite3 *db;
	sqlite3_stmt *insert;
	struct stat file; /* what is open */
	int64_t wait_ms;
	int64_t until_us; /* the end of the present wait */
	int64_t impatient_us; /* waits are short until then */
};

static int wait_for_lock(void *context, int tries)
{
	const struct store *s = context;

	if (clock_us() >= s->until_us)
		return 0;
	usleep(SLEEP_US);
	return 1;
}

static void begin_wait(struct store *s)
{
	int64_t now_us = clock_us();
	int64_t ms =
		now_us < s->impatient_us && s->wait_ms > WAIT_SHORT_MS ? WAIT_SHORT_MS : s->wait_ms;

	s->until_us = now_us + ms * 1000;
}

static void end_wait(struct store *s, bool in_vain)
{
	s->impatient_us = in_vain ? clock_us() + s->wait_ms * 1000 : 0;
}

struct store *store_new(const char *path, int64_t wait_ms)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s) {
		s->path = path;
		s->wait_ms = wait_ms;
	}
	return s;
}

static void close_database(struct store *s)
{
	sqlite3_finalize(s->insert);
	sqlite3_close_v2(s->db);
	s->insert = NULL;
	s->db = NULL;
}

void store_free(struct store *s)
{
	if (s)
		close_database(s);
	free(s);
}

static void say(char *sentence, const char *text)
{
	snprintf(sentence, STORE_SENTENCE_MAX, "%s", text);
}

static enum store_status fault(struct store *s, char *sentence, const char *text)
{
	log_error("%s: %s (%s)", s->path, text, s->db ? sqlite3_errmsg(s->db) : "not open");
	say(sentence, text);
	return STORE_FAULT;
}

static enum store_status no_memory(char *sentence)
{
	say(sentence, "there is no memory left for this request; try again later");
	return STORE_BUSY;
}

/* What a failed call means, and what to do. */
static enum store_status failed(struct store *s, int code, char *sentence)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		say(sentence, "the database is locked by another writer; try again later");
		return STORE_BUSY;
	case SQLITE_NOMEM:
		return no_memory(sentence);
	case SQLITE_FULL:
		log_error("%s: the disk, or the database, is full: nothing can be published",
			s->path);
		say(sentence,
			"the server's disk is full, so nothing can be published; the administrator "
			"has to make room");
		return STORE_FULL;
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
		snprintf(sentence, STORE_SENTENCE_MAX, "%s", sqlite3_errmsg(s->db));
		return STORE_REFUSED;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return fault(s, sentence,
			"the database cannot be written by rowtail-publish: its user needs write "
			"permission "
			"for the file and its directory, on a file system that is not read-only");
	case SQLITE_CANTOPEN:
		return fault(s, sentence,
			"the database cannot be opened: check the path, and that rowtail-publish's "
			"user may "
			"write in its directory");
	case SQLITE_ERROR:
		return fault(s, sentence,
			"the tables are not those that schema/rowtail.sql makes; to create them: "
			"sqlite3 "
			"DATABASE < schema/rowtail.sql");
	default:
		return fault(s, sentence,
			"the database cannot be read or written: it is damaged, or its disk fails");
	}
}

static bool is_same_file(const struct store *s)
{
	struct stat now;

	return stat(s->path, &now) == 0 && now.st_dev == s->file.st_dev &&
	       now.st_ino == s->file.st_ino;
}

static int run(struct store *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

/* Calls what SQLite says when it is not open yet. */
static enum store_status not_opened(struct store *s, int code, char *sentence)
{
	enum store_status status = failed(s, code, sentence);

	close_database(s);
	return status;
}

static enum store_status open_database(struct store *s, char *sentence)
{
	int code;

	if (stat(s->path, &s->file) < 0)
		return failed(s, SQLITE_CANTOPEN, sentence);
	code = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!s->db)
		return no_memory(sentence);
	if (code == SQLITE_OK) {
		sqlite3_busy_handler(s->db, wait_for_lock, s);
		begin_wait(s);
		code = run(s, "PRAGMA synchronous = EXTRA; PRAGMA foreign_keys = ON;"
			      "SELECT 1 FROM main.sqlite_master LIMIT 1");
	}
	if (code == SQLITE_OK && sqlite3_db_readonly(s->db, "main"))
		code = SQLITE_READONLY;
	/* Somebody may have replaced it meanwhile. */
	if (code == SQLITE_OK && !is_same_file(s))
		code = SQLITE_BUSY;
	return code == SQLITE_OK ? STORE_DONE : not_opened(s, code, sentence);
}

enum store_status store_open(struct store *s, char sentence[STORE_SENTENCE_MAX])
{
	if (s->db && !is_same_file(s))
		close_database(s);
	return s->db ? STORE_DONE : open_database(s, sentence);
}

/* --- inside the transaction --- */

/* A query with at most two texts and a number. Its row, if any, is read before the caller finalizes it. */
static int query(struct store *s, sqlite3_stmt **st, const char *sql, const char *first,
	const char *second, int64_t number)
{
	int code = sqlite3_prepare_v2(s->db, sql, -1, st, NULL);

	if (code == SQLITE_OK && first)
		code = sqlite3_bind_text(*st, 1, first, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && second)
		code = sqlite3_bind_text(*st, 2, second, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && sqlite3_bind_parameter_count(*st) > 2)
		code = sqlite3_bind_int64(*st, 3, number);
	return code == SQLITE_OK ? sqlite3_step(*st) : code;
}

/* Runs a statement without a result. */
static enum store_status change(struct store *s, const char *sql, const char *first,
	const char *second, int64_t number, char *sentence)
{
	sqlite3_stmt *st = NULL;
	int code = query(s, &st, sql, first, second, number);
	enum store_status status = code == SQLITE_DONE ? STORE_DONE : failed(s, code, sentence);

	sqlite3_finalize(st);
	return status;
}

/* rowtail-mirror would delete what is published into its copy. */
static enum store_status refuse_copy(struct store *s, char *sentence)
{
	sqlite3_stmt *st = NULL;
	int code = query(s, &st, "SELECT 1 FROM main.sqlite_master WHERE name = 'rowtail_mirror'",
		NULL, NULL, 0);
	enum store_status status = STORE_DONE;

	if (code == SQLITE_ROW)
		status = fault(s, sentence,
			"this database is a copy that rowtail-mirror keeps; publish into the "
			"PostgreSQL "
			"database that it is a copy of");
	else if (code != SQLITE_DONE)
		status = failed(s, code, sentence);
	sqlite3_finalize(st);
	return status;
}

/* Was the key used before? STORE_DONE: no. */
static enum store_status look_up_key(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	sqlite3_stmt *st = NULL;
	enum store_status status = STORE_DONE;
	int code;

	if (!ask->key)
		return STORE_DONE;
	code = query(s, &st,
		"SELECT fingerprint = ?2, answer FROM main.publish_keys WHERE key = ?1", ask->key,
		ask->fingerprint, 0);
	if (code == SQLITE_ROW && !sqlite3_column_int(st, 0)) {
		say(result->sentence,
			"this Idempotency-Key was used for another request; use a new key for "
			"each request");
		status = STORE_KEY_REUSED;
	} else if (code == SQLITE_ROW) {
		const char *answer = (const char *)sqlite3_column_text(st, 1);

		snprintf(result->answer, sizeof(result->answer), "%s", answer ? answer : "");
		status = answer ? STORE_REPEATED : no_memory(result->sentence);
	} else if (code != SQLITE_DONE) {
		status = failed(s, code, result->sentence);
	}
	sqlite3_finalize(st);
	return status;
}

static enum store_status check_rate(
	struct store *s, const struct store_rate *rate, size_t count, struct store_result *result)
{
	int64_t now_s = clock_unix(), used = 0;
	sqlite3_stmt *st = NULL;
	int code;

	if (!rate->most)
		return STORE_DONE;
	code = query(s, &st,
		"SELECT messages, ?2 FROM main.publish_rates WHERE name = ?1 AND minute = ?3",
		rate->name, NULL, now_s / MINUTE_S);
	if (code == SQLITE_ROW)
		used = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return failed(s, code, result->sentence);
	if ((int64_t)count <= rate->most - used)
		return STORE_DONE;
	result->retry_after_s = (int)(MINUTE_S - now_s % MINUTE_S);
	snprintf(result->sentence, sizeof(result->sentence),
		(int64_t)count > rate->most ? "this server takes at most %" PRId64
					      " messages a minute; send fewer at once"
					    : "this server takes at most %" PRId64
					      " messages a minute from you; try again later",
		rate->most);
	return STORE_TOO_MANY;
}

/* Counts the messages in this minute, and forgets earlier minutes. */
static enum store_status count_rate(
	struct store *s, const struct store_rate *rate, size_t count, struct store_result *result)
{
	static const char forget[] =
		"DELETE FROM main.publish_rates WHERE minute < ?3 + 0 * ?1 + 0 * ?2";
	static const char make[] = "INSERT OR IGNORE INTO main.publish_rates(name, minute, "
				   "messages) SELECT ?1, ?3, 0 + 0 * ?2";
	char add[160], minute[24];
	enum store_status status;

	if (!rate->most)
		return STORE_DONE;
	snprintf(minute, sizeof(minute), "%" PRId64, clock_unix() / MINUTE_S);
	snprintf(add, sizeof(add),
		"UPDATE main.publish_rates SET messages = messages + ?3 WHERE name = ?1 AND minute "
		"= "
		"CAST(?2 AS INTEGER)");
	status = change(s, forget, "", "", clock_unix() / MINUTE_S, result->sentence);
	if (status == STORE_DONE)
		status = change(s, make, rate->name, "", clock_unix() / MINUTE_S, result->sentence);
	if (status == STORE_DONE)
		status = change(s, add, rate->name, minute, (int64_t)count, result->sentence);
	return status;
}

static int bind_message(sqlite3_stmt *st, const struct message *m)
{
	int code = sqlite3_bind_text(st, 1, m->channel.text, (int)m->channel.length, SQLITE_STATIC);

	if (code == SQLITE_OK)
		code = m->event.text ? sqlite3_bind_text(st, 2, m->event.text, (int)m->event.length,
					       SQLITE_STATIC)
				     : sqlite3_bind_null(st, 2);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 3, m->data.text, (int)m->data.length, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = m->retry_ms >= 0 ? sqlite3_bind_int64(st, 4, m->retry_ms)
					: sqlite3_bind_null(st, 4);
	return code;
}

/* Was the message refused because its channel has ended? */
static bool has_ended(struct store *s, const struct message *m)
{
	sqlite3_stmt *st = NULL;
	bool ended = false;

	if (sqlite3_prepare_v2(s->db, "SELECT 1 FROM main.events_ended WHERE channel = ?1", -1, &st,
		    NULL) == SQLITE_OK &&
		sqlite3_bind_text(st, 1, m->channel.text, (int)m->channel.length, SQLITE_STATIC) ==
			SQLITE_OK)
		ended = sqlite3_step(st) == SQLITE_ROW;
	sqlite3_finalize(st);
	return ended;
}

static enum store_status insert(struct store *s, const struct message *m, char *sentence)
{
	enum store_status status;
	int code = SQLITE_OK;

	if (!s->insert)
		code = sqlite3_prepare_v2(s->db,
			"INSERT INTO main.events(channel, event, data, retry) VALUES (?1, ?2, ?3, "
			"?4)",
			-1, &s->insert, NULL);
	if (code == SQLITE_OK)
		code = bind_message(s->insert, m);
	if (code == SQLITE_OK)
		code = sqlite3_step(s->insert);
	status = code == SQLITE_DONE ? STORE_DONE : failed(s, code, sentence);
	if (s->insert) {
		sqlite3_reset(s->insert);
		sqlite3_clear_bindings(s->insert);
	}
	return status == STORE_REFUSED && has_ended(s, m) ? STORE_ENDED : status;
}

static enum store_status insert_all(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	size_t at = (size_t)snprintf(result->answer, sizeof(result->answer), "{\"ids\":[");

	for (size_t i = 0; i < ask->count; i++) {
		enum store_status status = insert(s, &ask->message[i], result->sentence);

		if (status != STORE_DONE)
			return status;
		at += (size_t)snprintf(result->answer + at, sizeof(result->answer) - at, "%s%lld",
			i ? "," : "", (long long)sqlite3_last_insert_rowid(s->db));
	}
	snprintf(result->answer + at, sizeof(result->answer) - at, "]}");
	return STORE_DONE;
}

/* Keeps the answer under the key, and forgets the oldest keys. */
static enum store_status keep_key(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	sqlite3_stmt *st = NULL;
	enum store_status status;
	int code;

	if (!ask->key)
		return STORE_DONE;
	code = sqlite3_prepare_v2(s->db,
		"INSERT INTO main.publish_keys(key, fingerprint, answer) VALUES (?1, ?2, ?3)", -1,
		&st, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 1, ask->key, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 2, ask->fingerprint, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 3, result->answer, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	status = code == SQLITE_DONE ? STORE_DONE : failed(s, code, result->sentence);
	sqlite3_finalize(st);
	if (status == STORE_DONE)
		status = change(s,
			"DELETE FROM main.publish_keys WHERE n <= last_insert_rowid() - ?3 + 0 * "
			"?1 + 0 * ?2",
			"", "", STORE_KEYS_MAX, result->sentence);
	return status;
}

static enum store_status put_inside(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	enum store_status status = refuse_copy(s, result->sentence);

	if (status == STORE_DONE)
		status = look_up_key(s, ask, result);
	for (size_t i = 0; i < STORE_RATES && status == STORE_DONE; i++)
		status = check_rate(s, &ask->rate[i], ask->count, result);
	if (status == STORE_DONE)
		status = insert_all(s, ask, result);
	if (status == STORE_DONE)
		status = keep_key(s, ask, result);
	for (size_t i = 0; i < STORE_RATES && status == STORE_DONE; i++)
		status = count_rate(s, &ask->rate[i], ask->count, result);
	return status;
}

static void roll_back(struct store *s)
{
	/* Some failures have ended the transaction already. */
	if (s->db && !sqlite3_get_autocommit(s->db))
		run(s, "ROLLBACK");
}

static enum store_status commit(struct store *s, char *sentence)
{
	int code = run(s, "COMMIT");

	if (code != SQLITE_OK)
		return failed(s, code, sentence);
	if (is_same_file(s))
		return STORE_DONE;
	/* Nobody will read the file that has the rows. */
	say(sentence, "the database was replaced meanwhile, so the message is lost; send it again");
	return STORE_BUSY;
}

enum store_status store_put(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	enum store_status status;
	int code;

	memset(result, 0, sizeof(*result));
	if ((status = store_open(s, result->sentence)) != STORE_DONE)
		return status;
	begin_wait(s);
	code = run(s, "BEGIN IMMEDIATE");
	status = code == SQLITE_OK ? put_inside(s, ask, result) : failed(s, code, result->sentence);
	if (status == STORE_DONE)
		status = commit(s, result->sentence);
	roll_back(s);
	end_wait(s, status == STORE_BUSY);
	/* Such as after a disk came back: begin anew. */
	if (status == STORE_FAULT)
		close_database(s);
	return status;
}

enum store_status store_try(struct store *s, char sentence[STORE_SENTENCE_MAX])
{
	enum store_status status = store_open(s, sentence);
	int code;

	if (status != STORE_DONE)
		return status;
	begin_wait(s);
	code = run(s, "BEGIN IMMEDIATE");
	if (code == SQLITE_OK)
		code = run(s, "SELECT channel, event, data, retry FROM main.events LIMIT 0;"
			      "SELECT subject, channel, expires_at FROM main.publishers LIMIT 0;"
			      "SELECT n, key, fingerprint, answer FROM main.publish_keys LIMIT 0;"
			      "SELECT name, minute, messages FROM main.publish_rates LIMIT 0");
	status = code == SQLITE_OK ? refuse_copy(s, sentence) : failed(s, code, sentence);
	roll_back(s);
	end_wait(s, status == STORE_BUSY);
	return status;
}
