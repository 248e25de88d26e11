#include "publish/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "publish/store_impl.h"

enum {
	SLEEP_US = 500, /* between two tries to get a lock */
	WAIT_SHORT_MS = 20, /* after a wait in vain, the others who wait are answered soon */
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

void store_say(char *sentence, const char *text)
{
	snprintf(sentence, STORE_SENTENCE_MAX, "%s", text);
}

enum store_status store_fault(struct store *s, char *sentence, const char *text)
{
	log_error("%s: %s (%s)", s->path, text, s->db ? sqlite3_errmsg(s->db) : "not open");
	store_say(sentence, text);
	return STORE_FAULT;
}

enum store_status store_no_memory(char *sentence)
{
	store_say(sentence, "there is no memory left for this request; try again later");
	return STORE_BUSY;
}

/* What a failed call means, and what to do. */
enum store_status store_failed(struct store *s, int code, char *sentence)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		store_say(sentence, "the database is locked by another writer; try again later");
		return STORE_BUSY;
	case SQLITE_NOMEM:
		return store_no_memory(sentence);
	case SQLITE_FULL:
		log_error("%s: the disk, or the database, is full: nothing can be published",
			s->path);
		store_say(sentence,
			"the server's disk is full, so nothing can be published; the administrator "
			"has to make room");
		return STORE_FULL;
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
		snprintf(sentence, STORE_SENTENCE_MAX, "%s", sqlite3_errmsg(s->db));
		return STORE_REFUSED;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return store_fault(s, sentence,
			"the database cannot be written by rowtail-publish: its user needs write "
			"permission "
			"for the file and its directory, on a file system that is not read-only");
	case SQLITE_CANTOPEN:
		return store_fault(s, sentence,
			"the database cannot be opened: check the path, and that rowtail-publish's "
			"user may "
			"write in its directory");
	case SQLITE_ERROR:
		return store_fault(s, sentence,
			"the tables are not those that schema/rowtail.sql makes; to create them: "
			"sqlite3 "
			"DATABASE < schema/rowtail.sql");
	default:
		return store_fault(s, sentence,
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

/* What a failure to open means. Closes the database. */
static enum store_status not_opened(struct store *s, int code, char *sentence)
{
	enum store_status status = store_failed(s, code, sentence);

	close_database(s);
	return status;
}

static enum store_status open_database(struct store *s, char *sentence)
{
	int code;

	if (stat(s->path, &s->file) < 0)
		return store_failed(s, SQLITE_CANTOPEN, sentence);
	code = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!s->db)
		return store_no_memory(sentence);
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
		return store_failed(s, code, sentence);
	if (is_same_file(s))
		return STORE_DONE;
	/* The rows are in a file that nobody reads any more. */
	store_say(sentence,
		"the database was replaced meanwhile, so the message is lost; send it again");
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
	status = code == SQLITE_OK ? store_put_inside(s, ask, result)
				   : store_failed(s, code, result->sentence);
	if (status == STORE_DONE)
		status = commit(s, result->sentence);
	roll_back(s);
	end_wait(s, status == STORE_BUSY);
	/* Open it again next time: an unmounted disk may have come back, for example. */
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
		code = run(s,
			"SELECT channel, event, data, retry FROM main.events LIMIT 0;"
			"SELECT n, key, fingerprint, answer FROM main.rowtail_publish_keys LIMIT 0;"
			"SELECT name, minute, messages FROM main.rowtail_publish_rates LIMIT 0");
	status = code == SQLITE_OK ? store_refuse_copy(s, sentence)
				   : store_failed(s, code, sentence);
	roll_back(s);
	end_wait(s, status == STORE_BUSY);
	return status;
}

enum store_status store_try_publishers(struct store *s, char sentence[STORE_SENTENCE_MAX])
{
	sqlite3_stmt *st = NULL;
	int code;

	begin_wait(s);
	if (run(s, "SELECT subject, channel, expires_at FROM main.publishers LIMIT 0") == SQLITE_OK)
		return STORE_DONE;
	code = sqlite3_prepare_v2(s->db,
		"SELECT 1 FROM main.sqlite_master WHERE lower(name) = 'publishers'", -1, &st, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	sqlite3_finalize(st);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return store_failed(s, code, sentence);
	store_say(sentence,
		code == SQLITE_ROW
			? "the table publishers is the application's own (it has no columns "
			  "subject, channel and expires_at), so only a JWT's claim publish can "
			  "allow publishing; to use rowtail's table, keep the log in a database of "
			  "its own"
			: "there is no table publishers, so only a JWT's claim publish can allow "
			  "publishing; to create it: sqlite3 DATABASE < schema/rowtail.sql");
	return STORE_FAULT;
}
