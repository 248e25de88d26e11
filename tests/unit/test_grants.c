/* links: access/grants log/channel log/database log/eventlog log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/eventlog_index log/eventlog_mark log/eventlog_table log/filter base/buffer base/logging base/utf8 base/clock base/file log/place log/trouble base/who */
/* libs: -lsqlite3 */
/* Who may read what in a real database: which grants count, until when, and errors. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "access/grants.h"
#include "log/channel.h"

enum { SCHEMA_MAX = 1 << 17, PATH_ROOM = 100, LONGEST = CHANNEL_MAX };

#define TOKEN "token:6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090"
#define ANN "user:ann"

static struct {
	char directory[PATH_ROOM / 2], path[PATH_ROOM], schema[SCHEMA_MAX];
	sqlite3 *writer;
	struct eventlog *log;
	struct grants *grants;
	bool timed;
} world;

static void must(const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(world.writer, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

static int read_schema(void **state)
{
	FILE *file = fopen("schema/rowtail.sql", "r");
	size_t length = file ? fread(world.schema, 1, SCHEMA_MAX - 1, file) : 0;

	if (file)
		fclose(file);
	return length > 0 ? 0 : -1;
}

static void make_database(void)
{
	assert_int_equal(sqlite3_open(world.path, &world.writer), SQLITE_OK);
	must(world.schema);
	must("PRAGMA synchronous=OFF");
}

static void remove_database(void)
{
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	char path[PATH_ROOM + 10];

	sqlite3_close(world.writer);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s%s", world.path, endings[i]);
		unlink(path);
	}
}

static int setup(void **state)
{
	snprintf(world.directory, sizeof(world.directory), "/tmp/rowtail-grants-XXXXXX");
	assert_non_null(mkdtemp(world.directory));
	snprintf(world.path, sizeof(world.path), "%s/events.db", world.directory);
	make_database();
	world.log = eventlog_new(world.path, "events");
	assert_int_equal(eventlog_open(world.log), EVENTLOG_OK);
	world.grants = grants_new(world.log, "grants");
	assert_non_null(world.grants);
	return 0;
}

static int saved_stderr, reader; /* while standard error is caught */

static void restore_stderr(void)
{
	if (saved_stderr > 0) {
		dup2(saved_stderr, STDERR_FILENO);
		close(saved_stderr);
	}
	saved_stderr = 0;
}

static int teardown(void **state)
{
	restore_stderr();
	grants_free(world.grants);
	eventlog_free(world.log);
	remove_database();
	return rmdir(world.directory);
}

/* The expiry is an SQL expression. */
static void grant_until(const char *subject, const char *channel, const char *end)
{
	char *sql = sqlite3_mprintf(
		"INSERT OR REPLACE INTO grants VALUES (%Q, %Q, %s)", subject, channel, end);

	must(sql);
	sqlite3_free(sql);
}

static void grant(const char *subject, const char *channel)
{
	grant_until(subject, channel, "NULL");
}

/* Texts that end where their memory ends; the pattern has no NUL behind it. */
static enum grant cover(const char *subject, const char *pattern)
{
	const size_t length = strlen(pattern);
	char *copy = malloc(length), *who = strdup(subject);
	enum grant found;

	assert_true(copy && who);
	memcpy(copy, pattern, length);
	world.timed = false;
	found = grants_cover(world.grants, who, copy, length, &world.timed);
	free(copy);
	free(who);
	return found;
}

static void expect(const char *subject, const char *pattern, enum grant wanted, bool timed)
{
	const enum grant found = cover(subject, pattern);

	if (found != wanted || world.timed != timed)
		fail_msg("%s, %s: %d, %d", subject, pattern, found, world.timed);
}

static void test_new_log_has_no_grants(void **state)
{
	expect("*", "default", GRANT_NONE, false);
	expect(ANN, "*", GRANT_NONE, false);
	assert_int_equal(grants_any(world.grants, "*"), GRANT_NONE);
}

static void test_a_grant_applies_to_its_subject_only(void **state)
{
	static const char *const others[] = {"*", "user:an", "user:anne", "user:Ann", "user:*",
		"user:", "ann", "", TOKEN, "user:ann ", "user:' OR 1=1 --", "user:_nn", "user:%",
		"user:[a]nn"};

	grant(ANN, "orders/42");
	expect(ANN, "orders/42", GRANT_VALID, false);
	assert_int_equal(grants_any(world.grants, ANN), GRANT_VALID);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		expect(others[i], "orders/42", GRANT_NONE, false);
		assert_int_equal(grants_any(world.grants, others[i]), GRANT_NONE);
	}
	grant(TOKEN, "orders/42");
	grant("*", "orders/42");
	grant("user:*", "orders/42");
	expect(TOKEN, "orders/42", GRANT_VALID, false);
	expect("*", "orders/42", GRANT_VALID, false);
	expect("user:eve", "orders/42", GRANT_NONE, false);
}

