/*
 * logfile: a database file in its own directory, and a connection that writes to it.
 */
#ifndef ROWTAIL_TESTS_LOGFILE_H
#define ROWTAIL_TESTS_LOGFILE_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	char directory[64], path[96], other[96]; /* other: a second file, for replacing the first */
	sqlite3 *writer;
} logfile;

/* Runs statements on a connection; fails the test if they fail. */
static inline void logfile_run(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%.200s: %s", sql, message);
}

static inline void must(const char *sql)
{
	logfile_run(logfile.writer, sql);
}

/* schema/rowtail.sql; to be freed. */
static inline char *logfile_schema(void)
{
	FILE *file = fopen("schema/rowtail.sql", "r");
	char *text = calloc(1, 1 << 17);

	assert_non_null(file);
	assert_true(fread(text, 1, (1 << 17) - 1, file) > 0);
	fclose(file);
	return text;
}

/* Creates a file and a writer; sql NULL: with the schema of the tree. */
static inline sqlite3 *logfile_make(const char *path, const char *sql)
{
	char *schema = sql ? NULL : logfile_schema();
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	logfile_run(db, "PRAGMA synchronous=OFF");
	logfile_run(db, sql ? sql : schema);
	free(schema);
	return db;
}

static inline void logfile_begin(const char *sql)
{
	snprintf(logfile.directory, sizeof(logfile.directory), "/tmp/rt-log-XXXXXX");
	assert_non_null(mkdtemp(logfile.directory));
	snprintf(logfile.path, sizeof(logfile.path), "%s/events.db", logfile.directory);
	snprintf(logfile.other, sizeof(logfile.other), "%s/other.db", logfile.directory);
	logfile.writer = logfile_make(logfile.path, sql);
}

static inline void logfile_unlink(const char *path)
{
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	char name[128];

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		unlink(name);
	}
}

static inline void logfile_end(void)
{
	sqlite3_close(logfile.writer);
	logfile_unlink(logfile.path);
	logfile_unlink(logfile.other);
	assert_int_equal(rmdir(logfile.directory), 0);
}

/* Replaces the file by a second one, as a restore does; the writer then writes to the second. */
static inline void logfile_replace(const char *sql, const char *more)
{
	sqlite3 *db = logfile_make(logfile.other, sql);

	logfile_run(db, more);
	logfile_run(db, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE");
	sqlite3_close(db);
	sqlite3_close(logfile.writer);
	logfile_unlink(logfile.path);
	assert_int_equal(rename(logfile.other, logfile.path), 0);
	assert_int_equal(sqlite3_open(logfile.path, &logfile.writer), SQLITE_OK);
	must("PRAGMA journal_mode=WAL");
}

#endif
