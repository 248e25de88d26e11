#include "log/database.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { SLEEP_US = 200 };

/*
 * A statement to which a text could not be bound for lack of memory. With NULL bound, it would find
 * nothing.
 */
static struct statement *unbound;

/* Both structs are SQLite's own, under names that do not expose it. */
static sqlite3 *raw(const struct database *db)
{
	return (sqlite3 *)(uintptr_t)db;
}

static sqlite3_stmt *raw_statement(struct statement *st)
{
	return (sqlite3_stmt *)st;
}

static enum database_status status(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
		return DATABASE_OK;
	case SQLITE_ROW:
		return DATABASE_ROW;
	case SQLITE_DONE:
		return DATABASE_DONE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return DATABASE_BUSY;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_READONLY:
		return DATABASE_MISSING;
	case SQLITE_NOMEM:
		return DATABASE_NO_MEMORY;
	case SQLITE_TOOBIG:
		return DATABASE_TOO_LONG;
	case SQLITE_ERROR:
	case SQLITE_SCHEMA:
	case SQLITE_MISUSE:
	case SQLITE_RANGE:
		return DATABASE_SCHEMA;
	default:
		return DATABASE_DAMAGED;
	}
}

/*
 * When SQLite begins to read a write-ahead log, it tries its locks a hundred times, pausing for 10
 * s in total. A process that was stopped while it held such a lock would block us that long.
 */
static int short_sleep(sqlite3_vfs *vfs, int us)
{
	return usleep(us < SLEEP_US ? (useconds_t)us : SLEEP_US) == 0 ? us : 0;
}

/*
 * Registers a copy of the default VFS with short pauses. Returns its name, or NULL for the default
 * VFS.
 */
static const char *impatient(void)
{
	static sqlite3_vfs vfs;

	if (!vfs.zName && sqlite3_vfs_find(NULL)) {
		vfs = *sqlite3_vfs_find(NULL);
		vfs.zName = "rowtail";
		vfs.pNext = NULL;
		vfs.xSleep = short_sleep;
		sqlite3_vfs_register(&vfs, 0);
	}
	return sqlite3_vfs_find("rowtail") ? "rowtail" : NULL;
}

static enum database_cause cause(int extended)
{
	if (extended == SQLITE_READONLY_ROLLBACK)
		return DATABASE_CAUSE_HOT_JOURNAL;
	switch (extended & 0xff) {
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return DATABASE_CAUSE_NOT_OPENED;
	case SQLITE_NOTADB:
		return DATABASE_CAUSE_NO_DATABASE;
	case SQLITE_CORRUPT:
		return DATABASE_CAUSE_DAMAGED;
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_NOLFS:
		return DATABASE_CAUSE_IO;
	default:
		return DATABASE_CAUSE_OTHER;
	}
}

void database_explain(const struct database *db, struct database_failure *why)
{
	int code = sqlite3_extended_errcode(raw(db));

	why->cause = cause(code);
	/* With other codes, the errno may come from an earlier failure. */
	why->error = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR
			     ? sqlite3_system_errno(raw(db))
			     : 0;
	snprintf(why->message, sizeof(why->message), "%s", sqlite3_errmsg(raw(db)));
}

static struct {
	int64_t until_us, waited_us;
} lock;

int64_t database_wait_until(int64_t until_us)
{
	int64_t waited_us = lock.waited_us;

	lock.until_us = until_us;
	lock.waited_us = 0;
	return waited_us;
}

static int wait_for_lock(void *context, int tries)
{
	int64_t now_us = clock_us();

	if (now_us >= lock.until_us)
		return 0;
	usleep(SLEEP_US);
	lock.waited_us += clock_us() - now_us;
	return 1;
}

static bool traceless;

void database_leave_no_trace(void)
{
	traceless = true;
}

/* A URI, https://www.sqlite.org/uri.html. */
static int open_traceless(const char *path, sqlite3 **handle)
{
	static const char before[] = "file:", behind[] = "?immutable=1";
	char uri[sizeof(before) + 3 * PATH_MAX + sizeof(behind)];
	size_t at = sizeof(before) - 1;

	/* Two slashes at the beginning would be followed by a host. */
	while (path[0] == '/' && path[1] == '/')
		path++;
	memcpy(uri, before, at);
	for (size_t i = 0; i < PATH_MAX && path[i]; i++)
		if (strchr("%?#", path[i]))
			at += (size_t)snprintf(uri + at, 4, "%%%02X", (unsigned char)path[i]);
		else
			uri[at++] = path[i];
	memcpy(uri + at, behind, sizeof(behind));
	return sqlite3_open_v2(uri, handle,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, impatient());
}

enum database_status database_open(
	struct database **db, const char *path, struct database_failure *why)
{
	sqlite3 *handle = NULL;
	int code = traceless ? open_traceless(path, &handle)
			     : sqlite3_open_v2(path, &handle,
				       SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, impatient());

