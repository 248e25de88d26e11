/*
 * Publishes one record:
 *
 *     cc -o publish publish.c -lsqlite3
 *     ./publish events.db orders/42 paid '{"total": 12}'
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

/* Waits up to 10 s if another writer is busy. */
sqlite3 *events_open(const char *path)
{
	sqlite3 *db;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		errx(1, "%s: %s", path, sqlite3_errmsg(db));
	sqlite3_busy_timeout(db, 10000);
	return db;
}

/*
 * All texts are UTF-8 and end at a NUL. If the data may contain a NUL, pass its length instead of
 * -1. event is NULL for a plain message. Returns the record's id, or 0 on an error, which
 * sqlite3_errmsg(db) describes. If you publish a lot, keep the prepared statement.
 */
int64_t publish(sqlite3 *db, const char *channel, const char *event, const char *data)
{
	static const char insert[] = "INSERT INTO events(channel, event, data) VALUES (?, ?, ?)";
	sqlite3_stmt *row;
	int done;

	if (sqlite3_prepare_v2(db, insert, -1, &row, NULL) != SQLITE_OK)
		return 0;
	sqlite3_bind_text(row, 1, channel, -1, SQLITE_STATIC);
	sqlite3_bind_text(row, 2, event, -1, SQLITE_STATIC);
	sqlite3_bind_text(row, 3, data, -1, SQLITE_STATIC);
	done = sqlite3_step(row);
	sqlite3_finalize(row);
	return done == SQLITE_DONE ? sqlite3_last_insert_rowid(db) : 0;
}

int main(int argc, char **argv)
{
	sqlite3 *db;
	int64_t id;

	if (argc != 5)
		errx(64, "usage: publish DATABASE CHANNEL EVENT DATA");
	db = events_open(argv[1]);
	id = publish(db, argv[2], *argv[3] ? argv[3] : NULL, argv[4]);
	if (!id)
		errx(1, "%s", sqlite3_errmsg(db));
	printf("%lld\n", (long long)id);
	sqlite3_close(db);
	return EXIT_SUCCESS;
}
