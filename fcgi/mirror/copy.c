#include "mirror/copy_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "mirror/schema.h"

enum {
	BUSY_MS = 500, /* how long somebody else's transaction may delay the loop */
	EXAMINE_ROWS = 1000, /* of these bounds on one call, the first ends it */
	EXAMINE_BYTES = 1 << 20,
	EXAMINE_US = 2000,
	EXAMINE_PAUSE_MS = 5000, /* after all of the file was read, before it is read again */
	CHECKED_BYTES = 1 << 30, /* a larger file is not checked as a whole at the start */
};

/* The triggers look at `writing`, which is 1 only inside a transaction of the mirror. */
#define REFUSE(name, action, table)                                                                \
	"CREATE TRIGGER rowtail_mirror_" name " BEFORE " action " ON " table                       \
	" WHEN NOT EXISTS (SELECT 1 FROM rowtail_mirror WHERE writing = 1) BEGIN SELECT "          \
	"RAISE(ABORT, '" table ": this is a copy of a log in PostgreSQL, which rowtail-mirror "    \
	"keeps; change it there'); END;"

static const char tables[] =
	"CREATE TABLE IF NOT EXISTS rowtail_mirror("
	"one INTEGER PRIMARY KEY CHECK (one = 1), token TEXT, timeline INTEGER, cursor INTEGER, "
	"changed INTEGER, looks INTEGER, fresh_ms INTEGER, behind INTEGER, lost_base INTEGER, "
	"max_stale_ms INTEGER, source TEXT, writing INTEGER);"
	"CREATE TABLE IF NOT EXISTS rowtail_mirror_timelines(base INTEGER PRIMARY KEY, after "
	"INTEGER);"
	"INSERT OR IGNORE INTO rowtail_mirror VALUES (1, '', 0, 0, 0, 0, 0, 0, 0, 0, '', "
	"0);" REFUSE("insert", "INSERT", "events") REFUSE("grant", "INSERT", "grants")
		REFUSE("regrant", "UPDATE", "grants")
			REFUSE("revoke", "DELETE", "grants") "COMMIT;";

/* PostgreSQL checks and numbers the rows. The triggers that mark deleted rows stay. */
enum copy_status copy_drop_triggers(struct copy *c, sqlite3 *db)
{
	static const char sql[] = "SELECT 'DROP TRIGGER \"' || name || '\"' FROM sqlite_master "
				  "WHERE type = 'trigger' "
				  "AND lower(tbl_name) IN ('events', 'grants', 'events_ended') AND "
				  "lower(name) NOT IN "
				  "('events_deleted', 'events_row_is_final') LIMIT 1";
	enum copy_status s = COPY_OK;
	char drop[256] = "";
	sqlite3_stmt *st;

	do {
		if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
			return copy_fail(c, db, "read");
		*drop = '\0';
		if (sqlite3_step(st) == SQLITE_ROW)
			snprintf(
				drop, sizeof(drop), "%s", (const char *)sqlite3_column_text(st, 0));
		sqlite3_finalize(st);
		if (*drop)
			s = copy_run(c, db, drop);
	} while (s == COPY_OK && *drop);
	return s;
}

enum copy_status copy_set_up(struct copy *c, sqlite3 *db)
{
	enum copy_status s = copy_run(c, db, "BEGIN IMMEDIATE");

	if (s == COPY_OK)
		s = copy_drop_triggers(c, db);
	if (s == COPY_OK)
		s = copy_run(c, db, tables);
	if (s != COPY_OK && !sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return s;
}

struct copy *copy_new(const char *path)
{
	struct copy *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->path = path;
	c->lock = -1;
	copy_resolve(path, c->real);
	return c;
}

const char *copy_path(const struct copy *c)
{
	return c->real;
}

const char *copy_error(const struct copy *c)
{
	return c->error;
}

struct copy_state *copy_state(struct copy *c)
{
	return &c->state;
}

int64_t copy_rows(const struct copy *c)
{
	return c->rows;
}

static enum copy_status meaning(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return COPY_OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return COPY_BUSY;
	case SQLITE_FULL:
		return COPY_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT: /* a row is there that should not be */
	case SQLITE_ERROR: /* a table or column is missing */
		return COPY_DAMAGED;
	default:
		return COPY_FAULT;
	}
}