	if (handle)
		sqlite3_busy_handler(handle, wait_for_lock, NULL);
	/*
	 * sqlite3_open_v2() does not read the file. Reading the schema shows whether it is a
	 * database.
	 */
	if (code == SQLITE_OK)
		code = sqlite3_exec(
			handle, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL);
	*db = (struct database *)handle;
	if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY)
		return status(code);
	memset(why, 0, sizeof(*why));
	if (handle)
		database_explain(*db, why);
	else
		snprintf(why->message, sizeof(why->message), "%s", sqlite3_errstr(code));
	sqlite3_close(handle);
	*db = NULL;
	return status(code);
}

void database_close(struct database *db)
{
	/* A statement that was not finalized would keep the connection open until it is. */
	sqlite3_close_v2(raw(db));
}

const char *database_path(const struct database *db)
{
	return sqlite3_db_filename(raw(db), "main");
}

const char *database_message(const struct database *db)
{
	return sqlite3_errmsg(raw(db));
}

enum database_status database_prepare(struct database *db, struct statement **st, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int code =
		sqlite3_prepare_v3(raw(db), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);

	*st = (struct statement *)statement;
	return status(code);
}

void database_finalize(struct statement *st)
{
	if (st == unbound)
		unbound = NULL;
	sqlite3_finalize(raw_statement(st));
}

void database_bind_int(struct statement *st, int index, int64_t value)
{
	sqlite3_bind_int64(raw_statement(st), index, value);
}

void database_bind_text(struct statement *st, int index, const char *text, size_t length)
{
	if (sqlite3_bind_text64(raw_statement(st), index, text, length, SQLITE_STATIC,
		    SQLITE_UTF8) != SQLITE_OK)
		unbound = st;
}

enum database_status database_step(struct statement *st)
{
	if (st == unbound)
		return DATABASE_NO_MEMORY;
	return status(sqlite3_step(raw_statement(st)));
}

void database_reset(struct statement *st)
{
	if (st == unbound)
		unbound = NULL;
	sqlite3_reset(raw_statement(st));
	sqlite3_clear_bindings(raw_statement(st));
}

bool database_is_null(struct statement *st, int column)
{
	return sqlite3_column_type(raw_statement(st), column) == SQLITE_NULL;
}

bool database_is_int(struct statement *st, int column)
{
	return sqlite3_column_type(raw_statement(st), column) == SQLITE_INTEGER;
}

const char *database_type(struct statement *st, int column)
{
	switch (sqlite3_column_type(raw_statement(st), column)) {
	case SQLITE_INTEGER:
		return "INTEGER";
	case SQLITE_FLOAT:
		return "REAL";
	case SQLITE_TEXT:
		return "TEXT";
	case SQLITE_BLOB:
		return "BLOB";
	default:
		return "NULL";
	}
}

static bool contains(const char *type, const char *part)
{
	return strcasestr(type, part) != NULL;
}

static enum database_affinity affinity_of(const char *type)
{
	if (contains(type, "INT"))
		return DATABASE_NUMERIC;
	if (contains(type, "CHAR") || contains(type, "CLOB") || contains(type, "TEXT"))
		return DATABASE_TEXT;
	if (!*type || contains(type, "BLOB") || !strcasecmp(type, "ANY"))
		return DATABASE_BLOB;
	if (contains(type, "REAL") || contains(type, "FLOA") || contains(type, "DOUB"))
		return DATABASE_REAL;
	return DATABASE_NUMERIC;
}

bool database_length(
	struct database *db, const char *table, const char *column, int64_t rowid, int64_t *bytes)
{
	sqlite3_blob *blob = NULL;
	bool found =
		sqlite3_blob_open(raw(db), "main", table, column, rowid, 0, &blob) == SQLITE_OK;

	if (found)
		*bytes = sqlite3_blob_bytes(blob);
	sqlite3_blob_close(blob);
	return found;
}

bool database_column(
	struct database *db, const char *table, const char *name, struct database_column *column)
{
	const char *type, *collation;

	if (sqlite3_table_column_metadata(
		    raw(db), "main", table, name, &type, &collation, NULL, NULL, NULL) != SQLITE_OK)
		return false;
	column->affinity = affinity_of(type ? type : "");
	column->binary = !strcasecmp(collation, "BINARY");
	return true;
}

int64_t database_int(struct statement *st, int column)
{
	return sqlite3_column_int64(raw_statement(st), column);
}

const char *database_text(struct statement *st, int column, size_t *length)
{
	sqlite3_stmt *s = raw_statement(st);
	bool blob = sqlite3_column_type(s, column) == SQLITE_BLOB;
	const char *text = blob ? sqlite3_column_blob(s, column)
				: (const char *)sqlite3_column_text(s, column);

	*length = text ? (size_t)sqlite3_column_bytes(s, column) : 0;
	/* SQLite returns a NULL pointer for an empty BLOB, which is not NULL. */
	return blob && !text ? "" : text;
}

