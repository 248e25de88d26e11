/* Looks backwards for the newest rows that a filter wants: in the index, or row after row. */
#include "base/clock.h"
#include "log/eventlog_impl.h"

enum {
	SEEK_ROWS = 2048, /* rows to examine in one call, at most */
	SEEK_IDS = 512, /* of a channel to look up in one call, if rows of some types are wanted */
};

/* Counts a row that is wanted. True if it is the last one to look for. */
static bool found(struct eventlog_seek *seek, int64_t id)
{
	seek->first = id;
	return ++seek->found == seek->want;
}

/* Is the row with this id of a type that the filter wants? */
static enum database_status look_at_type(
	struct eventlog *log, const struct filter *f, int64_t id, bool *wanted)
{
	struct statement *st = log->st[ST_NAMES_OF];
	enum database_status s;
	struct row row = {0};

	*wanted = true;
	if (f->event_count == 0)
		return DATABASE_DONE;
	database_bind_int(st, 1, id);
	s = database_step(st);
	if (s == DATABASE_ROW)
		s = eventlog_read_names(log, st, &row) ? DATABASE_DONE : DATABASE_NO_MEMORY;
	*wanted = s == DATABASE_DONE && filter_has_type(f, row.event, row.event_length);
	database_reset(st);
	return s;
}

/* How many ids to look up of a channel with many rows. */
static size_t ids_of_each(const struct filter *f, const struct eventlog_seek *seek)
{
	size_t fair = EVENTLOG_IDS_MAX / f->channel_count;
	int64_t left = f->event_count ? SEEK_IDS : seek->want - seek->found;

	return left < (int64_t)fair ? (size_t)left : fair;
}

/* Goes through the ids that the index gave, from the newest to the oldest. */
static enum database_status seek_ids(struct eventlog *log, const struct filter *f,
	struct eventlog_seek *seek, const struct eventlog_ids *ids)
{
	int64_t until_us = clock_us() + EVENTLOG_SCAN_US, began = seek->last;
	enum database_status s = DATABASE_DONE;
	int64_t looked = 0;
	bool wanted, late = false;

	for (size_t i = ids->count; i > 0 && !late && ids->id[i - 1] >= ids->horizon; i--) {
		s = look_at_type(log, f, ids->id[i - 1], &wanted);
		if (s != DATABASE_DONE)
			return s;
		looked++;
		seek->last = ids->id[i - 1] - 1;
		if (wanted && found(seek, ids->id[i - 1])) {
			seek->done = true;
			return s;
		}
		late = f->event_count && clock_us() > until_us;
	}
	if (!late && ids->complete)
		seek->done = true;
	else if (!late)
		seek->last = ids->horizon - 1;
	/* Looking up a row costs more than reading the next one. */
	seek->scans = f->event_count && (began - seek->last) / EVENTLOG_SPARSE_ROWS * 2 < looked;
	return s;
}

/* Can the seek use the index now? To select event types it needs an index on id as well. */
static bool can_seek_index(
	struct eventlog *log, const struct filter *f, const struct eventlog_seek *seek)
{
	return !seek->crowded && !seek->scans && !(f->event_count && log->sorts) &&
	       eventlog_index_finds_all(log, f);
}

/* Looks in the index. False if it has too many entries: then nothing has changed. */
static bool seek_index(struct eventlog *log, const struct filter *f, struct eventlog_seek *seek,
	enum database_status *s)
{
	struct eventlog_ids *ids;

	if (!can_seek_index(log, f, seek))
		return false;
	ids = eventlog_collect(log, f, ST_IDS_BACK, seek->floor, seek->last, ids_of_each(f, seek));
	*s = ids->s;
	if (ids->too_many && ids->s == DATABASE_DONE) {
		seek->crowded = true;
		return false;
	}
	if (ids->s == DATABASE_DONE)
		*s = seek_ids(log, f, seek, ids);
	return true;
}

/* Reads row after row, from the newest to the oldest. */
static enum database_status seek_scan(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek)
{
	struct statement *st = log->st[ST_BACK];
	int64_t until_us = clock_us() + EVENTLOG_SCAN_US;
	enum database_status s = DATABASE_ROW;
	int64_t looked = 0, followed = 0;

	database_bind_int(st, 1, seek->floor);
	database_bind_int(st, 2, seek->last);
	database_bind_int(st, 3, SEEK_ROWS);
	while (!seek->done && clock_us() < until_us && (s = database_step(st)) == DATABASE_ROW) {
		struct row row;

		if (!eventlog_read_names(log, st, &row)) {
			s = DATABASE_NO_MEMORY;
			break;
		}
		looked++;
		seek->last = row.id - 1;
		if (!filter_has_channel(f, row.channel, row.channel_length))
			continue;
		followed++;
		if (filter_has_type(f, row.event, row.event_length))
			seek->done = found(seek, row.id);
	}
	database_reset(st);
	if (s == DATABASE_DONE && looked < SEEK_ROWS)
		seek->done = true;
	seek->scans = followed * EVENTLOG_SPARSE_ROWS > looked;
	return s == DATABASE_ROW ? DATABASE_DONE : s;
}

/* The ids up to here are all that the seek will look at. Later rows come after its place. */
static enum database_status begin(struct eventlog *log, struct eventlog_seek *seek)
{
	enum database_status s = eventlog_newest(log, &seek->top);

	if (seek->last < seek->top)
		seek->top = seek->last;
	if (seek->top < seek->floor)
		seek->top = seek->floor;
	seek->last = seek->top;
	seek->begun = true;
	return s;
}

static enum database_status seek_on(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek)
{
	enum database_status s = seek->begun ? DATABASE_DONE : begin(log, seek);

	if (s != DATABASE_DONE)
		return s;
	if (seek->want <= 0)
		seek->done = true;
	else if (!seek_index(log, f, seek, &s))
		s = seek_scan(log, f, seek);
	if (s != DATABASE_DONE || !seek->done)
		return s;
	seek->id = seek->found > 0 ? seek->first - 1 : seek->top;
	return eventlog_missing(log, f, seek->id, 0, &seek->pruned);
}

enum eventlog_status eventlog_seek(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek)
{
	enum eventlog_status e = eventlog_begin(log);

	return e == EVENTLOG_OK ? eventlog_end(log, seek_on(log, f, seek)) : e;
}
