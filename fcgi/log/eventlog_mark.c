#include <string.h>

#include "log/eventlog_impl.h"

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
	const uint8_t *p = bytes;

	/* FNV-1a; it need not be secure. */
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

/* The two lowest bits of a mark say what it was made from. LARGE: our row, without its time. */
enum { LARGE = 0, ABSENT = 1, OURS = 2, OTHER = 3, KIND = 3, COLUMNS = 3, BYTES_MAX = 4096 };

static unsigned kind_of(const struct eventlog *log)
{
	return log->st[ST_PRUNED_ANY] ? OURS : OTHER;
}

/*
 * False if there is no memory: a missing text then does not mean NULL. The hash is 0 if a text is
 * too long to be read again and again.
 */
static bool hash_row(struct statement *st, uint64_t *row)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (int i = 0; i < COLUMNS; i++) {
		size_t length = 0;
		const char *text = database_text(st, i, &length);

		if (!text && !database_is_null(st, i))
			return false;
		if (length > EVENTLOG_MARKED_MAX)
			return true;
		hash = mix(hash, text ? text : "", length < BYTES_MAX ? length : BYTES_MAX);
		hash = mix(hash, &length, sizeof(length));
	}
	*row = hash | 1;
	return true;
}

static enum database_status read_mark(struct eventlog *log, int64_t id, uint64_t *mark)
{
	struct statement *st = log->st[ST_MARK];
	enum database_status s;
	uint64_t row = 0;

	/*
	 * The mark stays 0 (none) if the row could not be read: a wrong one would mean another log.
	 */
	*mark = 0;
	database_bind_int(st, 1, id);
	s = database_step(st);
	if (s == DATABASE_DONE)
		*mark = ABSENT;
	else if (s == DATABASE_ROW && !hash_row(st, &row))
		s = DATABASE_NO_MEMORY;
	else if (s == DATABASE_ROW && row)
		*mark = (row & ~(uint64_t)KIND) | kind_of(log);
	database_reset(st);
	return s == DATABASE_ROW ? DATABASE_DONE : s;
}

/* created_at is stored behind the data, all of which SQLite would have to read. */
static enum database_status read_large_mark(struct eventlog *log, int64_t id, uint64_t *mark)
{
	struct statement *st = log->st[ST_NAMES_OF];
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	int64_t data_length = -1;
	enum database_status s;

	*mark = 0;
	database_length(log->db, log->table, "data", id, &data_length);
	database_bind_int(st, 1, id);
	s = database_step(st);
	for (int i = COLUMN_CHANNEL; i <= COLUMN_EVENT && s == DATABASE_ROW; i++) {
		size_t length = 0;
		const char *text = database_text(st, i, &length);

		if (!text && !database_is_null(st, i))
			s = DATABASE_NO_MEMORY;
		hash = mix(hash, text ? text : "", length);
	}
	if (s == DATABASE_DONE)
		*mark = ABSENT;
	else if (s == DATABASE_ROW)
		*mark = (mix(hash, &data_length, sizeof(data_length)) & ~(uint64_t)KIND) | LARGE;
	database_reset(st);
	return s == DATABASE_ROW ? DATABASE_DONE : s;
}

enum eventlog_status eventlog_mark(
	struct eventlog *log, int64_t id, int64_t data_length, uint64_t *mark)
{
	enum eventlog_status e = eventlog_begin(log);
	enum database_status s = DATABASE_DONE;

	*mark = 0;
	if (e != EVENTLOG_OK)
		return e;
	log->marked = log->prepared;
	if (data_length < 0)
		database_length(log->db, log->table, "data", id, &data_length);
	if (log->st[ST_MARK] && data_length <= EVENTLOG_MARKED_MAX)
		s = read_mark(log, id, mark);
	else if (log->st[ST_MARK] && kind_of(log) == OURS)
		s = read_large_mark(log, id, mark);
	return eventlog_end(log, s);
}

/*
 * Are the two marks of the same row, as far as can be told? A row of our table never changes, and
 * no row is inserted below the newest. In other tables both may happen.
 */
static enum database_status compare(
	struct eventlog *log, int64_t id, uint64_t mark, uint64_t now, bool *same)
{
	int64_t pruned = 0;
	enum database_status s = DATABASE_DONE;

	*same = now == mark || !now;
	if (*same)
		return s;
	if (kind_of(log) == OTHER || (mark & KIND) == OTHER) {
		*same = (now & KIND) != OTHER || (mark & KIND) != OTHER;
	} else if (now == ABSENT) {
		s = eventlog_one(log->st[ST_PRUNED_ANY], 0, &pruned);
		*same = pruned >= id;
	}
	return s;
}

enum eventlog_status eventlog_is_same(struct eventlog *log, int64_t id, uint64_t *mark, bool *same)
{
	enum eventlog_status e = eventlog_begin(log);
	enum database_status s = DATABASE_DONE;
	uint64_t now;

	*same = true;
	if (e != EVENTLOG_OK)
		return e;
	if (*mark && log->st[ST_MARK]) {
		s = (*mark & KIND) == LARGE ? read_large_mark(log, id, &now)
					    : read_mark(log, id, &now);
		/*
		 * An application may change the rows of its own table. A restore changes the schema
		 * number.
		 */
		if (s == DATABASE_DONE && (kind_of(log) == OURS || log->marked != log->prepared))
			s = compare(log, id, *mark, now, same);
		if (s == DATABASE_DONE && *same) {
			*mark = now;
			log->marked = log->prepared;
		}
	}
	return eventlog_end(log, s);
}