bool database_bytes(struct statement *st, int column, bool utf8, const char **text, size_t *length)
{
	/* The connection has no mutex, so the value needs none either. */
	sqlite3_value *v = sqlite3_column_value(raw_statement(st), column);
	int type = sqlite3_value_type(v);

	*text = NULL;
	*length = 0;
	if (type == SQLITE_NULL)
		return true;
	if (type == SQLITE_BLOB || (type == SQLITE_TEXT && utf8))
		*text = sqlite3_value_blob(v);
	else
		*text = (const char *)sqlite3_value_text(v);
	*length = (size_t)sqlite3_value_bytes(v);
	/* SQLite returns a NULL pointer for an empty BLOB, which is not NULL. */
	if (!*text && !*length && (type == SQLITE_BLOB || utf8))
		*text = "";
	return *text != NULL;
}

bool database_number(struct statement *st, int column, int64_t *number)
{
	sqlite3_value *v = sqlite3_column_value(raw_statement(st), column);

	if (sqlite3_value_type(v) != SQLITE_INTEGER)
		return false;
	*number = sqlite3_value_int64(v);
	return true;
}

enum database_status database_run(struct statement *st)
{
	enum database_status s;

	do
		s = database_step(st);
	while (s == DATABASE_ROW);
	database_reset(st);
	return s == DATABASE_DONE ? DATABASE_OK : s;
}

void database_limit_length(struct database *db, int bytes)
{
	sqlite3_limit(raw(db), SQLITE_LIMIT_LENGTH, bytes > 0 ? bytes : INT_MAX);
}

bool database_in_transaction(const struct database *db)
{
	return !sqlite3_get_autocommit(raw(db));
}

/* The header of the write-ahead log's index. The index begins with two copies of it. */
struct wal_index {
	uint32_t version, unused, change;
	uint8_t begun, big_endian;
	uint16_t page_size; /* 1 means 65536 */
	uint32_t last_frame, pages, frame_sums[2];
	uint8_t salts[8]; /* as in the frames of this log */
	uint64_t sums; /* of the fields above */
};
_Static_assert(sizeof(struct wal_index) == 48, "the header's size");

enum { WAL_INDEX_VERSION = 3007000, WAL_INDEX_MAPPED = 32768, WAL_HEADER = 32, FRAME_HEADER = 24 };

/* One of SQLite's own open files; NULL if it is not open. */
static sqlite3_file *own_file(struct database *db, int which)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(raw(db), "main", which, &file) != SQLITE_OK || !file)
		return NULL;
	return file->pMethods ? file : NULL;
}

/* SQLite writes the second copy first: if both are equal, they are complete. */
static bool read_wal_index(struct database *db, struct wal_index *index)
{
	sqlite3_file *file = own_file(db, SQLITE_FCNTL_FILE_POINTER);
	struct wal_index copy;
	void volatile *map = NULL;

	if (!file || file->pMethods->iVersion < 2 ||
		file->pMethods->xShmMap(file, 0, WAL_INDEX_MAPPED, 0, &map) != SQLITE_OK || !map)
		return false;
	memcpy(index, (const void *)(uintptr_t)map, sizeof(*index));
	file->pMethods->xShmBarrier(file);
	memcpy(&copy, (const uint8_t *)(uintptr_t)map + sizeof(copy), sizeof(copy));
	return !memcmp(index, &copy, sizeof(copy)) && index->version == WAL_INDEX_VERSION &&
	       index->begun;
}

/* Is there a frame after the last commit? Frames of earlier rounds have other salts. */
static enum database_status look_behind(
	sqlite3_file *log, const struct wal_index *index, bool *writing)
{
	int64_t page = index->page_size == 1 ? 65536 : index->page_size;
	int64_t at = WAL_HEADER + index->last_frame * (page + FRAME_HEADER);
	uint8_t frame[FRAME_HEADER];
	int code;

	/* The first commit in an empty log may bring new salts, which are not in the index yet. */
	*writing = index->last_frame == 0;
	if (*writing)
		return DATABASE_OK;
	code = log->pMethods->xRead(log, frame, sizeof(frame), at);
	if (code == SQLITE_OK)
		*writing = !memcmp(frame + 8, index->salts, sizeof(index->salts));
	return code == SQLITE_IOERR_SHORT_READ ? DATABASE_OK : status(code);
}

enum database_status database_last_commit(struct database *db, uint64_t *commit, bool *writing)
{
	/* Without an open log, xShmMap() would create an index. */
	sqlite3_file *log = own_file(db, SQLITE_FCNTL_JOURNAL_POINTER);
	struct wal_index index;

	if (!log || !read_wal_index(db, &index))
		return DATABASE_BUSY;
	*commit = index.sums;
	return writing ? look_behind(log, &index, writing) : DATABASE_OK;
}

bool database_quote(char *out, size_t size, const char *name)
{
	int length = sqlite3_snprintf((int)size, out, "\"%w\"", name) ? (int)strlen(out) : -1;

	return length >= 0 && (size_t)length + 1 < size;
}

const char *database_version(void)
{
	return sqlite3_libversion();
}
