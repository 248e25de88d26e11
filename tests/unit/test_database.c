/* links: log/database base/clock */
/* libs: -lsqlite3 */
/* The parts of SQLite in use: the state of a file decides the error. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "log/database.h"
#include "logfile.h"

static struct database *database;
static struct statement *statement;

static int set_up(void **state)
{
	struct database_failure why;

	logfile_begin(
		"PRAGMA journal_mode=WAL; CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x')");
	assert_int_equal(database_open(&database, logfile.path, &why), DATABASE_OK);
	statement = NULL;
	return 0;
}

static int tear_down(void **state)
{
	database_finalize(statement);
	if (database)
		database_close(database);
	logfile_end();
	return 0;
}

static void prepare(const char *sql)
{
	database_finalize(statement);
	assert_int_equal(database_prepare(database, &statement, sql), DATABASE_OK);
}

static void expect_open(
	const char *path, enum database_status wanted, enum database_cause cause, int error)
{
	struct database *db = (struct database *)&db;
	struct database_failure why;

	memset(&why, '#', sizeof(why));
	assert_int_equal(database_open(&db, path, &why), wanted);
	assert_null(db);
	assert_int_equal(why.cause, cause);
	assert_int_equal(why.error, error);
	assert_true(strlen(why.message) > 0);
}

static void write_file(const char *bytes, size_t length)
{
	FILE *file = fopen(logfile.other, "w");

	assert_int_equal(fwrite(bytes, 1, length, file), length);
	fclose(file);
}

static void test_files_that_cannot_be_opened(void **state)
{
	static const char text[2000] = "This is no database.";

	expect_open(logfile.other, DATABASE_MISSING, DATABASE_CAUSE_NOT_OPENED, ENOENT);
	write_file(text, sizeof(text));
	expect_open(logfile.other, DATABASE_DAMAGED, DATABASE_CAUSE_NO_DATABASE, 0);
}

/* No file is created or changed. */
static void test_nothing_is_written(void **state)
{
	expect_open(logfile.other, DATABASE_MISSING, DATABASE_CAUSE_NOT_OPENED, ENOENT);
	assert_int_equal(access(logfile.other, F_OK), -1);
	prepare("INSERT INTO t VALUES (2, 'y')");
	assert_int_equal(database_run(statement), DATABASE_MISSING);
	prepare("SELECT count(*) FROM t");
	assert_int_equal(database_step(statement), DATABASE_ROW);
	assert_int_equal(database_int(statement, 0), 1);
}

/* A process that dies during a write leaves the journal that undoes it. */
static void test_a_hot_journal(void **state)
{
	int child;

	database_close(database);
	database = NULL;
	must("PRAGMA journal_mode=DELETE");
	if ((child = fork()) == 0) {
		must("PRAGMA cache_size=1; BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
		     "SELECT i + 1 FROM n LIMIT 9999) INSERT INTO t SELECT i, 'a row' FROM n");
		_exit(0);
	}
	waitpid(child, NULL, 0);
	expect_open(logfile.path, DATABASE_MISSING, DATABASE_CAUSE_HOT_JOURNAL, 0);
}

static void test_wrong_sql(void **state)
{
	assert_int_equal(
		database_prepare(database, &statement, "SELECT c FROM t"), DATABASE_SCHEMA);
	assert_null(statement);
	assert_non_null(strstr(database_message(database), "c"));
	assert_int_equal(
		database_prepare(database, &statement, "SELECT 1 FROM u"), DATABASE_SCHEMA);
	assert_int_equal(database_prepare(database, &statement, "nonsense"), DATABASE_SCHEMA);
	assert_null(statement);
}

static void expect_text(int column, const char *wanted, size_t wanted_length)
{
	size_t length;
	const char *text = database_text(statement, column, &length);

	assert_non_null(text);
	assert_int_equal(length, wanted_length);
	assert_memory_equal(text, wanted, length);
}

/* Reads the value in both ways, and the bytes also as if the database were not in UTF-8. */
static void expect_bytes(int column, const char *wanted, size_t wanted_length)
{
	for (int utf8 = 1; utf8 >= 0; utf8--) {
		const char *text = "x";
		size_t length = 1;

		assert_true(database_bytes(statement, column, utf8, &text, &length));
		assert_int_equal(length, wanted_length);
		if (wanted)
			assert_memory_equal(text, wanted, length);
		else
			assert_null(text);
	}
}