/* All patterns of up to three of these characters; returns whether there is a next one. */
static bool next_pattern(unsigned *number, char pattern[4])
{
	static const char alphabet[] = "ab/*";

	while (*number < 5 * 5 * 5) {
		unsigned n = (*number)++;
		size_t length = 0;

		for (int i = 0; i < 3; i++, n /= 5)
			if (n % 5 > 0)
				pattern[length++] = alphabet[n % 5 - 1];
			else
				n = 0;
		pattern[length] = '\0';
		if (channel_is_pattern(pattern, length))
			return true;
	}
	return false;
}

static void test_a_grant_covers_what_its_pattern_covers(void **state)
{
	char granted[4], asked[4];
	size_t covered = 0;

	for (unsigned g = 0; next_pattern(&g, granted);) {
		must("DELETE FROM grants");
		grant(ANN, granted);
		for (unsigned a = 0; next_pattern(&a, asked);) {
			const bool wanted =
				channel_covers(granted, strlen(granted), asked, strlen(asked));

			covered += wanted;
			if (cover(ANN, asked) != (wanted ? GRANT_VALID : GRANT_NONE))
				fail_msg("granted %s, asked for %s", granted, asked);
		}
	}
	assert_true(covered > 100);
}

/* All patterns of these characters up to some length; returns their number. */
static size_t make_patterns(char patterns[][6])
{
	static const char alphabet[] = "a/*0";
	size_t count = 0;

	for (int length = 1; length <= 5; length++)
		for (int n = 0, all = 1 << (2 * length); n < all; n++) {
			char *text = patterns[count];

			for (int i = 0; i < length; i++)
				text[i] = alphabet[n >> (2 * i) & 3];
			text[length] = '\0';
			count += channel_is_pattern(text, (size_t)length);
		}
	return count;
}

/* One grant and all possible requests, compared with the rule itself. */
static void test_short_patterns_against_the_rule(void **state)
{
	static char patterns[1400][6];
	size_t count = make_patterns(patterns);

	assert_true(count > 100);
	for (size_t i = 0; i < count; i += 7) {
		must("DELETE FROM grants");
		grant(ANN, patterns[i]);
		grant(ANN, "0/0");
		for (size_t k = 0; k < count; k++) {
			const char *asked = patterns[k];
			bool covered = channel_covers(patterns[i], strlen(patterns[i]), asked,
					       strlen(asked)) ||
				       !strcmp(asked, "0/0");

			if (cover(ANN, asked) != (covered ? GRANT_VALID : GRANT_NONE))
				fail_msg("grant %s, asked %s", patterns[i], asked);
		}
	}
}

static void test_names_are_not_sql_patterns(void **state)
{
	grant(ANN, "a_%[b]?");
	grant(ANN, "it's \"quoted\"");
	expect(ANN, "a_%[b]?", GRANT_VALID, false);
	expect(ANN, "it's \"quoted\"", GRANT_VALID, false);
	expect(ANN, "axxb?", GRANT_NONE, false);
	expect(ANN, "axyzbx", GRANT_NONE, false);
}

static void test_the_longest_names(void **state)
{
	char name[LONGEST + 1], pattern[LONGEST + 1];

	memset(name, 'a', LONGEST);
	name[LONGEST] = '\0';
	name[LONGEST - 2] = '/';
	memcpy(pattern, name, sizeof(pattern));
	pattern[LONGEST - 1] = '*';
	expect(ANN, name, GRANT_NONE, false);
	grant(ANN, pattern);
	expect(ANN, name, GRANT_VALID, false);
	expect(ANN, pattern, GRANT_VALID, false);
	name[LONGEST - 1] = '/';
	expect(ANN, name, GRANT_VALID, false);
}