enum copy_status copy_fail(struct copy *c, sqlite3 *db, const char *what)
{
	int code = sqlite3_extended_errcode(db), error = sqlite3_system_errno(db);
	bool system = error && ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR);

	snprintf(c->error, sizeof(c->error), "%.200s cannot be %s: %.200s%s%s", c->path, what,
		sqlite3_errmsg(db), system ? ": " : "", system ? strerror(error) : "");
	if (system && error == ENOSPC)
		return COPY_FULL;
	return meaning(code);
}

enum copy_status copy_run(struct copy *c, sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? COPY_OK
								    : copy_fail(c, db, "written");
}

void copy_file_close(struct copy_file *file)
{
	for (int i = 0; i < DO_COUNT; i++)
		sqlite3_finalize(file->st[i]);
	sqlite3_close(file->db);
	memset(file, 0, sizeof(*file));
}

void copy_close(struct copy *c)
{
	copy_file_close(&c->file);
}

bool copy_is_open(const struct copy *c)
{
	return c->file.db;
}

/* Runs a query whose first column is wanted. SQLITE_ROW, SQLITE_DONE, or an error. */
static int ask(sqlite3 *db, const char *sql, int64_t *number)
{
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (code == SQLITE_OK && (code = sqlite3_step(st)) == SQLITE_ROW)
		*number = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return code;
}

static void take_text(char *to, size_t size, sqlite3_stmt *st, int column)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	snprintf(to, size, "%s", text ? (const char *)text : "");
}

static int read_state(sqlite3 *db, struct copy_state *state)
{
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(db,
		"SELECT timeline, cursor, changed, looks, fresh_ms, behind, lost_base, token, "
		"source FROM rowtail_mirror",
		-1, &st, NULL);

	if (code == SQLITE_OK && (code = sqlite3_step(st)) == SQLITE_ROW) {
		state->timeline = sqlite3_column_int64(st, 0);
		state->cursor = sqlite3_column_int64(st, 1);
		state->changed = sqlite3_column_int64(st, 2);
		state->looks = sqlite3_column_int64(st, 3);
		state->fresh_ms = sqlite3_column_int64(st, 4);
		state->behind = sqlite3_column_int64(st, 5);
		state->lost_base = sqlite3_column_int64(st, 6);
		take_text(state->token, sizeof(state->token), st, 7);
		take_text(state->where, sizeof(state->where), st, 8);
	}
	sqlite3_finalize(st);
	return code;
}

/* Is the structure of the file as it should be? */
static bool is_sound(sqlite3 *db, int64_t bytes)
{
	sqlite3_stmt *st;
	bool sound;

	if (bytes > CHECKED_BYTES)
		return true;
	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK)
		return false;
	sound = sqlite3_step(st) == SQLITE_ROW &&
		!strcmp((const char *)sqlite3_column_text(st, 0), "ok");
	sqlite3_finalize(st);
	return sound;
}

/* A readable database without our table is somebody else's; an unreadable one may be ours. */
static enum copy_status judge(struct copy *c, int code)
{
	enum copy_status s = copy_fail(c, c->file.db, "read");

	if (s != COPY_OK && s != COPY_DAMAGED)
		return s;
	if (s == COPY_DAMAGED && (code & 0xff) != SQLITE_ERROR && copy_is_signed(c))
		return COPY_DAMAGED;
	snprintf(c->error, sizeof(c->error),
		"%.300s is no copy that rowtail-mirror made; name another --db, or move this file "
		"away",
		c->path);
	return COPY_FOREIGN;
}

static enum copy_status check(struct copy *c, int64_t bytes)
{
	sqlite3 *db = c->file.db;
	enum copy_status s;
	int code = read_state(db, &c->state);