static void test_bytes_and_numbers(void **state)
{
	int64_t number = 7;

	prepare("SELECT NULL, 'caf\xc3\xa9', x'0041', x'', '', 12, 1.5, CAST(x'610062' AS TEXT)");
	assert_int_equal(database_step(statement), DATABASE_ROW);
	expect_bytes(0, NULL, 0);
	expect_bytes(1, "caf\xc3\xa9", 5);
	expect_bytes(2, "\0A", 2);
	expect_bytes(3, "", 0);
	expect_bytes(4, "", 0);
	expect_bytes(5, "12", 2);
	expect_bytes(6, "1.5", 3);
	expect_bytes(7, "a\0b", 3);
	for (int column = 0; column < 5; column++)
		assert_false(database_number(statement, column, &number));
	assert_int_equal(number, 7);
	assert_true(database_number(statement, 5, &number));
	assert_int_equal(number, 12);
	assert_false(database_number(statement, 6, &number));
}

static void test_columns(void **state)
{
	size_t length = 1;

	prepare("SELECT NULL, 'caf\xc3\xa9', x'00ff41', x'', '', -9223372036854775808, 1.5, "
		"CAST(x'610062' AS TEXT)");
	assert_int_equal(database_step(statement), DATABASE_ROW);
	assert_true(database_is_null(statement, 0));
	assert_null(database_text(statement, 0, &length));
	assert_int_equal(length, 0);
	expect_text(1, "caf\xc3\xa9", 5);
	expect_text(2,
		"\0\xff"
		"A",
		3);
	expect_text(3, "", 0);
	expect_text(4, "", 0);
	for (int column = 1; column < 8; column++)
		assert_false(database_is_null(statement, column));
	for (int column = 0; column < 8; column++)
		assert_int_equal(database_is_int(statement, column), column == 5);
	assert_true(database_int(statement, 5) == INT64_MIN);
	expect_text(7, "a\0b", 3);
	assert_int_equal(database_step(statement), DATABASE_DONE);
}

/* Bound once, forgotten by the reset. */
static void test_bindings(void **state)
{
	prepare("SELECT ?1, ?2");
	database_bind_int(statement, 1, INT64_MAX);
	database_bind_text(statement, 2, "textual", 4);
	assert_int_equal(database_step(statement), DATABASE_ROW);
	assert_true(database_int(statement, 0) == INT64_MAX);
	expect_text(1, "text", 4);
	database_reset(statement);
	assert_int_equal(database_step(statement), DATABASE_ROW);
	assert_true(database_is_null(statement, 0));
	assert_true(database_is_null(statement, 1));
}

