/* links: log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database log/filter log/channel base/buffer base/utf8 base/clock base/file log/place log/trouble base/who */
/* libs: -lsqlite3 */
/*
 * The followed table, in real files: opening and its errors, reading in turns against a model,
 * missing rows, and a replaced file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "log/eventlog.h"
#include "logfile.h"

enum { TAKEN_MAX = 8000 };

static struct eventlog *eventlog;
static int64_t taken[TAKEN_MAX];
static size_t taken_count, room;

static int set_up(void **state)
{
	srandom(4);
	logfile_begin(NULL);
	assert_non_null(eventlog = eventlog_new(logfile.path, "events"));
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_OK);
	return 0;
}

static int tear_down(void **state)
{
	eventlog_free(eventlog);
	logfile_end();
	return 0;
}

/* One channel, or two separated by a space. */
static struct filter *follow(const char *names, const char *event)
{
	size_t first = strcspn(names, " "), event_length = event ? strlen(event) : 0;
	const char *channels[] = {names, names + first + 1};
	size_t lengths[] = {first, names[first] ? strlen(channels[1]) : 0};

	return filter_new(
		channels, lengths, lengths[1] ? 2 : 1, &event, &event_length, event != NULL);
}

static bool take(void *context, const struct row *row)
{
	if (room == 0)
		return false;
	room--;
	assert_true(taken_count < TAKEN_MAX);
	taken[taken_count++] = row->id;
	return true;
}

/* Reads to the end in turns of `rows`; the result must equal the query's. */
static void expect_read(
	const char *channel, const char *event, int64_t after, size_t rows, const char *where)
{
	struct filter *f = channel ? follow(channel, event) : NULL;
	struct eventlog_batch batch = {0};
	int64_t at = after, turns = 0;
	sqlite3_stmt *st;
	size_t i = 0;
	char *sql = sqlite3_mprintf("SELECT id FROM events WHERE id > %lld AND (%s) ORDER BY id",
		(long long)after, where);

	taken_count = 0;
	do {
		size_t before = taken_count;

		room = TAKEN_MAX;
		assert_int_equal(
			eventlog_read(eventlog, f, at, INT64_MAX, rows, take, NULL, &batch),
			EVENTLOG_OK);
		assert_true(taken_count - before <= rows);
		assert_int_equal(batch.pruned.id, 0);
		/* Each turn makes progress, or it is the end. */
		assert_true(batch.scanned > at || batch.at_end);
		if (taken_count > before)
			assert_true(batch.scanned >= taken[taken_count - 1]);
		at = batch.scanned;
		assert_true(++turns < 100000);
	} while (!batch.at_end);
	assert_int_equal(sqlite3_prepare_v2(logfile.writer, sql, -1, &st, NULL), SQLITE_OK);
	for (; sqlite3_step(st) == SQLITE_ROW; i++)
		assert_int_equal(i < taken_count ? taken[i] : -1, sqlite3_column_int64(st, 0));
	assert_int_equal(i, taken_count);
	sqlite3_finalize(st);
	sqlite3_free(sql);
	free(f);
}

/* Some channels have one row in hundreds, so that the index is used. */
static void fill(void)
{
	must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6000) "
	     "INSERT INTO events(channel, event, data) SELECT CASE WHEN i % 500 = 7 THEN 'rare' "
	     "WHEN i % 1700 = 11 THEN 'seldom' "
	     "WHEN i % 3 THEN 'often' ELSE 'a/' || (i % 4) END, "
	     "CASE WHEN i % 7 IN (1, 6) THEN 'paid' END, i FROM n");
}

static void test_reading_in_turns(void **state)
{
	static const size_t rows[] = {1, 7, 512, 5000};
	static const int64_t positions[] = {0, 1, 506, 507, 3000, 5999, 6000};

	fill();
	for (size_t p = 0; p < sizeof(positions) / sizeof(positions[0]); p++)
		for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
			if (rows[r] == 1 && positions[p] < 3000)
				continue;
			expect_read(NULL, NULL, positions[p], rows[r], "1");
			expect_read("rare", NULL, positions[p], rows[r], "channel = 'rare'");
			expect_read("rare seldom", "paid", positions[p], rows[r],
				"channel IN ('rare', 'seldom') AND event = 'paid'");
			expect_read("often", "paid", positions[p], rows[r],
				"channel = 'often' AND event = 'paid'");
			expect_read("often", "message", positions[p], rows[r],
				"channel = 'often' AND event IS NULL");
			expect_read("a/*", NULL, positions[p], rows[r], "channel LIKE 'a/%'");
			expect_read("none", NULL, positions[p], rows[r], "0");
		}
}