static void test_expiry_times(void **state)
{
	grant_until(ANN, "past", "datetime('now', '-1 minute')");
	grant_until(ANN, "future", "datetime('now', '+1 minute')");
	grant_until(ANN, "iso", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 minute')");
	grant_until(ANN, "iso past", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 minute')");
	grant_until(ANN, "first", "'0000-01-01 00:00:00'");
	grant_until(ANN, "last", "'9999-12-31 23:59:59'");
	expect(ANN, "past", GRANT_EXPIRED, true);
	expect(ANN, "future", GRANT_VALID, true);
	expect(ANN, "iso", GRANT_VALID, true);
	expect(ANN, "iso past", GRANT_EXPIRED, true);
	expect(ANN, "first", GRANT_EXPIRED, true);
	expect(ANN, "last", GRANT_VALID, true);
	assert_int_equal(grants_any(world.grants, ANN), GRANT_VALID);
}

/* A token whose grants have expired is reported as expired, not as unknown. */
static void test_expired_grants_are_reported_as_expired(void **state)
{
	grant_until(TOKEN, "a", "datetime('now', '-1 day')");
	assert_int_equal(grants_any(world.grants, TOKEN), GRANT_VALID);
	expect(TOKEN, "a", GRANT_EXPIRED, true);
	expect(TOKEN, "b", GRANT_NONE, false);
}

static void test_a_valid_grant_wins_over_an_expired_one(void **state)
{
	grant_until(ANN, "a/b", "datetime('now', '-1 day')");
	expect(ANN, "a/b", GRANT_EXPIRED, true);
	grant_until(ANN, "*", "datetime('now', '-1 day')");
	expect(ANN, "a/b", GRANT_EXPIRED, true);
	grant(ANN, "a/*");
	expect(ANN, "a/b", GRANT_VALID, true);
	expect(ANN, "a/c", GRANT_VALID, true);
	expect(ANN, "b", GRANT_EXPIRED, true);
}

/* Values that the schema would not have allowed. */
static void test_an_invalid_expiry_grants_nothing(void **state)
{
	must("DROP TRIGGER grants_inserted");
	grant_until(ANN, "never", "'never'");
	grant_until(ANN, "empty", "''");
	grant_until(ANN, "bytes", "x'00ff'");
	expect(ANN, "never", GRANT_EXPIRED, true);
	expect(ANN, "empty", GRANT_EXPIRED, true);
	expect(ANN, "bytes", GRANT_EXPIRED, true);
}

/* An application's own table may contain a pair twice. */
static void test_the_longest_of_equal_grants_counts(void **state)
{
	must("DROP TABLE grants; CREATE TABLE grants(subject, channel, expires_at);"
	     "INSERT INTO grants VALUES ('user:ann', 'a', '2000-01-01 00:00:00'),"
	     "('user:ann', 'a', NULL), ('user:ann', 'a', '2999-01-01 00:00:00'),"
	     "('user:ann', 'b', '2999-01-01 00:00:00'), ('user:ann', 'b', 'x')");
	expect(ANN, "a", GRANT_VALID, false);
	expect(ANN, "b", GRANT_VALID, true);
}

static void test_changes_are_seen_at_once(void **state)
{
	for (int i = 0; i < 3; i++) {
		expect(ANN, "a", GRANT_NONE, false);
		grant(ANN, "a");
		expect(ANN, "a", GRANT_VALID, false);
		must("UPDATE grants SET expires_at = '2000-01-01 00:00:00'");
		expect(ANN, "a", GRANT_EXPIRED, true);
		must("DELETE FROM grants");
	}
}

static void test_between_begin_and_end_nothing_changes(void **state)
{
	int64_t version;

	grant(ANN, "a");
	assert_true(grants_begin(world.grants, &version));
	expect(ANN, "a", GRANT_VALID, false);
	must("DELETE FROM grants");
	expect(ANN, "a", GRANT_VALID, false);
	grants_end(world.grants);
	expect(ANN, "a", GRANT_NONE, false);
}

/* Afterwards no transaction keeps the write-ahead log from being emptied. */
static void test_no_read_transaction_is_held(void **state)
{
	sqlite3_stmt *st;
	int64_t version;

	grant(ANN, "a");
	assert_true(grants_begin(world.grants, &version));
	expect(ANN, "a", GRANT_VALID, false);
	grants_end(world.grants);
	grants_end(world.grants);
	expect(ANN, "a", GRANT_VALID, false);
	grant(ANN, "b");
	assert_int_equal(
		sqlite3_prepare_v2(world.writer, "PRAGMA wal_checkpoint(TRUNCATE)", -1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(st, 0), 0);
	sqlite3_finalize(st);
}

/* The version from grants_begin(). */
static int64_t version_now(void)
{
	int64_t version = 0;

	assert_true(grants_begin(world.grants, &version));
	grants_end(world.grants);
	assert_true(version > 0);
	return version;
}

static void test_each_commit_has_a_version(void **state)
{
	int64_t before = version_now();

	for (int i = 0; i < 5; i++) {
		assert_int_equal(version_now(), before);
		expect(ANN, "a", i == 0 ? GRANT_NONE : GRANT_VALID, false);
		assert_int_equal(version_now(), before);
		grant(ANN, "a");
		assert_int_not_equal(version_now(), before);
		before = version_now();
	}
}

static void test_each_file_has_a_version(void **state)
{
	const int64_t before = version_now();
	int64_t unused;

	grant(ANN, "a");
	expect(ANN, "a", GRANT_VALID, false);
	eventlog_close(world.log);
	expect(ANN, "a", GRANT_UNKNOWN, false);
	assert_false(grants_begin(world.grants, &unused));
	remove_database();
	make_database();
	assert_int_equal(eventlog_open(world.log), EVENTLOG_OK);
	assert_int_not_equal(version_now(), before);
	expect(ANN, "a", GRANT_NONE, false);
	grant(ANN, "b");
	expect(ANN, "b", GRANT_VALID, false);
}

static void test_a_closed_log_is_an_error(void **state)
{
	int64_t version;

	grant(ANN, "a");
	assert_true(grants_begin(world.grants, &version));
	eventlog_close(world.log);
	expect(ANN, "a", GRANT_UNKNOWN, false);
	assert_int_equal(grants_any(world.grants, ANN), GRANT_UNKNOWN);
	grants_end(world.grants);
	assert_int_equal(eventlog_open(world.log), EVENTLOG_OK);
	expect(ANN, "a", GRANT_VALID, false);
}

/* Without a write-ahead log a writer locks readers out. */
static void test_a_locked_database_is_an_error(void **state)
{
	grant(ANN, "a");
	eventlog_close(world.log);
	grants_free(world.grants);
	must("PRAGMA journal_mode=DELETE");
	assert_int_equal(eventlog_open(world.log), EVENTLOG_OK);
	world.grants = grants_new(world.log, "grants");
	expect(ANN, "a", GRANT_VALID, false);
	must("BEGIN EXCLUSIVE");
	expect(ANN, "a", GRANT_UNKNOWN, false);
	expect(ANN, "b", GRANT_UNKNOWN, false);
	assert_int_equal(grants_any(world.grants, ANN), GRANT_UNKNOWN);
	must("COMMIT");
	expect(ANN, "a", GRANT_VALID, false);
}

static void catch_stderr(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
}

static size_t count(const char *text, const char *part)
{
	size_t found = 0;

	for (; (text = strstr(text, part)); text++)
		found++;
	return found;
}

/* How many lines were logged; all mention the table. */
static size_t release_stderr(void)
{
	char text[4096];
	ssize_t length;

	restore_stderr();
	length = read(reader, text, sizeof(text) - 1);
	close(reader);
	text[length > 0 ? length : 0] = '\0';
	assert_int_equal(count(text, "no table of grants"), count(text, "\n"));
	return count(text, "\n");
}

/* Before the first use, and afterwards; the log says so once. */
static void test_without_a_table_nobody_has_a_grant(void **state)
{
	for (int told = 1; told >= 0; told--) {
		must("DROP TABLE grants");
		catch_stderr();
		for (int i = 0; i < 3; i++) {
			expect(ANN, "a", GRANT_NONE, false);
			assert_int_equal(grants_any(world.grants, ANN), GRANT_NONE);
		}
		assert_int_equal(release_stderr(), told);
		must(world.schema);
		grant(ANN, "a");
		expect(ANN, "a", GRANT_VALID, false);
		assert_int_equal(grants_any(world.grants, ANN), GRANT_VALID);
	}
}

#define GRANTS_TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRANTS_TEST(new_log_has_no_grants),
		GRANTS_TEST(a_grant_applies_to_its_subject_only),
		GRANTS_TEST(a_grant_covers_what_its_pattern_covers),
		GRANTS_TEST(short_patterns_against_the_rule),
		GRANTS_TEST(names_are_not_sql_patterns),
		GRANTS_TEST(the_longest_names),
		GRANTS_TEST(expiry_times),
		GRANTS_TEST(expired_grants_are_reported_as_expired),
		GRANTS_TEST(a_valid_grant_wins_over_an_expired_one),
		GRANTS_TEST(an_invalid_expiry_grants_nothing),
		GRANTS_TEST(the_longest_of_equal_grants_counts),
		GRANTS_TEST(changes_are_seen_at_once),
		GRANTS_TEST(between_begin_and_end_nothing_changes),
		GRANTS_TEST(no_read_transaction_is_held),
		GRANTS_TEST(each_commit_has_a_version),
		GRANTS_TEST(each_file_has_a_version),
		GRANTS_TEST(a_closed_log_is_an_error),
		GRANTS_TEST(a_locked_database_is_an_error),
		GRANTS_TEST(without_a_table_nobody_has_a_grant),
	};

	return cmocka_run_group_tests(tests, read_schema, NULL);
}
