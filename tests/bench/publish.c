/*
 * publish: inserts rows into an event log, or sends the same as packets to the floor, or does both.
 *
 * By default each row is a separate transaction, as in an application; its payload says when the
 * INSERT began. Prints one line of JSON with its results and the time for a row. Pauses between
 * rows vary (half to one and a half of the mean), so that they do not synchronize with any timer.
 */
#include <err.h>
#include <getopt.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "histogram.h"
#include "payload.h"
#include "post.h"

static struct {
	const char *db; /* this */
	const char *to; /* and/or the floor's event socket */
	const char *post; /* or a path of a peer, at this port */
	const char *sync;
	const char *table;
	int64_t port;
	int64_t pushpin; /* the peer is Pushpin, not nchan */
	int64_t first_id; /* for the floor: the id of its next event */
	int64_t count;
	int64_t length; /* of the data, in bytes */
	int64_t pause_us; /* 0: as fast as it goes */
	int64_t batch; /* rows in a transaction */
	int64_t channels; /* over 1: row N goes into the channel c/M/x, M = N % channels */
} options = {.sync = "NORMAL",
	.table = "events",
	.first_id = 1,
	.count = 1,
	.length = 200,
	.batch = 1,
	.channels = 1};

static sqlite3 *db;
static sqlite3_stmt *insert, *begin_stmt, *commit_stmt;
static int packets;
static struct post peer;

