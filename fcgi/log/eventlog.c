#include "log/eventlog_impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log/trouble.h"

enum { SCHEMA_TRIES = 8 };

struct eventlog *eventlog_new(const char *path, const char *table)
{
	struct eventlog *log = calloc(1, sizeof(*log));

	if (log) {
		log->path = path;
		log->table = table;
	}
	return log;
}

void eventlog_free(struct eventlog *log)
{
	if (log)
		eventlog_close(log);
	free(log);
}

void eventlog_on_close(struct eventlog *log, void (*closing)(void *context), void *context)
{
	log->closing = closing;
	log->closing_context = context;
}

static void finalize_all(struct eventlog *log)
{
	for (int i = 0; i < ST_COUNT; i++) {
		database_finalize(log->st[i]);
		log->st[i] = NULL;
	}
}

void eventlog_close(struct eventlog *log)
{
	if (log->db && log->closing)
		log->closing(log->closing_context);
	finalize_all(log);
	if (log->db)
		database_close(log->db);
	log->db = NULL;
	log->held = false;
}

bool eventlog_is_open(const struct eventlog *log)
{
	return log->db != NULL;
}

enum eventlog_status eventlog_state(const struct eventlog *log)
{
	return log->db ? EVENTLOG_OK : log->locked ? EVENTLOG_BUSY : EVENTLOG_FAULT;
}

const char *eventlog_error(const struct eventlog *log)
{
	return log->error;
}

struct database *eventlog_database(struct eventlog *log)
{
	return log->db;
}

unsigned eventlog_generation(const struct eventlog *log)
{
	return log->generation;
}

static enum eventlog_status busy(struct eventlog *log)
{
	snprintf(log->error, sizeof(log->error), "%s is locked by another program", log->path);
	return EVENTLOG_BUSY;
}

/* The last call on log->db failed with `s`: sets the error sentence and closes the log. */
static enum eventlog_status fail(struct eventlog *log, enum database_status s)
{
	struct database_failure why;

	if (s == DATABASE_BUSY)
		return busy(log);
	database_explain(log->db, &why);
	if (*log->unfit)
		snprintf(log->error, sizeof(log->error), "%s: %s", log->path, log->unfit);
	else if (s == DATABASE_SCHEMA)
		snprintf(log->error, sizeof(log->error), "%s: \"%s\" cannot be read: %s", log->path,
			log->table, why.message);
	else if (s == DATABASE_NO_MEMORY)
		snprintf(log->error, sizeof(log->error),
			"%s cannot be read: there is not enough memory", log->path);
	else
		trouble_explain(log->path, &why, log->error, sizeof(log->error));
	log->row_met |= log->at_row;
	if (!log->at_row)
		eventlog_close(log);
	return EVENTLOG_FAULT;
}

bool eventlog_met_row(struct eventlog *log)
{
	bool met = log->row_met;

	log->row_met = false;
	return met;
}

static enum eventlog_status look_at_table(struct eventlog *log)
{
	bool lacking;
	enum database_status s;
	enum eventlog_status e = EVENTLOG_OK;

	*log->unfit = '\0';
	log->at_row = false;
	s = eventlog_prepare_table(log, &lacking);
	if (lacking)
		e = EVENTLOG_FAULT;
	else if (s != DATABASE_OK)
		e = fail(log, s);
	if (e != EVENTLOG_OK)
		eventlog_close(log);
	return e;
}

/*
 * Somebody may have removed the files beside the database, for example after a backup of the
 * database alone. The next program that opens it creates new ones, and we would never see what it
 * commits.
 */
static bool is_beside_stale(struct eventlog *log)
{
	static const char *const endings[] = {"-wal", "-shm"};
	char path[PATH_MAX];
	struct stat st;
	bool stale = false;

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s", database_path(log->db), endings[i]);
		if (stat(path, &st) < 0)
			continue;
		/* Stays stale until the log is opened again, whoever asks first. */
		stale |= log->beside[i] && st.st_ino != log->beside[i];
		if (!log->beside[i])
			log->beside[i] = st.st_ino;
	}
	return stale;
}

enum eventlog_status eventlog_open(struct eventlog *log)
{
	struct stat before = {0}, after = {0};
	struct database_failure why;
	enum database_status s;

