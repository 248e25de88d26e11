/* Transactions on the copy. */
#include "mirror/copy_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { PRUNE_ROWS = 1000, PRUNE_AGED = 1000, PRUNE_AGED_US = 2000 };

static const char *const statements[DO_COUNT] = {
	[DO_EVENT] = "INSERT INTO events(id, channel, event, data, retry, created_at) "
		     "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[DO_DELETE] = "DELETE FROM events WHERE id BETWEEN ?1 AND ?2",
	/* A mark of '*' may come twice, from ourselves and from the source. */
	[DO_MARK] = "INSERT INTO events_pruned(channel, id) SELECT ?1, ?2 WHERE ?1 <> '*' OR NOT "
		    "EXISTS (SELECT 1 FROM events_pruned WHERE channel = '*' AND id >= ?2)",
	[DO_MARK_OLDER] = "DELETE FROM events_pruned WHERE channel = ?1 AND id <= ?2 "
			  "AND deletion < last_insert_rowid()",
	[DO_GRANT] = "INSERT OR REPLACE INTO grants(subject, channel, expires_at) "
		     "VALUES (?1, ?2, ?3)",
	[DO_REVOKE] = "DELETE FROM grants WHERE subject = ?1 AND channel = ?2",
	[DO_END] = "INSERT OR REPLACE INTO events_ended(channel, id) VALUES (?1, ?2)",
	[DO_OPEN] = "DELETE FROM events_ended WHERE channel = ?1",
	[DO_TIMELINE] = "INSERT OR REPLACE INTO rowtail_mirror_timelines(base, after) "
			"VALUES (?1, ?2)",
	[DO_SEQUENCE] = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'events'",
};

enum copy_status copy_prepare(struct copy *c, struct copy_file *file)
{
	file->has_ends = sqlite3_table_column_metadata(file->db, "main", "events_ended", "channel",
				 NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
	for (int i = 0; i < DO_COUNT; i++) {
		if ((i == DO_END || i == DO_OPEN) && !file->has_ends)
			continue;
		if (sqlite3_prepare_v3(file->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &file->st[i], NULL) != SQLITE_OK)
			return copy_fail(c, file->db, "read");
	}
	return COPY_OK;
}

static void bind_text(sqlite3_stmt *st, int index, const struct change_text *text)
{
	if (text->at)
		sqlite3_bind_text64(st, index, text->at, text->length, SQLITE_STATIC, SQLITE_UTF8);
	else
		sqlite3_bind_null(st, index);
}

static enum copy_status step(struct copy *c, struct copy_file *file, enum copy_statement which)
{
	sqlite3_stmt *st = file->st[which];
	int code = sqlite3_step(st);
	enum copy_status s = code == SQLITE_DONE ? COPY_OK : copy_fail(c, file->db, "written");

	sqlite3_reset(st);
	return s;
}

static enum copy_status put_event(
	struct copy *c, struct copy_file *file, const struct change *e, int64_t *rows)
{
	sqlite3_stmt *st = file->st[DO_EVENT];

	sqlite3_bind_int64(st, 1, e->number);
	bind_text(st, 2, &e->channel);
	bind_text(st, 3, &e->event);
	bind_text(st, 4, &e->data);
	if (e->has_flags)
		sqlite3_bind_int64(st, 5, e->flags);
	else
		sqlite3_bind_null(st, 5);
	bind_text(st, 6, &e->at);
	*rows += 1;
	return step(c, file, DO_EVENT);
}

static enum copy_status put_mark(
	struct copy *c, struct copy_file *file, const struct change_text *channel, int64_t id)
{
	enum copy_status s;

	bind_text(file->st[DO_MARK], 1, channel);
	sqlite3_bind_int64(file->st[DO_MARK], 2, id);
	if ((s = step(c, file, DO_MARK)) != COPY_OK || sqlite3_changes(file->db) == 0)
		return s;
	bind_text(file->st[DO_MARK_OLDER], 1, channel);
	sqlite3_bind_int64(file->st[DO_MARK_OLDER], 2, id);
	return step(c, file, DO_MARK_OLDER);
}

static enum copy_status delete_range(
	struct copy *c, struct copy_file *file, int64_t first, int64_t last, int64_t *rows)
{
	enum copy_status s;