static void check(int rc, int expected, const char *what)
{
	if (rc != expected)
		errx(1, "%s: %s", what, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(const char *sql)
{
	sqlite3_stmt *s;

	check(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK, sql);
	return s;
}

static void step(sqlite3_stmt *s)
{
	check(sqlite3_step(s), SQLITE_DONE, sqlite3_sql(s));
	sqlite3_reset(s);
}

static int64_t newest_id(void)
{
	sqlite3_stmt *s = prepare("SELECT coalesce(max(seq), 0) FROM sqlite_sequence "
				  "WHERE name = ?");

	sqlite3_bind_text(s, 1, options.table, -1, SQLITE_STATIC);
	check(sqlite3_step(s), SQLITE_ROW, "newest id");
	int64_t id = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return id;
}

static void open_db(void)
{
	char pragma[64], sql[128];

	check(sqlite3_open_v2(options.db, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK, options.db);
	sqlite3_busy_timeout(db, 10000);
	snprintf(pragma, sizeof pragma, "PRAGMA synchronous=%s", options.sync);
	check(sqlite3_exec(db, pragma, NULL, NULL, NULL), SQLITE_OK, pragma);
	snprintf(sql, sizeof sql,
		options.channels > 1 ? "INSERT INTO %s(data, channel) VALUES (?, ?)"
				     : "INSERT INTO %s(data) VALUES (?)",
		options.table);
	insert = prepare(sql);
	begin_stmt = prepare("BEGIN IMMEDIATE");
	commit_stmt = prepare("COMMIT");
	options.first_id = newest_id() + 1;
}

static void open_packets(void)
{
	struct sockaddr_un un;

	address_unix(&un, options.to);
	packets = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (packets < 0 || connect(packets, (struct sockaddr *)&un, sizeof un) < 0)
		err(1, "%s", options.to);
}

/* The floor pads a payload itself, so a large one need not fit into a packet. */
static void send_packet(const char *data)
{
	size_t length = options.length < 65536 ? (size_t)options.length : PAYLOAD_HEAD_MAX;

	if (send(packets, data, length, 0) != (ssize_t)length)
		err(1, "send");
}

static void insert_row(const char *data, int64_t id, int64_t n)
{
	if (options.batch > 1 && n % options.batch == 0)
		step(begin_stmt);
	char channel[32];

	if (options.channels > 1) {
		snprintf(channel, sizeof channel, "c/%lld/x", (long long)(id % options.channels));
		sqlite3_bind_text(insert, 2, channel, -1, SQLITE_STATIC);
	}
	sqlite3_bind_text(insert, 1, data, (int)options.length, SQLITE_STATIC);
	step(insert);
	if (sqlite3_last_insert_rowid(db) != id)
		errx(1, "row %lld became %lld: who else writes?", (long long)id,
			(long long)sqlite3_last_insert_rowid(db));
	if (options.batch > 1 && (n % options.batch == options.batch - 1 || n == options.count - 1))
		step(commit_stmt);
}

/* Sleeps until the next row is due; catches up if late. */
static void wait_for(int64_t *due_ns)
{
	static uint64_t random = 88172645463325252U;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	int64_t share = (int64_t)(random % 1000);
	*due_ns += options.pause_us * (500 + share);
	struct timespec until = {*due_ns / 1000000000, *due_ns % 1000000000};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void publish(struct histogram *commits)
{
	char *data = malloc((size_t)options.length + PAYLOAD_HEAD_MAX);
	int64_t due_ns = payload_now_ns();

	if (!data)
		err(1, "malloc");
	for (int64_t n = 0; n < options.count; n++) {
		if (options.pause_us > 0)
			wait_for(&due_ns);
		struct payload p = {options.first_id + n, payload_now_ns(), options.length};
		payload_write(data, &p);
		if (db)
			insert_row(data, p.id, n);
		if (options.post)
			post_send(&peer, data, (size_t)options.length);
		if (options.to)
			send_packet(data);
		histogram_add(commits, payload_now_ns() - p.stamp_ns);
	}
	free(data);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {{"db", required_argument, NULL, 0},
		{"to", required_argument, NULL, 0}, {"post", required_argument, NULL, 0},
		{"sync", required_argument, NULL, 0}, {"table", required_argument, NULL, 0},
		{"first", required_argument, NULL, 0}, {"count", required_argument, NULL, 0},
		{"length", required_argument, NULL, 0}, {"pause-us", required_argument, NULL, 0},
		{"batch", required_argument, NULL, 0}, {"port", required_argument, NULL, 0},
		{"pushpin", required_argument, NULL, 0}, {"channels", required_argument, NULL, 0},
		{NULL, 0, NULL, 0}};
	const char **texts[] = {
		&options.db, &options.to, &options.post, &options.sync, &options.table};
	int64_t *numbers[] = {&options.first_id, &options.count, &options.length, &options.pause_us,
		&options.batch, &options.port, &options.pushpin, &options.channels};
	int index = 0;

	for (int c; (c = getopt_long(argc, argv, "", known, &index)) != -1;) {
		if (c != 0)
			exit(64);
		if (index < 5)
			*texts[index] = optarg;
		else
			*numbers[index - 5] = strtoll(optarg, NULL, 10);
	}
	if (!!options.post == (options.db || options.to))
		errx(64, "--db, --to or both; or --post");
	if (options.channels < 1)
		errx(64, "--channels is 1 or more");
	if (options.length < PAYLOAD_HEAD_MAX || options.length > PAYLOAD_LENGTH_MAX)
		errx(64, "--length is %d to %d", PAYLOAD_HEAD_MAX, PAYLOAD_LENGTH_MAX);
}

int main(int argc, char **argv)
{
	static struct histogram commits;

	parse(argc, argv);
	if (options.db)
		open_db();
	if (options.post)
		post_open(&peer, (uint16_t)options.port, options.post, options.pushpin != 0);
	if (options.to)
		open_packets();
	int64_t began_ns = payload_now_ns();
	publish(&commits);
	printf("{\"last\":%lld,\"elapsed_ms\":%.3f,",
		(long long)(options.first_id + options.count - 1),
		(double)(payload_now_ns() - began_ns) / 1e6);
	histogram_print(&commits, "commit_us", stdout);
	puts("}");
	sqlite3_finalize(insert);
	sqlite3_finalize(begin_stmt);
	sqlite3_finalize(commit_stmt);
	sqlite3_close(db);
	return 0;
}