/* A reset ends the read transaction: the writer may empty the write-ahead log. */
static void test_reset_ends_the_transaction(void **state)
{
	sqlite3_stmt *checkpoint;

	must("INSERT INTO t VALUES (2, 'y')");
	prepare("SELECT a FROM t");
	assert_int_equal(database_step(statement), DATABASE_ROW);
	must("INSERT INTO t VALUES (3, 'z')");
	assert_int_equal(sqlite3_prepare_v2(logfile.writer, "PRAGMA wal_checkpoint(TRUNCATE)", -1,
				 &checkpoint, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(checkpoint), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(checkpoint, 0), 1); /* busy: the test can fail */
	sqlite3_reset(checkpoint);
	database_reset(statement);
	assert_int_equal(sqlite3_step(checkpoint), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(checkpoint, 0), 0);
	sqlite3_finalize(checkpoint);
}

static void test_transactions(void **state)
{
	assert_false(database_in_transaction(database));
	prepare("BEGIN");
	assert_int_equal(database_run(statement), DATABASE_OK);
	assert_true(database_in_transaction(database));
	assert_int_equal(database_run(statement), DATABASE_SCHEMA); /* in a transaction already */
	prepare("COMMIT");
	assert_int_equal(database_run(statement), DATABASE_OK);
	assert_false(database_in_transaction(database));
}

/* Skips rows, repeatedly. */
static void read_once(void)
{
	prepare("SELECT count(*) FROM t");
	assert_int_equal(database_step(statement), DATABASE_ROW);
	database_reset(statement);
}

static bool is_writing(uint64_t *commit)
{
	bool writing;

	assert_int_equal(database_last_commit(database, commit, &writing), DATABASE_OK);
	return writing;
}

/* The write-ahead log's index tells which commit is the last, and whether another is on its way. */
static void test_last_commit(void **state)
{
	uint64_t first, last;

	read_once();
	assert_false(is_writing(&first));
	assert_false(is_writing(&last));
	assert_true(last == first);
	must("INSERT INTO t VALUES (2, 'y')");
	assert_false(is_writing(&last));
	assert_true(last != first);
}

/* A transaction larger than the writer's cache writes pages before it commits. */
static void test_commit_on_its_way(void **state)
{
	uint64_t first, last;

	read_once();
	must("PRAGMA cache_size=10");
	assert_false(is_writing(&first));
	must("BEGIN; INSERT INTO t VALUES (2, zeroblob(1000000))");
	assert_true(is_writing(&last));
	assert_true(last == first);
	must("COMMIT");
	assert_false(is_writing(&last));
	assert_true(last != first);
	/* After a checkpoint, the log begins again over the frames of its earlier round. */
	must("PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES (3, 'x')");
	assert_false(is_writing(&last));
	/* An empty log does not tell. */
	must("PRAGMA wal_checkpoint(TRUNCATE)");
	assert_true(is_writing(&last));
}

static void test_last_commit_needs_wal(void **state)
{
	struct database_failure why;
	uint64_t commit;

	database_close(database);
	must("PRAGMA journal_mode=DELETE");
	assert_int_equal(database_open(&database, logfile.path, &why), DATABASE_OK);
	read_once();
	assert_int_equal(database_last_commit(database, &commit, NULL), DATABASE_BUSY);
	must("INSERT INTO t VALUES (2, 'y')");
	assert_int_equal(database_last_commit(database, &commit, NULL), DATABASE_BUSY);
}

static void test_run_to_the_end(void **state)
{
	must("INSERT INTO t VALUES (2, 'y'), (3, 'z')");
	prepare("SELECT a FROM t");
	for (int i = 0; i < 3; i++)
		assert_int_equal(database_run(statement), DATABASE_OK);
	assert_false(database_in_transaction(database));
}

/* A lock is reported at once, without waiting. */
static void test_locks(void **state)
{
	struct database *db;
	struct database_failure why;

	database_close(database);
	database = NULL;
	must("PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE");
	assert_int_equal(database_open(&db, logfile.path, &why), DATABASE_BUSY);
	must("COMMIT");
	database = db; /* it was left open, and can be read now */
	prepare("SELECT a FROM t");
	must("BEGIN EXCLUSIVE");
	assert_int_equal(database_step(statement), DATABASE_BUSY);
	database_reset(statement);
	must("COMMIT");
	assert_int_equal(database_step(statement), DATABASE_ROW);
	database_reset(statement);
}

/* A page in the middle of the file is overwritten. */
static void test_damage_is_found_while_reading(void **state)
{
	static const char garbage[4096] = "garbage";
	FILE *file;

	must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) "
	     "INSERT INTO t SELECT i, 'a row of some length' FROM n; "
	     "PRAGMA wal_checkpoint(TRUNCATE)");
	file = fopen(logfile.path, "r+");
	fseek(file, 8 * 4096, SEEK_SET);
	assert_int_equal(fwrite(garbage, sizeof(garbage), 1, file), 1);
	fclose(file);
	prepare("SELECT sum(length(b)) FROM t");
	assert_int_equal(database_run(statement), DATABASE_DAMAGED);
	assert_true(strlen(database_message(database)) > 0);
}

static void expect_quoted(const char *name, const char *wanted)
{
	char out[64];

	for (size_t size = 1; size <= sizeof(out); size++) {
		bool fits = database_quote(out, size, name);

		assert_true(strlen(out) < size);
		if (size > strlen(wanted) + 1)
			assert_true(fits);
		if (size <= strlen(wanted))
			assert_false(fits);
		if (fits)
			assert_string_equal(out, wanted);
	}
}

static void test_names_as_sql(void **state)
{
	expect_quoted("events", "\"events\"");
	expect_quoted("a\"b", "\"a\"\"b\"");
	expect_quoted("", "\"\"");
	expect_quoted("x'; DROP TABLE t --", "\"x'; DROP TABLE t --\"");
}

static void test_version(void **state)
{
	assert_string_equal(database_version(), sqlite3_libversion());
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files_that_cannot_be_opened),
		TEST(test_nothing_is_written),
		TEST(test_a_hot_journal),
		TEST(test_wrong_sql),
		TEST(test_bytes_and_numbers),
		TEST(test_columns),
		TEST(test_bindings),
		TEST(test_reset_ends_the_transaction),
		TEST(test_transactions),
		TEST(test_last_commit),
		TEST(test_commit_on_its_way),
		TEST(test_last_commit_needs_wal),
		TEST(test_run_to_the_end),
		TEST(test_locks),
		TEST(test_damage_is_found_while_reading),
		TEST(test_names_as_sql),
		TEST(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