	if (code != SQLITE_ROW)
		return judge(c, code);
	if (!is_sound(db, bytes)) {
		snprintf(c->error, sizeof(c->error), "%.300s is damaged", c->path);
		return COPY_DAMAGED;
	}
	s = copy_run(c, db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		"PRAGMA journal_size_limit = 67108864; PRAGMA recursive_triggers = ON;");
	if (s == COPY_OK)
		s = copy_set_up(c, db);
	if (s == COPY_OK)
		s = copy_prepare(c, &c->file);
	if (s == COPY_OK && !c->file.has_ends &&
		strstr(mirror_schema, "TABLE IF NOT EXISTS events_ended")) {
		snprintf(
			c->error, sizeof(c->error), "an older rowtail-mirror made %.300s", c->path);
		return COPY_DAMAGED;
	}
	if (s == COPY_OK && ask(db, "SELECT count(*) FROM events", &c->rows) != SQLITE_ROW)
		s = copy_fail(c, db, "read");
	return s;
}

/* To open a FIFO would block. */
static bool is_file(struct copy *c, const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return true;
	snprintf(c->error, sizeof(c->error), "%.300s is %s; give --db the path of a file", c->path,
		S_ISDIR(st->st_mode) ? "a directory" : "no regular file");
	return false;
}

enum copy_status copy_look(struct copy *c)
{
	enum copy_status s = COPY_OK;
	struct stat st;
	int code;

	if (stat(c->real, &st) == 0 && !is_file(c, &st))
		return COPY_FOREIGN;
	code = sqlite3_open_v2(
		c->real, &c->file.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		code = read_state(c->file.db, &c->state);
	if (code != SQLITE_ROW)
		s = judge(c, code);
	copy_close(c);
	return s;
}

enum copy_status copy_open(struct copy *c)
{
	struct stat st;
	enum copy_status s;

	if (stat(c->real, &st) < 0) {
		if (errno == ENOENT)
			return COPY_ABSENT;
		snprintf(c->error, sizeof(c->error), "%.300s cannot be read: %s", c->path,
			strerror(errno));
		return COPY_FAULT;
	}
	if (st.st_size == 0 && S_ISREG(st.st_mode))
		return COPY_ABSENT;
	/* Only now opens it for writing, since that alone may change a file. */
	if ((s = copy_look(c)) == COPY_FOREIGN)
		return s;
	if (sqlite3_open_v2(c->real, &c->file.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
		    NULL) != SQLITE_OK) {
		s = copy_fail(c, c->file.db, "opened");
		copy_close(c);
		return s;
	}
	sqlite3_busy_timeout(c->file.db, BUSY_MS);
	sqlite3_extended_result_codes(c->file.db, 1);
	c->is = st;
	c->examined = c->examine_ms = c->aged = 0;
	if ((s = check(c, st.st_size)) != COPY_OK)
		copy_close(c);
	else
		copy_sign(c);
	return s;
}

/* Reads rows after c->examined. SQLITE_ROW: a bound was reached; SQLITE_DONE: no more rows. */
static int examine_rows(struct copy *c, sqlite3 *db)
{
	int64_t rows = 0, bytes = 0, until_us = clock_us() + EXAMINE_US;
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(
		db, "SELECT id, data FROM events WHERE id > ?1 ORDER BY id", -1, &st, NULL);

	if (code == SQLITE_OK)
		sqlite3_bind_int64(st, 1, c->examined);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		if ((code = sqlite3_step(st)) != SQLITE_ROW)
			break;
		c->examined = sqlite3_column_int64(st, 0);
		bytes += sqlite3_column_text(st, 1) ? sqlite3_column_bytes(st, 1) : 0;
		if (++rows == EXAMINE_ROWS || bytes > EXAMINE_BYTES || clock_us() > until_us)
			break;
	}
	sqlite3_finalize(st);
	return code;
}

enum copy_status copy_examine(struct copy *c)
{
	enum copy_status s = COPY_OK;
	sqlite3 *db = NULL;
	int code;