	sqlite3_bind_int64(file->st[DO_DELETE], 1, first);
	sqlite3_bind_int64(file->st[DO_DELETE], 2, last);
	s = step(c, file, DO_DELETE);
	*rows -= sqlite3_changes(file->db);
	return s;
}

/* A statement with two texts, and a third. */
static enum copy_status put_texts(struct copy *c, struct copy_file *file, enum copy_statement which,
	const struct change_text *a, const struct change_text *b, const struct change_text *third)
{
	bind_text(file->st[which], 1, a);
	bind_text(file->st[which], 2, b);
	if (third)
		bind_text(file->st[which], 3, third);
	return step(c, file, which);
}

static enum copy_status put_timeline(
	struct copy *c, struct copy_file *file, const struct change *change)
{
	sqlite3_bind_int64(file->st[DO_TIMELINE], 1, change->last);
	sqlite3_bind_int64(file->st[DO_TIMELINE], 2, change->first);
	return step(c, file, DO_TIMELINE);
}

static enum copy_status put_end(struct copy *c, struct copy_file *file, const struct change *change)
{
	bool ended = change->kind == CHANGE_END;
	sqlite3_stmt *st = file->st[ended ? DO_END : DO_OPEN];

	if (!file->has_ends)
		return COPY_OK;
	bind_text(st, 1, &change->channel);
	if (ended)
		sqlite3_bind_int64(st, 2, change->number);
	return step(c, file, ended ? DO_END : DO_OPEN);
}

enum copy_status copy_put(
	struct copy *c, struct copy_file *file, const struct change *change, int64_t *rows)
{
	switch (change->kind) {
	case CHANGE_EVENT:
		return put_event(c, file, change, rows);
	case CHANGE_DELETED:
		return delete_range(c, file, change->first, change->last, rows);
	case CHANGE_PRUNED:
		return put_mark(c, file, &change->channel, change->last);
	case CHANGE_GRANT:
		return put_texts(
			c, file, DO_GRANT, &change->subject, &change->channel, &change->at);
	case CHANGE_REVOKED:
		return put_texts(c, file, DO_REVOKE, &change->subject, &change->channel, NULL);
	case CHANGE_TIMELINE:
		return put_timeline(c, file, change);
	case CHANGE_END:
	case CHANGE_OPENED:
		return put_end(c, file, change);
	default:
		return COPY_OK;
	}
}

enum copy_status copy_put_state(
	struct copy *c, struct copy_file *file, const struct copy_state *state)
{
	static const char sql[] =
		"UPDATE rowtail_mirror SET timeline = ?1, cursor = ?2, changed = ?3, looks = ?4, "
		"fresh_ms = ?5, behind = ?6, lost_base = ?7, max_stale_ms = ?8, token = ?9, "
		"source = ?10, writing = 0";
	const int64_t numbers[] = {state->timeline, state->cursor, state->changed, state->looks,
		state->fresh_ms, state->behind, state->lost_base, state->max_stale_ms};
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(file->db, sql, -1, &st, NULL);

	if (code == SQLITE_OK) {
		for (int i = 0; i < 8; i++)
			sqlite3_bind_int64(st, 1 + i, numbers[i]);
		sqlite3_bind_text(st, 9, state->token, -1, SQLITE_STATIC);
		sqlite3_bind_text(st, 10, state->where, -1, SQLITE_STATIC);
		code = sqlite3_step(st);
	}
	sqlite3_finalize(st);
	if (code != SQLITE_DONE)
		return copy_fail(c, file->db, "written");
	sqlite3_bind_int64(file->st[DO_SEQUENCE], 1, state->cursor);
	return step(c, file, DO_SEQUENCE);
}

bool copy_in_transaction(const struct copy *c)
{
	return c->file.db && !sqlite3_get_autocommit(c->file.db);
}

enum copy_status copy_begin(struct copy *c)
{
	enum copy_status s;

	c->before = c->state;
	c->rows_before = c->rows;
	s = copy_run(c, c->file.db, "BEGIN IMMEDIATE; UPDATE rowtail_mirror SET writing = 1");
	if (s != COPY_OK)
		copy_rollback(c);
	return s;
}

enum copy_status copy_apply(struct copy *c, const struct change *change)
{
	return copy_put(c, &c->file, change, &c->rows);
}

enum copy_status copy_take_back(struct copy *c, int64_t first, int64_t last)
{
	static const struct change_text any = {"*", 1};
	enum copy_status s = delete_range(c, &c->file, first, last, &c->rows);

