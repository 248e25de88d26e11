#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "publish/store_impl.h"

enum { MINUTE_S = 60 };

/* A query with up to two texts and a number. Read its row, if any, before finalizing it. */
static int query(struct store *s, sqlite3_stmt **st, const char *sql, const char *first,
	const char *second, int64_t number)
{
	int code = sqlite3_prepare_v2(s->db, sql, -1, st, NULL);

	if (code == SQLITE_OK && first)
		code = sqlite3_bind_text(*st, 1, first, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && second)
		code = sqlite3_bind_text(*st, 2, second, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && sqlite3_bind_parameter_count(*st) > 2)
		code = sqlite3_bind_int64(*st, 3, number);
	return code == SQLITE_OK ? sqlite3_step(*st) : code;
}

/* Runs a statement without a result. */
static enum store_status change(struct store *s, const char *sql, const char *first,
	const char *second, int64_t number, char *sentence)
{
	sqlite3_stmt *st = NULL;
	int code = query(s, &st, sql, first, second, number);
	enum store_status status =
		code == SQLITE_DONE ? STORE_DONE : store_failed(s, code, sentence);

	sqlite3_finalize(st);
	return status;
}

/* rowtail-mirror would delete what is published into its copy. */
enum store_status store_refuse_copy(struct store *s, char *sentence)
{
	sqlite3_stmt *st = NULL;
	int code = query(s, &st, "SELECT 1 FROM main.sqlite_master WHERE name = 'rowtail_mirror'",
		NULL, NULL, 0);
	enum store_status status = STORE_DONE;

	if (code == SQLITE_ROW)
		status = store_fault(s, sentence,
			"this database is a copy that rowtail-mirror keeps; publish into the "
			"PostgreSQL "
			"database that it is a copy of");
	else if (code != SQLITE_DONE)
		status = store_failed(s, code, sentence);
	sqlite3_finalize(st);
	return status;
}

/* Was the key used before? STORE_DONE: no. */
static enum store_status look_up_key(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	sqlite3_stmt *st = NULL;
	enum store_status status = STORE_DONE;
	int code;

	if (!ask->key)
		return STORE_DONE;
	code = query(s, &st,
		"SELECT fingerprint = ?2, answer FROM main.rowtail_publish_keys WHERE key = ?1",
		ask->key, ask->fingerprint, 0);
	if (code == SQLITE_ROW && !sqlite3_column_int(st, 0)) {
		store_say(result->sentence,
			"this Idempotency-Key was used for another request; use a new key for "
			"each request");
		status = STORE_KEY_REUSED;
	} else if (code == SQLITE_ROW) {
		const char *answer = (const char *)sqlite3_column_text(st, 1);

		snprintf(result->answer, sizeof(result->answer), "%s", answer ? answer : "");
		status = answer ? STORE_REPEATED : store_no_memory(result->sentence);
	} else if (code != SQLITE_DONE) {
		status = store_failed(s, code, result->sentence);
	}
	sqlite3_finalize(st);
	return status;
}

static enum store_status check_rate(
	struct store *s, const struct store_rate *rate, size_t count, struct store_result *result)
{
	int64_t now_s = clock_unix(), used = 0;
	sqlite3_stmt *st = NULL;
	int code;

	if (!rate->most)
		return STORE_DONE;
	code = query(s, &st,
		"SELECT messages, ?2 FROM main.rowtail_publish_rates WHERE name = ?1 AND minute = "
		"?3",
		rate->name, NULL, now_s / MINUTE_S);
	if (code == SQLITE_ROW)
		used = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return store_failed(s, code, result->sentence);
	if ((int64_t)count <= rate->most - used)
		return STORE_DONE;
	result->retry_after_s = (int)(MINUTE_S - now_s % MINUTE_S);
	snprintf(result->sentence, sizeof(result->sentence),
		(int64_t)count > rate->most ? "this server takes at most %" PRId64
					      " messages a minute; send fewer at once"
					    : "this server takes at most %" PRId64
					      " messages a minute from you; try again later",
		rate->most);
	return STORE_TOO_MANY;
}

/* Counts the messages in this minute, and forgets earlier minutes. */
static enum store_status count_rate(
	struct store *s, const struct store_rate *rate, size_t count, struct store_result *result)
{
	static const char forget[] =
		"DELETE FROM main.rowtail_publish_rates WHERE minute < ?3 + 0 * ?1 + 0 * ?2";
	static const char make[] = "INSERT OR IGNORE INTO main.rowtail_publish_rates(name, minute, "
				   "messages) SELECT ?1, ?3, 0 + 0 * ?2";
	char add[160], minute[24];
	enum store_status status;