	if (c->examined == 0 && clock_ms() < c->examine_ms)
		return COPY_OK;
	code = sqlite3_open_v2(c->real, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		code = examine_rows(c, db);
	if (code != SQLITE_ROW) {
		c->examined = 0;
		c->examine_ms = clock_ms() + EXAMINE_PAUSE_MS;
	}
	if (meaning(code) == COPY_DAMAGED)
		s = copy_fail(c, db, "read");
	sqlite3_close(db);
	return s;
}

/* FNV-1a. */
static void hash_bytes(uint64_t *hash, const void *bytes, size_t length)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < length; i++)
		*hash = (*hash ^ p[i]) * UINT64_C(1099511628211);
	*hash = (*hash ^ 0xff) * UINT64_C(1099511628211);
}

uint64_t copy_hash(const struct change *event)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	const struct change_text *texts[] = {
		&event->channel, &event->event, &event->data, &event->at};

	for (size_t i = 0; i < 4; i++)
		hash_bytes(&hash, texts[i]->at, texts[i]->length);
	return hash;
}

static struct change_text text_of(sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	return (struct change_text){text, (size_t)sqlite3_column_bytes(st, column)};
}

enum copy_status copy_newest(struct copy *c, int64_t *id, uint64_t *hash)
{
	struct change event = {.kind = CHANGE_EVENT};
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(c->file.db,
		"SELECT id, channel, event, data, created_at FROM events ORDER BY id DESC LIMIT 1",
		-1, &st, NULL);

	*id = 0;
	if (code == SQLITE_OK && (code = sqlite3_step(st)) == SQLITE_ROW) {
		*id = sqlite3_column_int64(st, 0);
		event.channel = text_of(st, 1);
		event.event = text_of(st, 2);
		event.data = text_of(st, 3);
		event.at = text_of(st, 4);
		*hash = copy_hash(&event);
	}
	sqlite3_finalize(st);
	return code == SQLITE_ROW || code == SQLITE_DONE ? COPY_OK
							 : copy_fail(c, c->file.db, "read");
}

/* A question with one or two numbers, whose answer is one number; 0 if there is no row. */
static enum copy_status ask_about(
	struct copy *c, const char *sql, int64_t first, int64_t last, int64_t *answer)
{
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(c->file.db, sql, -1, &st, NULL);

	*answer = 0;
	if (code == SQLITE_OK) {
		sqlite3_bind_int64(st, 1, first);
		sqlite3_bind_int64(st, 2, last);
		if ((code = sqlite3_step(st)) == SQLITE_ROW)
			*answer = sqlite3_column_int64(st, 0);
	}
	sqlite3_finalize(st);
	return code == SQLITE_ROW || code == SQLITE_DONE ? COPY_OK
							 : copy_fail(c, c->file.db, "read");
}

enum copy_status copy_has(struct copy *c, int64_t id, bool *has)
{
	int64_t answer;
	enum copy_status s = ask_about(c, "SELECT 1 FROM events WHERE id = ?1", id, 0, &answer);

	*has = answer;
	return s;
}

enum copy_status copy_had(struct copy *c, int64_t first, int64_t last, bool *had)
{
	int64_t answer;
	/* --keep-rows and --keep-seconds leave marks of what they deleted. */
	enum copy_status s = ask_about(c,
		"SELECT EXISTS (SELECT 1 FROM events WHERE id BETWEEN ?1 AND ?2) OR EXISTS "
		"(SELECT 1 FROM events_pruned AS p WHERE p.id BETWEEN ?1 AND ?2 AND NOT "
		"(p.channel = '*' AND p.id IN (SELECT base FROM rowtail_mirror_timelines)))",
		first, last, &answer);

	*had = answer;
	return s;
}

enum copy_status copy_told(struct copy *c, int64_t number, int64_t *base)
{
	return ask_about(c,
		"SELECT max(base) FROM rowtail_mirror_timelines WHERE base <= ?1 AND base <= "
		"(SELECT id FROM events_pruned WHERE channel = '*')",
		number, 0, base);
}
