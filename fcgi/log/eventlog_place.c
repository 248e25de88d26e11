/* Where a stream continues, and which rows it has missed, as events_pruned tells. */
#include "log/eventlog_impl.h"

#include <string.h>

#include "log/channel.h"

/* The highest id pruned from the channels below "orders/" + "*". */
static enum database_status pruned_below(
	struct eventlog *log, const struct filter_text *pattern, int64_t told, int64_t *pruned)
{
	struct statement *st = log->st[ST_PRUNED_BELOW];
	size_t length = pattern->length - 1;
	char above[CHANNEL_MAX + 1];

	channel_above(above, pattern->text, length);
	database_bind_int(st, 1, told);
	database_bind_text(st, 2, pattern->text, length);
	database_bind_text(st, 3, above, length);
	return eventlog_one(st, 0, pruned);
}

/* The highest id pruned from the channels of one pattern, by deletions later than `told`. */
static enum database_status pruned_of(
	struct eventlog *log, const struct filter_text *pattern, int64_t told, int64_t *pruned)
{
	struct statement *st = log->st[ST_PRUNED_CHANNEL];

	if (channel_is_wild(pattern->text, pattern->length)) {
		if (pattern->length > 1)
			return pruned_below(log, pattern, told, pruned);
		if (!told)
			return eventlog_one(log->st[ST_PRUNED_ANY], 0, pruned);
		st = log->st[ST_PRUNED_SINCE];
	} else {
		database_bind_text(st, 2, pattern->text, pattern->length);
	}
	database_bind_int(st, 1, told);
	return eventlog_one(st, 0, pruned);
}

/* The highest id pruned from any channel of a filter. Looks at no mark twice. */
static enum database_status pruned_of_all(
	struct eventlog *log, const struct filter *f, int64_t told, int64_t *pruned)
{
	/* A mark of channel '*' stands for all channels: it was merged from many. */
	static const struct filter_text any = {"*", 1};
	int64_t id;
	enum database_status s;

	database_bind_int(log->st[ST_PRUNED_CHANNEL], 1, told);
	database_bind_text(log->st[ST_PRUNED_CHANNEL], 2, any.text, any.length);
	s = eventlog_one(log->st[ST_PRUNED_CHANNEL], 0, pruned);
	for (size_t i = 0; i < f->channel_count && s == DATABASE_DONE; i++) {
		if (filter_is_covered(f, &f->channels[i]))
			continue;
		s = pruned_of(log, &f->channels[i], told, &id);
		if (id > *pruned)
			*pruned = id;
	}
	return s;
}

/*
 * Usually nothing above `after` is missing, or nothing since the last look; that is checked first.
 */
static enum database_status missing_known(struct eventlog *log, const struct filter *f,
	int64_t after, int64_t told, struct eventlog_missing *missing)
{
	int64_t id, last = 0;
	enum database_status s = eventlog_one(log->st[ST_PRUNED_ANY], 0, &id);

	if (s == DATABASE_DONE && id > after)
		s = eventlog_one(log->st[ST_DELETION], 0, &last);
	if (s != DATABASE_DONE || id <= after || last == told)
		return s;
	/* It is another log, with a new numbering of deletions. */
	if (told > last)
		told = 0;
	if (f)
		s = pruned_of_all(log, f, told, &id);
	if (s != DATABASE_DONE)
		return s;
	missing->id = id > after ? id : 0;
	missing->deletion = last;
	return s;
}

enum database_status eventlog_missing(struct eventlog *log, const struct filter *f, int64_t after,
	int64_t told, struct eventlog_missing *missing)
{
	struct eventlog_bounds bounds;
	enum database_status s;

	memset(missing, 0, sizeof(*missing));
	if (told == EVENTLOG_TOLD_ALL)
		return DATABASE_DONE;
	if (log->st[ST_PRUNED_ANY])
		return missing_known(log, f, after, told, missing);
	/* In a table that is not ours, 0 means the beginning, whatever its first id. */
	if (after <= 0)
		return DATABASE_DONE;
	s = eventlog_get_bounds(log, &bounds);
	if (s == DATABASE_DONE && bounds.oldest - 1 > after)
		missing->id = bounds.oldest - 1;
	return s;
}

static enum database_status find_place(struct eventlog *log, const struct filter *f,
	int64_t position, struct eventlog_place *place)
{
	enum database_status s = eventlog_get_bounds(log, &place->bounds);
	int64_t next;

	place->id = position;
	if (s != DATABASE_DONE)
		return s;
	if (position > place->bounds.newest) {
		place->gap = true;
		place->reason = GAP_FUTURE;
		place->id = place->bounds.newest;
		return s;
	}
	s = eventlog_missing(log, f, position, 0, &place->pruned);
	if (s != DATABASE_DONE || !place->pruned.id)
		return s;
	place->gap = true;
	place->reason = GAP_PRUNED;
	/* Move on as far as possible without skipping a row that is still there. */
	database_bind_int(log->st[ST_NEXT], 1, position);
	s = eventlog_one(log->st[ST_NEXT], 0, &next);
	place->id = next > 0 && next - 1 < place->pruned.id ? next - 1 : place->pruned.id;
	return s;
}

enum eventlog_status eventlog_place(struct eventlog *log, const struct filter *f, int64_t position,
	struct eventlog_place *place)
{
	enum eventlog_status e = eventlog_begin(log);

	memset(place, 0, sizeof(*place));
	if (e != EVENTLOG_OK)
		return e;
	return eventlog_end(log, find_place(log, f, position, place));
}

bool eventlog_has_ends(const struct eventlog *log)
{
	return log->st[ST_ENDED];
}

static enum database_status find_end(struct eventlog *log, const struct filter *f, int64_t *id)
{
	enum database_status s = DATABASE_DONE;
	int64_t last = 0, one = 1;

	for (size_t i = 0; i < f->channel_count && s == DATABASE_DONE && one > 0; i++) {
		database_bind_text(
			log->st[ST_ENDED], 1, f->channels[i].text, f->channels[i].length);
		s = eventlog_one(log->st[ST_ENDED], 0, &one);
		if (one > last)
			last = one;
	}
	*id = s == DATABASE_DONE && one > 0 ? last : 0;
	return s;
}

enum eventlog_status eventlog_ended(struct eventlog *log, const struct filter *f, int64_t *id)
{
	enum eventlog_status e = EVENTLOG_OK;

	*id = 0;
	if (f->wild || (log->db && !log->st[ST_ENDED]))
		return e;
	if ((e = eventlog_begin(log)) != EVENTLOG_OK)
		return e;
	/* The columns may have changed. */
	if (!log->st[ST_ENDED])
		return eventlog_end(log, DATABASE_DONE);
	return eventlog_end(log, find_end(log, f, id));
}