	return s == COPY_OK ? put_mark(c, &c->file, &any, last) : s;
}

enum copy_status copy_commit(struct copy *c)
{
	enum copy_status s = copy_put_state(c, &c->file, &c->state);

	if (s == COPY_OK)
		s = copy_run(c, c->file.db, "COMMIT");
	if (s != COPY_OK)
		copy_rollback(c);
	return s;
}

void copy_rollback(struct copy *c)
{
	if (copy_in_transaction(c))
		sqlite3_exec(c->file.db, "ROLLBACK", NULL, NULL, NULL);
	c->state = c->before;
	c->rows = c->rows_before;
}

/* Runs a statement that deletes some events. */
static enum copy_status prune(struct copy *c, const char *sql, int64_t first, int64_t last,
	const char *text, int64_t *deleted)
{
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(c->file.db, sql, -1, &st, NULL);

	if (code == SQLITE_OK) {
		sqlite3_bind_int64(st, 1, first);
		sqlite3_bind_int64(st, 2, last);
		sqlite3_bind_text(st, 3, text, -1, SQLITE_STATIC);
		code = sqlite3_step(st);
	}
	sqlite3_finalize(st);
	if (code != SQLITE_DONE)
		return copy_fail(c, c->file.db, "written");
	*deleted += sqlite3_changes(c->file.db);
	return COPY_OK;
}

/* Old events after younger ones: after c->aged, for some rows or some time; or all of them. */
static enum copy_status prune_between(
	struct copy *c, const char *oldest, bool all, int64_t *deleted, bool *more)
{
	int64_t first = c->aged, rows = 0, old = 0, before = *deleted;
	int64_t until_us = clock_us() + PRUNE_AGED_US;
	sqlite3_stmt *st;
	int code = sqlite3_prepare_v2(c->file.db,
		"SELECT id, created_at < ?1 FROM events WHERE id > ?2 ORDER BY id", -1, &st, NULL);

	if (code == SQLITE_OK) {
		sqlite3_bind_text(st, 1, oldest, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 2, first);
		while ((code = sqlite3_step(st)) == SQLITE_ROW) {
			c->aged = sqlite3_column_int64(st, 0);
			old += sqlite3_column_int(st, 1);
			if (!all && (++rows == PRUNE_AGED || clock_us() > until_us))
				break;
		}
	}
	sqlite3_finalize(st);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return copy_fail(c, c->file.db, "read");
	if (old > 0) {
		enum copy_status s = prune(c,
			"DELETE FROM events WHERE id > ?1 AND id <= ?2 AND created_at < ?3", first,
			c->aged, oldest, deleted);

		if (s != COPY_OK)
			return s;
	}
	if (code == SQLITE_DONE)
		c->aged = 0;
	*more |= *deleted > before && code == SQLITE_ROW;
	return COPY_OK;
}

enum copy_status copy_prune(
	struct copy *c, int64_t keep_rows, const char *oldest, bool all, bool *more)
{
	int64_t over = keep_rows > 0 ? c->rows - keep_rows : 0, deleted = 0;
	enum copy_status s;

	*more = false;
	if (over <= 0 && !oldest)
		return COPY_OK;
	if ((s = copy_begin(c)) != COPY_OK)
		return s;
	if (over > 0)
		s = prune(c,
			"DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT "
			"?1)",
			over < PRUNE_ROWS ? over : PRUNE_ROWS, 0, NULL, &deleted);
	*more = over > PRUNE_ROWS;
	if (s == COPY_OK && oldest) {
		int64_t before = deleted;

		_Static_assert(PRUNE_AGED == 1000, "in the statement");
		s = prune(c,
			"DELETE FROM events WHERE id IN (SELECT id FROM (SELECT id, created_at "
			"FROM events ORDER BY id LIMIT 1000) WHERE created_at < ?3)",
			0, 0, oldest, &deleted);
		if (deleted - before == PRUNE_AGED)
			*more = true;
		else if (s == COPY_OK)
			s = prune_between(c, oldest, all, &deleted, more);
	}
	if (s != COPY_OK || deleted == 0) {
		copy_rollback(c);
		return s;
	}
	c->rows -= deleted;
	return copy_commit(c);
}
