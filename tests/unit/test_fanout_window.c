/*
 * A batch of new rows that does not fit into the window as a whole: long types in a foreign table,
 * and rows that grow much when encoded. Waiting streams get every row unchanged.
 * links: stream/fanout stream/fanout_sweep stream/fanout_feed stream/fanout_look stream/fanout_step stream/fanout_kept stream/fanout_end stream/fanout_poll stream/poll stream/groups log/filter log/channel base/utf8 base/buffer protocol/sse protocol/wire log/gap stream/window stream/run protocol/record stream/subscriber stream/lane protocol/framing stream/leave log/eventlog log/eventlog_index log/eventlog_mark log/eventlog_table log/eventlog_read log/eventlog_seek log/eventlog_place log/row log/database stream/opening log/copied base/clock base/logging base/metrics base/file log/place log/trouble base/who
 * libs: -lsqlite3
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "eager.h"

static int set_up(void **state)
{
	fanned_begin("PRAGMA journal_mode=WAL;"
		     "CREATE TABLE other(id INTEGER PRIMARY KEY, event TEXT, data TEXT);"
		     "INSERT INTO other(data) VALUES ('before')",
		"other", 1000000);
	eager_open();
	eager_look();
	return 0;
}

static int tear_down(void **state)
{
	eager_leave();
	fanned_end();
	return 0;
}

/* The rows of the table after the first, each as the standard's parser reads it. */
static void expect_all_rows(void)
{
	struct eventstream p;
	sqlite3_stmt *st;
	size_t i = 1;

	fanned_parse(eager.bytes, eager.length, &p);
	assert_int_equal(
		sqlite3_prepare_v2(logfile.writer,
			"SELECT id, ifnull(event, 'message'), data FROM other WHERE id > 1 "
			"ORDER BY id",
			-1, &st, NULL),
		SQLITE_OK);
	for (; sqlite3_step(st) == SQLITE_ROW; i++) {
		if (i >= p.count)
			fail_msg("row %d did not come", sqlite3_column_int(st, 0));
		assert_int_equal(atoll(p.events[i].id), sqlite3_column_int64(st, 0));
		assert_string_equal(p.events[i].type, (const char *)sqlite3_column_text(st, 1));
		assert_int_equal(p.events[i].length, sqlite3_column_bytes(st, 2));
		assert_memory_equal(
			p.events[i].data, sqlite3_column_text(st, 2), p.events[i].length);
	}
	assert_int_equal(p.count, i);
	sqlite3_finalize(st);
	eventstream_free(&p);
}

static void insert_lines(int rows, int lines)
{
	char *sql =
		sqlite3_mprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
				"LIMIT %d) INSERT INTO other(data) SELECT "
				"replace(hex(zeroblob(%d)), '00', char(10)) FROM n",
			rows, lines);

	must(sql);
	sqlite3_free(sql);
}

/* Types of 3000 bytes, so that the names of one batch exceed the window. */
static void test_long_types(void **state)
{
	for (int round = 0; round < 5; round++) {
		must("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
		     "700) "
		     "INSERT INTO other(event, data) SELECT CASE WHEN i % 2 THEN "
		     "replace(hex(zeroblob(3000 + i)), '00', char(97 + i % 26)) END, 'row ' || i "
		     "FROM "
		     "n");
		eager_look();
	}
	expect_all_rows();
}

/*
 * Rows of line breaks, which take seven bytes each: wherever the window's memory ends, a batch of
 * many rows and a large one after them wraps around.
 */
static void test_rows_that_grow(void **state)
{
	for (int round = 0; round < 20; round++) {
		insert_lines(3 * round, 10000);
		eager_look();
		must("BEGIN");
		insert_lines(14, 10000);
		insert_lines(1, 262144);
		must("COMMIT");
		eager_look();
	}
	expect_all_rows();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_long_types, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rows_that_grow, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
