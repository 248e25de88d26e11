/*
 * writer: one of the torture run's publishers.
 *
 * writer DB SEED RATE inserts about RATE rows a second, in transactions of one to thirty, with the
 * keys' numbers kept in the table torture_keys in the same transaction. Now and then it rolls one
 * back, or inserts a row of hundreds of kilobytes.
 *
 * Orders are lines on standard input: "pause" closes the database and prints "paused", "resume"
 * reopens it and prints "resumed". It exits at the end of standard input.
 */
#include <err.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "row.h"

enum { BUSY_MS = 60000, BATCH_MAX = 30 };

static const char *path;
static sqlite3 *db;
static sqlite3_stmt *look, *insert, *note;

static void check(int status, int wanted, const char *what)
{
	if (status != wanted)
		errx(1, "%s: %s", what, sqlite3_errmsg(db));
}

static void prepare(sqlite3_stmt **st, const char *sql)
{
	check(sqlite3_prepare_v2(db, sql, -1, st, NULL), SQLITE_OK, sql);
}

static void run(const char *sql)
{
	check(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, sql);
}

static void open_database(void)
{
	check(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK, path);
	sqlite3_busy_timeout(db, BUSY_MS);
	run("PRAGMA synchronous = NORMAL");
	prepare(&look, "SELECT id, number FROM torture_keys WHERE key = ?");
	prepare(&insert, "INSERT INTO events(channel, event, data) VALUES (?, ?, ?)");
	prepare(&note, "UPDATE torture_keys SET id = ?, number = ? WHERE key = ?");
}

static void close_database(void)
{
	sqlite3_finalize(look);
	sqlite3_finalize(insert);
	sqlite3_finalize(note);
	check(sqlite3_close(db), SQLITE_OK, "close");
}

static void next_of_key(struct row *r)
{
	sqlite3_bind_int(look, 1, r->key);
	check(sqlite3_step(look), SQLITE_ROW, "look");
	r->before = sqlite3_column_int64(look, 0);
	r->number = sqlite3_column_int64(look, 1) + 1;
	sqlite3_reset(look);
}

static int64_t fill_length(void)
{
	if (random() % 2000 == 0)
		return random() % 600000;
	return random() % 20 == 0 ? random() % 5000 : random() % 100;
}

static void publish(void)
{
	static char data[ROW_FILL_MAX + 1000];
	struct row r = {.key = (int)(random() % ROW_KEYS),
		.length = fill_length(),
		.lines = random() % 10 ? 0 : (int)(random() % ROW_LINES_MAX)};
	const char *type = row_type(r.key);

	next_of_key(&r);
	sqlite3_bind_text(insert, 1, row_channel(r.key), -1, SQLITE_TRANSIENT);
	if (*type)
		sqlite3_bind_text(insert, 2, type, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(insert, 2);
	sqlite3_bind_text(insert, 3, data, (int)row_write(data, &r), SQLITE_STATIC);
	check(sqlite3_step(insert), SQLITE_DONE, "insert");
	sqlite3_reset(insert);
	sqlite3_bind_int64(note, 1, sqlite3_last_insert_rowid(db));
	sqlite3_bind_int64(note, 2, r.number);
	sqlite3_bind_int(note, 3, r.key);
	check(sqlite3_step(note), SQLITE_DONE, "note");
	sqlite3_reset(note);
}

/* Returns the number of attempted rows. */
static int publish_some(void)
{
	int count = 1 + (int)(random() % BATCH_MAX);

	run("BEGIN IMMEDIATE");
	for (int i = 0; i < count; i++)
		publish();
	run(random() % 20 == 0 ? "ROLLBACK" : "COMMIT");
	return count;
}

/* Waits, and carries out orders; false at the end. */
static bool wait_for_orders(int wait_ms)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	static bool paused;
	char line[64];

	if (poll(&in, 1, paused ? -1 : wait_ms) <= 0)
		return true;
	if (!fgets(line, sizeof line, stdin))
		return false;
	if (!strcmp(line, "pause\n") && !paused) {
		close_database();
		paused = true;
		puts("paused");
	} else if (!strcmp(line, "resume\n") && paused) {
		open_database();
		paused = false;
		puts("resumed");
	}
	fflush(stdout);
	return !paused || wait_for_orders(-1);
}

int main(int argc, char **argv)
{
	double rate;
	int count = 0;

	if (argc != 4)
		errx(64, "writer DB SEED RATE");
	path = argv[1];
	srandom((unsigned)strtoul(argv[2], NULL, 10));
	rate = strtod(argv[3], NULL);
	setvbuf(stdin, NULL, _IONBF, 0);
	open_database();
	while (wait_for_orders((int)(count * 1000 / rate)))
		count = publish_some();
	close_database();
	return 0;
}
