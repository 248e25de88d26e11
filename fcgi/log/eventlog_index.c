#include <stdlib.h>
#include <string.h>

#include "log/channel.h"
#include "log/eventlog_impl.h"

enum {
	CHANNELS_MAX = 256, /* to look up in one call, including those of patterns */
};

static bool goes_on(const struct eventlog_ids *ids)
{
	return ids->s == DATABASE_DONE && !ids->too_many;
}

static void collect_channel(struct eventlog_ids *ids, const char *channel, size_t length)
{
	struct statement *st = ids->log->st[ids->which];
	size_t first = ids->count;

	if (++ids->looked_up > CHANNELS_MAX || ids->count + ids->each > EVENTLOG_IDS_MAX) {
		ids->too_many = true;
		return;
	}
	database_bind_text(st, 1, channel, length);
	database_bind_int(st, 2, ids->after);
	database_bind_int(st, 3, (int64_t)ids->each);
	if (ids->which == ST_IDS_BACK)
		database_bind_int(st, 4, ids->up_to);
	while ((ids->s = database_step(st)) == DATABASE_ROW)
		ids->id[ids->count++] = database_int(st, 0);
	database_reset(st);
	if (ids->count - first == ids->each && ids->id[ids->count - 1] < ids->horizon)
		ids->horizon = ids->id[ids->count - 1];
}

/* A search for the first channel at or after a text, and before another text. */
struct next_channel {
	enum eventlog_statement which;
	char name[CHANNEL_MAX + 1], above[CHANNEL_MAX + 1];
	size_t length, above_length;
};

/* Finds the next channel; false if there is none. */
static bool find_channel(struct eventlog_ids *ids, struct next_channel *next)
{
	struct statement *st = ids->log->st[next->which];
	const char *text = NULL;
	size_t length;

	database_bind_text(st, 1, next->name, next->length);
	database_bind_text(st, 2, next->above, next->above_length);
	ids->s = database_step(st);
	if (ids->s == DATABASE_ROW && (text = database_text(st, 0, &length))) {
		/* Only tables that are not ours can have longer ones. */
		ids->too_many |= length > CHANNEL_MAX;
		next->length = length > CHANNEL_MAX ? CHANNEL_MAX : length;
		memcpy(next->name, text, next->length);
	}
	database_reset(st);
	if (ids->s == DATABASE_ROW)
		ids->s = DATABASE_DONE;
	next->which = ST_CHANNEL_BEHIND;
	return text != NULL;
}

/* Collects from each channel below "orders/" + "*". */
static void collect_below(struct eventlog_ids *ids, const struct filter_text *pattern)
{
	struct next_channel next = {.which = ST_CHANNEL_FROM};

	next.length = next.above_length = pattern->length - 1;
	memcpy(next.name, pattern->text, next.length);
	channel_above(next.above, pattern->text, next.length);
	while (goes_on(ids) && find_channel(ids, &next) && !ids->too_many) {
		if (channel_covers(pattern->text, pattern->length, next.name, next.length))
			collect_channel(ids, next.name, next.length);
		else
			ids->too_many |= ++ids->looked_up > CHANNELS_MAX;
	}
}

static int compare_ids(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

/* Sorts in ascending order and removes duplicates: nested patterns find a row twice. */
static void sort_ids(struct eventlog_ids *ids)
{
	size_t count = 0;

	qsort(ids->id, ids->count, sizeof(*ids->id), compare_ids);
	for (size_t i = 0; i < ids->count; i++)
		if (i == 0 || ids->id[i] != ids->id[i - 1])
			ids->id[count++] = ids->id[i];
	ids->count = count;
}

struct eventlog_ids *eventlog_collect(struct eventlog *log, const struct filter *f,
	enum eventlog_statement which, int64_t after, int64_t up_to, size_t each)
{
	/* Too large for the stack. */
	static struct eventlog_ids ids;

	ids.log = log;
	ids.which = which;
	ids.after = after;
	ids.up_to = up_to;
	ids.each = each;
	ids.count = ids.looked_up = 0;
	ids.horizon = INT64_MAX;
	ids.too_many = false;
	ids.s = DATABASE_DONE;
	for (size_t i = 0; i < f->channel_count && goes_on(&ids); i++) {
		const struct filter_text *c = &f->channels[i];

		if (channel_is_wild(c->text, c->length))
			collect_below(&ids, c);
		else
			collect_channel(&ids, c->text, c->length);
	}
	sort_ids(&ids);
	return &ids;
}

bool eventlog_index_finds_all(struct eventlog *log, const struct filter *f)
{
	int64_t others;

	if (!log->st[ST_IDS] || filter_has_all(f))
		return false;
	return eventlog_one(log->st[ST_NO_TEXT], 1, &others) == DATABASE_DONE && !others;
}
