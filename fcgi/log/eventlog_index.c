#include <stdlib.h>
#include <string.h>

#include "log/channel.h"
#include "log/eventlog_impl.h"

enum {
	CHANNELS_MAX = 256, /* to look up in one call, including those of patterns */
	WALK_MAX = EVENTLOG_IDS_MAX, /* entries of the index to step over in one call */
	WILD_EACH = 128, /* ids of a channel, with a pattern, which many channels may match */
	WALK_LONG = 32, /* after so many entries of a channel, look it up and go to the next one */
};

static bool goes_on(const struct eventlog_ids *ids)
{
	return ids->s == DATABASE_DONE && !ids->too_many;
}

/* The oldest id, or going back the newest, that may be missing limits what is complete. */
static void limit_horizon(struct eventlog_ids *ids, int64_t id)
{
	bool back = ids->which == ST_IDS_BACK;

	if (ids->complete || (back ? id > ids->horizon : id < ids->horizon))
		ids->horizon = id;
	ids->complete = false;
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
	if (ids->count - first == ids->each)
		limit_horizon(ids, ids->id[ids->count - 1]);
}

/* A walk over the entries of the index from one text to before another, channel by channel. */
struct walk {
	enum eventlog_statement which;
	char name[CHANNEL_MAX + 1], above[CHANNEL_MAX + 1];
	size_t length, above_length;
	size_t entries; /* of the channel `name` */
	size_t first; /* where its ids begin */
	bool covered; /* the pattern covers it; in UTF-16 others lie between */
	bool skips; /* the channel has many rows: look it up, and walk on behind it */
};

/* Takes note of the channel of an entry. False if there are too many, or no memory. */
static bool walk_channel(struct eventlog_ids *ids, struct walk *w,
	const struct filter_text *pattern, struct statement *st)
{
	size_t length;
	const char *text = database_text(st, 1, &length);

	if (!text)
		ids->s = DATABASE_NO_MEMORY;
	/* Only tables that are not ours can have longer names. */
	ids->too_many |= ++ids->walked > WALK_MAX || length > CHANNEL_MAX;
	if (!text || ids->too_many)
		return false;
	if (w->entries++ && w->length == length && !memcmp(w->name, text, length))
		return true;
	memcpy(w->name, text, length);
	w->length = length;
	w->entries = 1;
	w->first = ids->count;
	w->covered = channel_covers(pattern->text, pattern->length, text, length);
	return true;
}

static void walk_entry(struct eventlog_ids *ids, struct walk *w, struct statement *st)
{
	int64_t id = database_int(st, 0);

	w->skips = w->entries == WALK_LONG;
	if (!w->covered || id <= ids->after || id > ids->up_to)
		return;
	if (ids->count == EVENTLOG_IDS_MAX)
		ids->too_many = true;
	else
		ids->id[ids->count++] = id;
}

/* Walks to the end, or to a channel that has many rows. */
static void walk_on(struct eventlog_ids *ids, struct walk *w, const struct filter_text *pattern)
{
	struct statement *st = ids->log->st[w->which];
	enum database_status s = DATABASE_ROW;

	w->entries = 0;
	w->skips = false;
	database_bind_text(st, 1, w->name, w->length);
	database_bind_text(st, 2, w->above, w->above_length);
	while (goes_on(ids) && !w->skips && (s = database_step(st)) == DATABASE_ROW)
		if (walk_channel(ids, w, pattern, st))
			walk_entry(ids, w, st);
	database_reset(st);
	if (s != DATABASE_ROW)
		ids->s = s;
	w->which = ST_WALK_BEHIND;
}

/*
 * Collects from each channel below "orders/" + "*". Steps over the entries of channels with few
 * rows. A channel with many is looked up like one that the filter names.
 */
static void collect_below(struct eventlog_ids *ids, const struct filter_text *pattern)
{
	struct walk w = {.which = ST_WALK_FROM, .skips = true};

	w.length = w.above_length = pattern->length - 1;
	memcpy(w.name, pattern->text, w.length);
	channel_above(w.above, pattern->text, w.length);
	while (goes_on(ids) && w.skips) {
		walk_on(ids, &w, pattern);
		if (!goes_on(ids) || !w.skips || !w.covered)
			continue;
		ids->count = w.first;
		collect_channel(ids, w.name, w.length);
	}
}

static int compare_ids(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

/* Sorts in ascending order and removes duplicates. */
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
	ids.each = f->wild && each > WILD_EACH ? WILD_EACH : each;
	ids.count = ids.looked_up = ids.walked = 0;
	ids.complete = true;
	ids.horizon = which == ST_IDS ? INT64_MAX : INT64_MIN;
	ids.too_many = false;
	ids.s = DATABASE_DONE;
	for (size_t i = 0; i < f->channel_count && goes_on(&ids); i++) {
		const struct filter_text *c = &f->channels[i];

		if (filter_is_covered(f, c))
			continue;
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
