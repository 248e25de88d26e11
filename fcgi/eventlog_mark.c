#include <string.h>

#include "eventlog_impl.h"

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
	const uint8_t *p = bytes;

	/* FNV-1a: not for security. */
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static enum database_status read_mark(struct eventlog *log, int64_t id, uint64_t *mark)
{
	struct statement *st = log->st[ST_MARK];
	enum database_status s;

	*mark = 0;
	database_bind_int(st, 1, id);
	if ((s = database_step(st)) == DATABASE_ROW) {
		*mark = UINT64_C(0xcbf29ce484222325);
		for (int i = 0; i < 3; i++) {
			size_t length = 0;
			const char *text = database_text(st, i, &length);

			*mark = mix(*mark, text ? text : "", text ? length : 0);
		}
		*mark |= 1;
	}
	database_reset(st);
	return s == DATABASE_ROW ? DATABASE_DONE : s;
}

enum eventlog_status eventlog_mark(struct eventlog *log, int64_t id, uint64_t *mark)
{
	enum eventlog_status e = eventlog_begin(log);

	*mark = 0;
	if (e != EVENTLOG_OK)
		return e;
	return eventlog_end(log, log->st[ST_MARK] ? read_mark(log, id, mark) : DATABASE_DONE);
}

enum eventlog_status eventlog_is_same(struct eventlog *log, int64_t id, uint64_t mark, bool *same)
{
	enum eventlog_status e = eventlog_begin(log);
	enum database_status s = DATABASE_DONE;
	int64_t pruned = 0;
	uint64_t now = mark;

	*same = true;
	if (e != EVENTLOG_OK)
		return e;
	if (mark && log->st[ST_MARK])
		s = read_mark(log, id, &now);
	if (s == DATABASE_DONE && !now)
		s = eventlog_one(log->st[ST_PRUNED_ANY], 0, &pruned);
	if (s == DATABASE_DONE)
		*same = now == mark || (!now && pruned >= id);
	return eventlog_end(log, s);
}