	if (log->db)
		return EVENTLOG_OK;
	log->locked = false;
	/* Opening a FIFO would block. */
	if (trouble_is_odd(log->path, log->error, sizeof(log->error)))
		return EVENTLOG_FAULT;
	stat(log->path, &before);
	s = database_open(&log->db, log->path, &why);
	if (!log->db) {
		trouble_explain(log->path, &why, log->error, sizeof(log->error));
		return EVENTLOG_FAULT;
	}
	if (s == DATABASE_BUSY) {
		eventlog_close(log);
		log->locked = true;
		return busy(log);
	}
	/* If another file took its place meanwhile, we cannot know which of the two we opened. */
	if (stat(log->path, &after) < 0 || before.st_dev != after.st_dev ||
		before.st_ino != after.st_ino) {
		snprintf(log->error, sizeof(log->error),
			"%s was replaced by another file while rowtail opened it; try again",
			log->path);
		eventlog_close(log);
		return EVENTLOG_FAULT;
	}
	/* Stays set until it is told, even if this file cannot be read yet and is opened again. */
	log->replaced |=
		log->generation > 0 && (log->device != after.st_dev || log->inode != after.st_ino);
	log->device = after.st_dev;
	log->inode = after.st_ino;
	log->links = after.st_nlink;
	log->generation++;
	memset(log->beside, 0, sizeof(log->beside));
	is_beside_stale(log);
	return look_at_table(log);
}

bool eventlog_was_replaced(const struct eventlog *log)
{
	return log->replaced;
}

void eventlog_replaced_told(struct eventlog *log)
{
	log->replaced = false;
}

enum eventlog_file eventlog_file(struct eventlog *log, bool beside)
{
	struct stat st;

	if (!log->db)
		return EVENTLOG_SAME;
	if (stat(log->path, &st) < 0)
		return EVENTLOG_GONE;
	log->links = st.st_nlink;
	if (st.st_dev != log->device || st.st_ino != log->inode)
		return EVENTLOG_REPLACED;
	return beside && is_beside_stale(log) ? EVENTLOG_STALE : EVENTLOG_SAME;
}

nlink_t eventlog_links(const struct eventlog *log)
{
	return log->links;
}

bool eventlog_is_wal(struct eventlog *log)
{
	struct statement *st;
	const char *mode;
	size_t length;
	bool wal = false;

	if (!log->db || database_prepare(log->db, &st, "PRAGMA journal_mode") != DATABASE_OK)
		return false;
	if (database_step(st) == DATABASE_ROW && (mode = database_text(st, 0, &length)))
		wal = !strcmp(mode, "wal");
	database_finalize(st);
	return wal;
}

/* *same: the statements match the schema. If they do not, no transaction is open. */
static enum eventlog_status begin_with_schema(struct eventlog *log, bool *same)
{
	int64_t schema;
	enum database_status s = database_run(log->st[ST_BEGIN]);

	*same = false;
	if (s != DATABASE_OK)
		return fail(log, s);
	s = eventlog_one(log->st[ST_SCHEMA], 0, &schema);
	*same = s == DATABASE_DONE && schema == log->schema;
	return *same ? EVENTLOG_OK : eventlog_end(log, s);
}

enum eventlog_status eventlog_begin(struct eventlog *log)
{
	enum eventlog_status e = log->db ? EVENTLOG_OK : EVENTLOG_FAULT;
	bool same = false;

	if (log->held)
		return e;
	/* SQLite would keep using the old columns, and every row would be of channel "default". */
	for (int i = 0; e == EVENTLOG_OK && i < SCHEMA_TRIES; i++) {
		if ((e = begin_with_schema(log, &same)) != EVENTLOG_OK || same)
			return e;
		finalize_all(log);
		e = look_at_table(log);
	}
	return e == EVENTLOG_OK ? EVENTLOG_BUSY : e;
}

enum eventlog_status eventlog_end(struct eventlog *log, enum database_status s)
{
	enum eventlog_status result = EVENTLOG_OK;

	if (s != DATABASE_OK && s != DATABASE_ROW && s != DATABASE_DONE)
		result = fail(log, s);
	if (!log->db || log->held || !database_in_transaction(log->db))
		return result;
	/* An open transaction would show the same state of the log for ever. */
	s = database_run(log->st[ST_COMMIT]);
	return s == DATABASE_OK ? result : fail(log, s);
}

