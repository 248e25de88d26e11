#include "doctor/rows.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/token.h"

enum { BUSY_MS = 5000 };

struct rows {
	sqlite3 *db;
	char prefix[64], channel[2][96], pattern[96];
	char token[80];
	int64_t position;
};

/* Runs statements with up to two texts bound in each; all or nothing. */
static bool run(struct rows *r, const char *sql, const char *first, const char *second)
{
	bool fine = true;

	while (fine && *sql) {
		sqlite3_stmt *statement = NULL;

		fine = sqlite3_prepare_v2(r->db, sql, -1, &statement, &sql) == SQLITE_OK;
		if (!fine || !statement)
			break;
		if (sqlite3_bind_parameter_count(statement) > 0)
			sqlite3_bind_text(statement, 1, first, -1, SQLITE_STATIC);
		if (sqlite3_bind_parameter_count(statement) > 1)
			sqlite3_bind_text(statement, 2, second, -1, SQLITE_STATIC);
		while (sqlite3_step(statement) == SQLITE_ROW)
			if (sqlite3_column_type(statement, 0) == SQLITE_INTEGER)
				r->position = sqlite3_column_int64(statement, 0);
		fine = sqlite3_finalize(statement) == SQLITE_OK;
	}
	return fine;
}

static void make_names(struct rows *r)
{
	unsigned a = token_random(), b = token_random();

	snprintf(r->prefix, sizeof(r->prefix), "rowtail-doctor/%08x%08x", a, b);
	snprintf(r->channel[0], sizeof(r->channel[0]), "%s/rows", r->prefix);
	snprintf(r->channel[1], sizeof(r->channel[1]), "%s/leaving", r->prefix);
	snprintf(r->pattern, sizeof(r->pattern), "%s/*", r->prefix);
	for (size_t i = 0; i < 4; i++)
		snprintf(r->token + 16 * i, 17, "%08x%08x", token_random(), token_random());
}

/* What a doctor that was killed has left. (No run lasts half an hour.) */
static void remove_old(struct rows *r)
{
	run(r,
		"DELETE FROM events WHERE channel GLOB 'rowtail-doctor/*' AND created_at < "
		"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-30 minutes');"
		"UPDATE events_pruned SET id = 0 WHERE channel GLOB 'rowtail-doctor/*';"
		"DELETE FROM events_pruned WHERE channel GLOB 'rowtail-doctor/*' AND id = 0 AND "
		"deletion < (SELECT max(deletion) FROM events_pruned);"
		"DELETE FROM grants WHERE channel GLOB 'rowtail-doctor/*' AND expires_at < "
		"datetime('now')",
		NULL, NULL);
}

static bool grant(struct rows *r)
{
	char subject[sizeof("token:") + TOKEN_HEX], hash[TOKEN_HEX + 1];

	token_hash(r->token, strlen(r->token), hash);
	snprintf(subject, sizeof(subject), "token:%s", hash);
	return run(r,
		"INSERT INTO grants(subject, channel, expires_at) VALUES (?, ?, datetime('now', "
		"'+30 minutes'))",
		subject, r->pattern);
}

struct rows *rows_begin(const char *path, char *sentence, size_t size)
{
	struct rows *r = calloc(1, sizeof(*r));

	if (!r || !token_init()) {
		snprintf(sentence, size,
			"there is not enough memory, or no source of random numbers");
		free(r);
		return NULL;
	}
	make_names(r);
	if (sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(r->db, BUSY_MS);
		remove_old(r);
		if (run(r,
			    "SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = "
			    "'events'), 0)",
			    NULL, NULL) &&
			run(r, "SELECT NULL FROM events_pruned LIMIT 0", NULL, NULL) && grant(r))
			return r;
	}
	snprintf(sentence, size,
		"%s: %s. --db names a log that schema/rowtail.sql made, which this "
		"user can write",
		path, sqlite3_errmsg(r->db));
	sqlite3_close(r->db);
	free(r);
	return NULL;
}

const char *rows_channel(const struct rows *r, bool leaving)
{
	return r->channel[leaving];
}

const char *rows_token(const struct rows *r)
{
	return r->token;
}

int64_t rows_position(const struct rows *r)
{
	return r->position;
}

bool rows_insert(struct rows *r, bool leaving, const char *data)
{
	return run(r, "INSERT INTO events(channel, data) VALUES (?, ?)", r->channel[leaving], data);
}

/*
 * The trigger notes what was deleted, for readers that resume before it. Nobody else follows these
 * channels, except by `*`, and nobody misses these rows: the note becomes one that no reader is
 * behind. (It stays: its number must not be used again.)
 */
bool rows_end(struct rows *r, char *sentence, size_t size)
{
	bool fine =
		run(r, "BEGIN IMMEDIATE", NULL, NULL) &&
		run(r, "DELETE FROM events WHERE channel = ?", r->channel[0], NULL) &&
		run(r, "DELETE FROM events WHERE channel = ?", r->channel[1], NULL) &&
		run(r, "UPDATE events_pruned SET id = 0 WHERE channel GLOB ?", r->pattern, NULL) &&
		run(r, "DELETE FROM grants WHERE channel = ?", r->pattern, NULL) &&
		run(r, "COMMIT", NULL, NULL);

	if (!fine)
		snprintf(sentence, size,
			"the test rows stay in the log: %s. DELETE FROM events WHERE channel GLOB "
			"'%s'",
			sqlite3_errmsg(r->db), r->pattern);
	sqlite3_close(r->db);
	free(r);
	return fine;
}