/* A row that does not fit is the first of the next turn. */
static void test_no_room(void **state)
{
	struct eventlog_batch batch = {0};

	fill();
	taken_count = 0;
	room = 3;
	assert_int_equal(
		eventlog_read(eventlog, NULL, 10, 0, 100, take, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(taken_count, 3);
	assert_int_equal(batch.scanned, 13);
	assert_false(batch.at_end);
}

static void test_bounds(void **state)
{
	struct eventlog_bounds bounds;

	assert_int_equal(eventlog_bounds(eventlog, &bounds), EVENTLOG_OK);
	assert_int_equal(bounds.newest, 0);
	assert_int_equal(bounds.oldest, 1);
	must("INSERT INTO events(data) VALUES ('1'), ('2'), ('3'); DELETE FROM events WHERE id < "
	     "3");
	assert_int_equal(eventlog_bounds(eventlog, &bounds), EVENTLOG_OK);
	assert_int_equal(bounds.oldest, 3);
	assert_int_equal(bounds.newest, 3);
	/* Deleted ids count. */
	must("DELETE FROM events");
	assert_int_equal(eventlog_bounds(eventlog, &bounds), EVENTLOG_OK);
	assert_int_equal(bounds.oldest, 4);
	assert_int_equal(bounds.newest, 3);
}

static void expect_place(const char *channel, int64_t position, bool gap, enum gap reason,
	int64_t id, int64_t pruned)
{
	struct filter *f = follow(channel, NULL);
	struct eventlog_place place;

	assert_int_equal(eventlog_place(eventlog, f, position, &place), EVENTLOG_OK);
	if (place.gap != gap || place.id != id)
		fail_msg("%s after %d: gap %d, on after %d", channel, (int)position, place.gap,
			(int)place.id);
	if (gap)
		assert_int_equal(place.reason, reason);
	if (gap && reason == GAP_PRUNED)
		assert_int_equal(place.pruned.id, pruned);
	free(f);
}

/* Rows 3 and 7 of a and 5 of b are deleted: readers who missed them get a gap, and nobody else. */
static void test_places(void **state)
{
	must("INSERT INTO events(channel) VALUES ('a'),('b'),('a/1'),('b'),('b'),('b'),('a/2'),"
	     "('c'),('a'),('b'); DELETE FROM events WHERE id IN (3, 5, 7)");
	expect_place("c", 0, false, 0, 0, 0);
	expect_place("a", 0, false, 0, 0, 0);
	expect_place("b", 4, true, GAP_PRUNED, 5, 5);
	expect_place("b", 5, false, 0, 5, 0);
	/* No further than the remaining rows: row 4 comes next. */
	expect_place("b", 3, true, GAP_PRUNED, 3, 5);
	expect_place("a/*", 6, true, GAP_PRUNED, 7, 7);
	expect_place("a/*", 7, false, 0, 7, 0);
	expect_place("a/1", 2, true, GAP_PRUNED, 3, 3);
	expect_place("a/1", 3, false, 0, 3, 0);
	expect_place("*", 6, true, GAP_PRUNED, 7, 7);
	expect_place("*", 7, false, 0, 7, 0);
	expect_place("c", 10, false, 0, 10, 0);
	expect_place("c", 11, true, GAP_FUTURE, 10, 0);
	expect_place("c", INT64_MAX, true, GAP_FUTURE, 10, 0);
}

/* '/' is one byte below '0', and nothing else lies between: "a0" is not of "a/" + "*". */
static void test_places_of_a_pattern_end_where_it_ends(void **state)
{
	must("INSERT INTO events(channel) VALUES ('a'),('a0'),('a.'),('a/'),('ab'); "
	     "DELETE FROM events WHERE id IN (1, 2, 3, 5)");
	expect_place("a/*", 0, false, 0, 0, 0);
	must("DELETE FROM events WHERE id = 4");
	expect_place("a/*", 0, true, GAP_PRUNED, 4, 4);
}

/* Many channels were merged: the row '*' represents all. */
static void test_place_of_merged_channels(void **state)
{
	must("INSERT INTO events(channel) VALUES ('a'),('b'),('c'); DELETE FROM events WHERE id = "
	     "1;"
	     "UPDATE events_pruned SET channel = '*'");
	expect_place("c", 0, true, GAP_PRUNED, 1, 1);
	expect_place("c", 1, false, 0, 1, 0);
}

/* Rows are deleted while a slow reader reads: it is told before it reads further. */
static void test_pruned_in_a_batch(void **state)
{
	struct filter *f = follow("a", NULL), *g = follow("b", NULL);
	struct eventlog_batch batch = {0};
	int64_t told;

	must("INSERT INTO events(channel) VALUES ('a'),('b'),('a'),('b'),('a'),('b')");
	must("DELETE FROM events WHERE id IN (1, 5)");
	taken_count = 0;
	room = 100;
	assert_int_equal(eventlog_read(eventlog, f, 0, 0, 100, take, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(batch.pruned.id, 5);
	assert_int_equal(batch.next, 2);
	assert_int_equal(batch.bounds.oldest, 2);
	assert_int_equal(batch.bounds.newest, 6);
	assert_int_equal(taken_count, 0);
	/* Once told, it continues. */
	told = batch.pruned.deletion;
	assert_int_equal(eventlog_read(eventlog, f, 1, told, 100, take, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(batch.pruned.id, 0);
	assert_int_equal(taken_count, 1);
	assert_int_equal(taken[0], 3);
	/* Nothing of b is missing. */
	assert_int_equal(eventlog_read(eventlog, g, 0, 0, 100, take, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(batch.pruned.id, 0);
	assert_int_equal(taken_count, 4);
	free(f);
	free(g);
}

/* The deletions that are new to a reader of `channel` after `after` affect rows up to `pruned`. */
static void expect_pruned(const char *channel, int64_t after, int64_t told, int64_t pruned)
{
	struct filter *f = follow(channel, NULL);
	struct eventlog_batch batch = {0};

	room = 0;
	assert_int_equal(
		eventlog_read(eventlog, f, after, told, 1, take, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(batch.pruned.id, pruned);
	free(f);
}

/* Every deletion is reported, wherever its rows were, unless they were before the reader. */
static void test_later_deletions_of_lower_ids_are_reported(void **state)
{
	static const char *const channels[] = {"a", "*", "a b", "b *"};

	must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20) "
	     "INSERT INTO events(channel) SELECT 'a' FROM n");
	must("DELETE FROM events WHERE id = 19"); /* deletion 1 */
	must("DELETE FROM events WHERE id = 15"); /* 2 */
	must("DELETE FROM events WHERE id IN (8, 9)"); /* 3, 4 */
	must("DELETE FROM events WHERE id = 12"); /* 5 */
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
		expect_pruned(channels[i], 3, 0, 19);
		expect_pruned(channels[i], 3, 1, 15);
		expect_pruned(channels[i], 3, 2, 12);
		expect_pruned(channels[i], 3, 4, 12);
		expect_pruned(channels[i], 3, 5, 0);
		expect_pruned(channels[i], 12, 2, 0);
		expect_pruned(channels[i], 12, 1, 15);
		expect_pruned(channels[i], 12, EVENTLOG_TOLD_ALL, 0);
	}
	expect_pruned("b", 3, 0, 0);
	expect_pruned("a/*", 3, 0, 0);
	must("INSERT INTO events(channel) VALUES ('a/1'); DELETE FROM events WHERE id = 21");
	expect_pruned("a/*", 3, 5, 21);
	expect_pruned("a/*", 3, 6, 0);
	/* Patterns within others. */
	expect_pruned("a/* a/1 a/1/*", 3, 5, 21);
	expect_pruned("a/1/* a/1", 3, 5, 21);
	expect_pruned("a/1/* a/2/*", 3, 5, 0);
	/* A number that this log has not reached is from another log. */
	expect_pruned("a/*", 3, 7, 21);
}

/* A reader who missed nothing need not check those deletions again, only later ones. */
static void test_known_deletions_are_not_checked_again(void **state)
{
	struct filter *f = follow("b/*", NULL);
	struct eventlog_batch batch = {0};
	int64_t told;

	must("INSERT INTO events(channel) VALUES ('b/1'),('a'),('b/1'),('b/2'),('a')");
	must("DELETE FROM events WHERE id IN (2, 5)");
	room = 1;
	taken_count = 0;
	assert_int_equal(eventlog_read(eventlog, f, 0, 0, 1, take, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(batch.pruned.id, 0);
	assert_int_equal(taken_count, 1);
	told = batch.pruned.deletion;
	assert_int_equal(told, 2);
	must("DELETE FROM events WHERE id = 4");
	expect_pruned("b/*", 1, told, 4);
	free(f);
}

/*
 * The position before the newest `want` matching rows, or before all of them, by a query. Behind
 * the newest row if none matches.
 */
static void expect_seek(
	const char *channel, const char *event, int64_t want, int64_t floor, const char *where)
{
	struct filter *f = follow(channel, event);
	struct eventlog_seek seek = {.want = want, .floor = floor, .last = INT64_MAX};
	sqlite3_stmt *st;
	char *sql =
		sqlite3_mprintf("SELECT min(id), count(*) FROM (SELECT id FROM events WHERE (%s) "
				"AND id > %lld ORDER BY id DESC LIMIT %lld)",
			where, (long long)floor, (long long)want);
	int64_t wanted;

	for (int turns = 0; !seek.done; turns++) {
		assert_true(turns < 1000);
		assert_int_equal(eventlog_seek(eventlog, f, &seek), EVENTLOG_OK);
	}
	assert_int_equal(sqlite3_prepare_v2(logfile.writer, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	wanted = sqlite3_column_int64(st, 0) - 1;
	if (sqlite3_column_int64(st, 1) == 0)
		wanted = floor > 6000 ? floor : 6000;
	sqlite3_finalize(st);
	sqlite3_free(sql);
	free(f);
	assert_int_equal(seek.id, wanted);
}

static void test_seeking(void **state)
{
	static const int64_t wants[] = {1, 2, 11, 12, 13, 1000, 4000, 6000, 7000};
	static const int64_t floors[] = {0, 100, 5507, 6000};

	fill();
	for (size_t w = 0; w < sizeof(wants) / sizeof(wants[0]); w++)
		for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++) {
			expect_seek("rare", NULL, wants[w], floors[i], "channel = 'rare'");
			expect_seek("*", NULL, wants[w], floors[i], "1");
			expect_seek("a/*", NULL, wants[w], floors[i], "channel LIKE 'a/%'");
			expect_seek("rare seldom", NULL, wants[w], floors[i],
				"channel IN ('rare', 'seldom')");
			expect_seek("often", "paid", wants[w], floors[i],
				"channel = 'often' AND event = 'paid'");
		}
}

/* How many calls a seek for the 10 newest rows takes. Each looks at a bounded number of rows. */
static int seek_turns(const char *channel, const char *event, int64_t *found)
{
	struct filter *f = follow(channel, event);
	struct eventlog_seek seek = {.want = 10, .last = INT64_MAX};
	int turns = 0;

	for (; !seek.done && turns < 2000; turns++)
		assert_int_equal(eventlog_seek(eventlog, f, &seek), EVENTLOG_OK);
	free(f);
	*found = seek.found;
	return turns;
}

/* Old and rare rows below 40,000 others. The index finds them at once, however many channels. */
static void test_seeking_follows_the_index(void **state)
{
	static const struct {
		const char *channel, *event;
		int64_t found;
	} cases[] = {
		{"none/*", NULL, 0},
		{"none/* nobody/* no", NULL, 0},
		{"rare/*", NULL, 10},
		{"rare/* rare/7/*", NULL, 10},
		{"rare/* none/*", NULL, 10},
		{"few/*", NULL, 10},
		{"few/0", "paid", 2},
		{"rare/1", "paid", 1},
		{"rare/1", "other", 0},
		{"rare/*", "paid", 10},
		{"rare/*", "other", 0},
		{"none/*", "other", 0},
	};
	int64_t found;

	must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 900) "
	     "INSERT INTO events(channel, event) SELECT 'rare/' || i, 'paid' FROM n");
	must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300) "
	     "INSERT INTO events(channel, event) SELECT 'few/' || (i % 3), "
	     "CASE WHEN i % 50 = 0 THEN 'paid' END FROM n");
	must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40000) "
	     "INSERT INTO events(channel) SELECT 'often' FROM n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int turns = seek_turns(cases[i].channel, cases[i].event, &found);

		assert_int_equal(found, cases[i].found);
		/* With sanitizers the types of 900 rows may take more than the time of one call. */
		assert_in_range(turns, 1, 10);
	}
	assert_in_range(seek_turns("*", "other", &found), 20, 2000);
}

static void test_version_changes_with_every_commit(void **state)
{
	int64_t before, after;

	assert_int_equal(eventlog_version(eventlog, &before), EVENTLOG_OK);
	assert_int_equal(eventlog_version(eventlog, &after), EVENTLOG_OK);
	assert_int_equal(before, after);
	for (int i = 0; i < 5; i++) {
		must("INSERT INTO events DEFAULT VALUES");
		assert_int_equal(eventlog_version(eventlog, &after), EVENTLOG_OK);
		assert_true(after != before);
		before = after;
	}
}

/* No transaction is open between two calls: the write-ahead log can be emptied at any moment. */
static void test_nothing_is_held_open(void **state)
{
	struct eventlog_batch batch = {0};
	struct filter *f = follow("a/*", NULL);
	struct eventlog_seek seek = {.want = 5000, .last = INT64_MAX};
	char wal[128];
	struct stat st;

	fill();
	room = 10;
	taken_count = 0;
	assert_int_equal(eventlog_read(eventlog, NULL, 0, 0, 100, take, NULL, &batch), EVENTLOG_OK);
	assert_int_equal(eventlog_seek(eventlog, f, &seek), EVENTLOG_OK);
	expect_place("a/*", 5, false, 0, 5, 0);
	free(f);
	must("PRAGMA wal_checkpoint(TRUNCATE)");
	snprintf(wal, sizeof(wal), "%s-wal", logfile.path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void test_file_replaced(void **state)
{
	struct eventlog_bounds bounds;
	unsigned generation = eventlog_generation(eventlog);

	must("INSERT INTO events(data) VALUES ('1'), ('2')");
	assert_int_equal(eventlog_file(eventlog, true), EVENTLOG_SAME);
	assert_false(eventlog_was_replaced(eventlog));
	logfile_replace(NULL, "INSERT INTO events(data) VALUES ('one')");
	assert_int_equal(eventlog_file(eventlog, true), EVENTLOG_REPLACED);
	eventlog_close(eventlog);
	assert_false(eventlog_is_open(eventlog));
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_OK);
	assert_true(eventlog_was_replaced(eventlog));
	assert_true(eventlog_generation(eventlog) != generation);
	eventlog_replaced_told(eventlog);
	assert_false(eventlog_was_replaced(eventlog));
	assert_int_equal(eventlog_file(eventlog, true), EVENTLOG_SAME);
	assert_int_equal(eventlog_bounds(eventlog, &bounds), EVENTLOG_OK);
	assert_int_equal(bounds.newest, 1);
	/* The same file again is not a replacement. */
	eventlog_close(eventlog);
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_OK);
	assert_false(eventlog_was_replaced(eventlog));
}

/* Nobody was told yet: the replacement is remembered even if the new file has no table at first. */
static void test_replacement_is_reported_until_acknowledged(void **state)
{
	logfile_replace("CREATE TABLE another(id)", "");
	eventlog_close(eventlog);
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_FAULT);
	must("CREATE TABLE events(id INTEGER PRIMARY KEY, data)");
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_OK);
	assert_true(eventlog_was_replaced(eventlog));
}

static void test_missing_file(void **state)
{
	assert_int_equal(rename(logfile.path, logfile.other), 0);
	assert_int_equal(eventlog_file(eventlog, true), EVENTLOG_GONE);
	eventlog_close(eventlog);
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_FAULT);
	assert_non_null(strstr(eventlog_error(eventlog), logfile.path));
	assert_false(eventlog_is_open(eventlog));
	assert_int_equal(rename(logfile.other, logfile.path), 0);
	assert_int_equal(eventlog_open(eventlog), EVENTLOG_OK);
	assert_false(eventlog_was_replaced(eventlog));
}

static void expect_fault(const char *table, const char *sql, const char *says)
{
	struct eventlog *log;

	must(sql);
	assert_non_null(log = eventlog_new(logfile.path, table));
	assert_int_equal(eventlog_open(log), EVENTLOG_FAULT);
	assert_false(eventlog_is_open(log));
	if (!strstr(eventlog_error(log), says))
		fail_msg("%s", eventlog_error(log));
	eventlog_free(log);
}

static void test_tables_with_missing_columns(void **state)
{
	expect_fault("none", "", "no table or view \"none\"");
	expect_fault("nodata", "CREATE TABLE nodata(id INTEGER PRIMARY KEY)", "no column \"data\"");
	expect_fault("noid", "CREATE TABLE noid(data TEXT)", "no column \"id\"");
	expect_fault("events", "DROP TABLE events", "schema/rowtail.sql");
}

static char got[256];

static bool describe(void *context, const struct row *row)
{
	size_t used = strlen(got);

	snprintf(got + used, sizeof(got) - used, "%d %.*s %.*s %.*s %d;", (int)row->id,
		(int)row->channel_length, row->channel, (int)row->event_length,
		row->event ? row->event : "-", (int)row->data_length, row->data,
		(int)row->retry_ms);
	return true;
}

/* An application's table or view: missing columns get their defaults. */
static void expect_rows(const char *table, const char *sql, const char *wanted)
{
	struct eventlog *log = eventlog_new(logfile.path, table);
	struct eventlog_batch batch = {0};

	must(sql);
	assert_int_equal(eventlog_open(log), EVENTLOG_OK);
	*got = '\0';
	assert_int_equal(eventlog_read(log, NULL, 0, 0, 9, describe, NULL, &batch), EVENTLOG_OK);
	assert_string_equal(got, wanted);
	assert_true(batch.at_end);
	eventlog_free(log);
}

static void test_other_tables(void **state)
{
	expect_rows("two",
		"CREATE TABLE two(id INTEGER PRIMARY KEY, data);"
		"INSERT INTO two VALUES (5, 'x'), (7, NULL), (9, 12)",
		"5 default  x -1;7 default   -1;9 default  12 -1;");
	expect_rows("A \"view\"",
		"CREATE VIEW \"a \"\"view\"\"\" AS SELECT id, 'c' || id AS Channel, "
		"CASE id WHEN 5 THEN 'gap' WHEN 7 THEN '' ELSE 'paid' END AS event, data, "
		"CASE id WHEN 5 THEN 100 WHEN 7 THEN 'x' END AS retry FROM two",
		"5 c5  x 100;7 c7   -1;9 c9 paid 12 -1;");
	expect_rows("views",
		"CREATE VIEW views AS SELECT 1 AS id, NULL AS channel, x'4142' AS data",
		"1 default  AB -1;");
}

static void test_damaged_file(void **state)
{
	FILE *file = fopen(logfile.other, "w");
	struct eventlog *log = eventlog_new(logfile.other, "events");
	int64_t version;

	for (int i = 0; i < 300; i++)
		fputs("this is no database ", file);
	fclose(file);
	assert_int_equal(eventlog_open(log), EVENTLOG_FAULT);
	assert_non_null(strstr(eventlog_error(log), logfile.other));
	assert_int_equal(eventlog_version(log, &version), EVENTLOG_FAULT);
	eventlog_free(log);
}

/* Another program has locked the whole file: the call can be retried, and nothing is closed. */
static void test_locked_file(void **state)
{
	struct eventlog_bounds bounds;
	struct eventlog *log;

	/* In WAL mode readers do not wait for a writer. */
	eventlog_close(eventlog);
	must("PRAGMA journal_mode=DELETE");
	log = eventlog_new(logfile.path, "events");
	must("BEGIN EXCLUSIVE");
	assert_int_equal(eventlog_open(log), EVENTLOG_BUSY);
	must("COMMIT");
	assert_int_equal(eventlog_open(log), EVENTLOG_OK);
	must("BEGIN EXCLUSIVE");
	assert_int_equal(eventlog_bounds(log, &bounds), EVENTLOG_BUSY);
	assert_true(eventlog_is_open(log));
	must("COMMIT");
	assert_int_equal(eventlog_bounds(log, &bounds), EVENTLOG_OK);
	eventlog_free(log);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reading_in_turns),
		TEST(test_no_room),
		TEST(test_bounds),
		TEST(test_places),
		TEST(test_places_of_a_pattern_end_where_it_ends),
		TEST(test_place_of_merged_channels),
		TEST(test_pruned_in_a_batch),
		TEST(test_later_deletions_of_lower_ids_are_reported),
		TEST(test_known_deletions_are_not_checked_again),
		TEST(test_seeking),
		TEST(test_seeking_follows_the_index),
		TEST(test_version_changes_with_every_commit),
		TEST(test_nothing_is_held_open),
		TEST(test_file_replaced),
		TEST(test_replacement_is_reported_until_acknowledged),
		TEST(test_missing_file),
		TEST(test_tables_with_missing_columns),
		TEST(test_other_tables),
		TEST(test_damaged_file),
		TEST(test_locked_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