enum eventlog_status eventlog_hold(struct eventlog *log)
{
	enum eventlog_status e = eventlog_begin(log);

	log->held = e == EVENTLOG_OK;
	return e;
}

enum eventlog_status eventlog_release(struct eventlog *log)
{
	if (!log->held)
		return EVENTLOG_OK;
	log->held = false;
	return eventlog_end(log, DATABASE_OK);
}

enum database_status eventlog_one(struct statement *st, int64_t none, int64_t *id)
{
	enum database_status s;

	*id = none;
	if (!st)
		return DATABASE_DONE;
	s = database_step(st);
	if (s == DATABASE_ROW && !database_is_null(st, 0))
		*id = database_int(st, 0);
	database_reset(st);
	return s == DATABASE_ROW ? DATABASE_DONE : s;
}

enum eventlog_status eventlog_version(struct eventlog *log, int64_t *version)
{
	enum database_status s;

	if (!log->db)
		return EVENTLOG_FAULT;
	s = eventlog_one(log->st[ST_VERSION], 0, version);
	return s == DATABASE_DONE ? EVENTLOG_OK : fail(log, s);
}

bool eventlog_last_commit(struct eventlog *log, uint64_t *commit, bool *writing)
{
	static const struct database_failure why = {
		.cause = DATABASE_CAUSE_IO, .message = "disk I/O error"};
	enum database_status s =
		log->db ? database_last_commit(log->db, commit, writing) : DATABASE_BUSY;

	if (s == DATABASE_OK || s == DATABASE_BUSY)
		return s == DATABASE_OK;
	trouble_explain(log->path, &why, log->error, sizeof(log->error));
	eventlog_close(log);
	return false;
}

enum database_status eventlog_newest(struct eventlog *log, int64_t *newest)
{
	int64_t sequence;
	enum database_status s = eventlog_one(log->st[ST_NEWEST], 0, newest);

	if (s == DATABASE_DONE)
		s = eventlog_one(log->st[ST_SEQUENCE], 0, &sequence);
	if (s == DATABASE_DONE && sequence > *newest)
		*newest = sequence;
	if (*newest < 0)
		*newest = 0;
	return s;
}

enum database_status eventlog_get_bounds(struct eventlog *log, struct eventlog_bounds *bounds)
{
	enum database_status s = eventlog_newest(log, &bounds->newest);

	if (s != DATABASE_DONE)
		return s;
	/* A view may contain the largest possible id. */
	return eventlog_one(log->st[ST_OLDEST],
		bounds->newest < INT64_MAX ? bounds->newest + 1 : INT64_MAX, &bounds->oldest);
}

enum eventlog_status eventlog_bounds(struct eventlog *log, struct eventlog_bounds *bounds)
{
	enum eventlog_status e = eventlog_begin(log);

	return e == EVENTLOG_OK ? eventlog_end(log, eventlog_get_bounds(log, bounds)) : e;
}

bool eventlog_is_view(const struct eventlog *log)
{
	return log->is_view;
}

const char *eventlog_slow(struct eventlog *log, char *sentence, size_t size)
{
	if (!log->db || !log->sorts)
		return NULL;
	snprintf(sentence, size,
		"%s: \"%s\" has no index that gives its rows in the order of id, so rowtail sorts "
		"all of them on each read: %s",
		log->path, log->table,
		log->is_view ? "let the view select from one table whose id is INTEGER PRIMARY KEY"
			     : "make id INTEGER PRIMARY KEY, or add a unique index on it");
	return sentence;
}

enum eventlog_status eventlog_created(struct eventlog *log, int64_t id, int64_t *unix_s)
{
	enum eventlog_status e = eventlog_begin(log);
	enum database_status s = DATABASE_DONE;

	*unix_s = -1;
	if (e != EVENTLOG_OK)
		return e;
	if (log->st[ST_CREATED]) {
		database_bind_int(log->st[ST_CREATED], 1, id);
		s = eventlog_one(log->st[ST_CREATED], -1, unix_s);
	}
	return eventlog_end(log, s);
}