	if (!rate->most)
		return STORE_DONE;
	snprintf(minute, sizeof(minute), "%" PRId64, clock_unix() / MINUTE_S);
	snprintf(add, sizeof(add),
		"UPDATE main.rowtail_publish_rates SET messages = messages + ?3 WHERE name = ?1 "
		"AND minute "
		"= "
		"CAST(?2 AS INTEGER)");
	status = change(s, forget, "", "", clock_unix() / MINUTE_S, result->sentence);
	if (status == STORE_DONE)
		status = change(s, make, rate->name, "", clock_unix() / MINUTE_S, result->sentence);
	if (status == STORE_DONE)
		status = change(s, add, rate->name, minute, (int64_t)count, result->sentence);
	return status;
}

static int bind_message(sqlite3_stmt *st, const struct message *m)
{
	int code = sqlite3_bind_text(st, 1, m->channel.text, (int)m->channel.length, SQLITE_STATIC);

	if (code == SQLITE_OK)
		code = m->event.text ? sqlite3_bind_text(st, 2, m->event.text, (int)m->event.length,
					       SQLITE_STATIC)
				     : sqlite3_bind_null(st, 2);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 3, m->data.text, (int)m->data.length, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = m->retry_ms >= 0 ? sqlite3_bind_int64(st, 4, m->retry_ms)
					: sqlite3_bind_null(st, 4);
	return code;
}

/* Was the message refused because its channel has ended? */
static bool has_ended(struct store *s, const struct message *m)
{
	sqlite3_stmt *st = NULL;
	bool ended = false;

	if (sqlite3_prepare_v2(s->db, "SELECT 1 FROM main.events_ended WHERE channel = ?1", -1, &st,
		    NULL) == SQLITE_OK &&
		sqlite3_bind_text(st, 1, m->channel.text, (int)m->channel.length, SQLITE_STATIC) ==
			SQLITE_OK)
		ended = sqlite3_step(st) == SQLITE_ROW;
	sqlite3_finalize(st);
	return ended;
}

static enum store_status insert(struct store *s, const struct message *m, char *sentence)
{
	enum store_status status;
	int code = SQLITE_OK;

	if (!s->insert)
		code = sqlite3_prepare_v2(s->db,
			"INSERT INTO main.events(channel, event, data, retry) VALUES (?1, ?2, ?3, "
			"?4)",
			-1, &s->insert, NULL);
	if (code == SQLITE_OK)
		code = bind_message(s->insert, m);
	if (code == SQLITE_OK)
		code = sqlite3_step(s->insert);
	status = code == SQLITE_DONE ? STORE_DONE : store_failed(s, code, sentence);
	if (s->insert) {
		sqlite3_reset(s->insert);
		sqlite3_clear_bindings(s->insert);
	}
	return status == STORE_REFUSED && has_ended(s, m) ? STORE_ENDED : status;
}

static enum store_status insert_all(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	size_t at = (size_t)snprintf(result->answer, sizeof(result->answer), "{\"ids\":[");

	for (size_t i = 0; i < ask->count; i++) {
		enum store_status status = insert(s, &ask->message[i], result->sentence);

		if (status != STORE_DONE)
			return status;
		at += (size_t)snprintf(result->answer + at, sizeof(result->answer) - at, "%s%lld",
			i ? "," : "", (long long)sqlite3_last_insert_rowid(s->db));
	}
	snprintf(result->answer + at, sizeof(result->answer) - at, "]}");
	return STORE_DONE;
}

/* Keeps the answer under the key, and forgets the oldest keys. */
static enum store_status keep_key(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	sqlite3_stmt *st = NULL;
	enum store_status status;
	int code;

	if (!ask->key)
		return STORE_DONE;
	code = sqlite3_prepare_v2(s->db,
		"INSERT INTO main.rowtail_publish_keys(key, fingerprint, answer) VALUES (?1, ?2, "
		"?3)",
		-1, &st, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 1, ask->key, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 2, ask->fingerprint, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(st, 3, result->answer, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	status = code == SQLITE_DONE ? STORE_DONE : store_failed(s, code, result->sentence);
	sqlite3_finalize(st);
	if (status == STORE_DONE)
		status = change(s,
			"DELETE FROM main.rowtail_publish_keys WHERE n <= last_insert_rowid() - ?3 "
			"+ 0 * "
			"?1 + 0 * ?2",
			"", "", STORE_KEYS_MAX, result->sentence);
	return status;
}

enum store_status store_put_inside(
	struct store *s, const struct store_ask *ask, struct store_result *result)
{
	enum store_status status = store_refuse_copy(s, result->sentence);

	if (status == STORE_DONE)
		status = look_up_key(s, ask, result);
	for (size_t i = 0; i < STORE_RATES && status == STORE_DONE; i++)
		status = check_rate(s, &ask->rate[i], ask->count, result);
	if (status == STORE_DONE)
		status = insert_all(s, ask, result);
	if (status == STORE_DONE)
		status = keep_key(s, ask, result);
	for (size_t i = 0; i < STORE_RATES && status == STORE_DONE; i++)
		status = count_rate(s, &ask->rate[i], ask->count, result);
	return status;
}
