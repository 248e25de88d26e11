#include <stdlib.h>
#include <string.h>

#include "eventlog_impl.h"

enum {
	SCAN_ROWS = 512, /* looked at in one call */
	SEEK_ROWS = 2048,
	SPARSE = 10, /* a channel is sparse when fewer than one row in so many is its own */
	IDS_MAX = 4096, /* of all channels of a filter in one call */
	COLUMN_ID = 0,
	COLUMN_CHANNEL,
	COLUMN_EVENT,
	COLUMN_DATA,
	COLUMN_RETRY,
	COLUMN_CREATED_AT,
};

/* What stops a batch. */
enum step { STEP_ON, STEP_FULL, STEP_FAILED };

struct reading {
	struct eventlog *log;
	const struct filter *f;
	eventlog_take take;
	void *context;
	size_t max_rows;
	size_t looked, taken;
	struct eventlog_batch *batch;
	enum database_status s;
};

/*
 * Channel and type: what a filter needs; the rest of a row is not touched when it is not wanted. False
 * without memory: a text that is not there is then none that is NULL.
 */
static bool read_names(struct statement *st, struct sse_row *row)
{
	row->id = database_int(st, COLUMN_ID);
	row->channel = database_text(st, COLUMN_CHANNEL, &row->channel_length);
	row->event = database_text(st, COLUMN_EVENT, &row->event_length);
	if ((!row->channel && !database_is_null(st, COLUMN_CHANNEL)) ||
		(!row->event && !database_is_null(st, COLUMN_EVENT)))
		return false;
	if (!row->channel) {
		row->channel = "default";
		row->channel_length = strlen(row->channel);
	}
	if (row->event_length == 0 || sse_type_is_reserved(row->event, row->event_length)) {
		row->event = NULL;
		row->event_length = 0;
	}
	return true;
}

/* False without memory: then a text is missing that is not NULL. */
static bool read_payload(struct statement *st, struct sse_row *row)
{
	row->data = database_text(st, COLUMN_DATA, &row->data_length);
	if (!row->data && !database_is_null(st, COLUMN_DATA))
		return false;
	row->created_at = database_text(st, COLUMN_CREATED_AT, &row->created_at_length);
	row->retry_ms = database_is_int(st, COLUMN_RETRY) ? database_int(st, COLUMN_RETRY) : -1;
	if (!row->data) {
		row->data = "";
		row->data_length = 0;
	}
	return true;
}

static bool wants(const struct filter *f, const struct sse_row *row)
{
	return !f || (filter_has_channel(f, row->channel, row->channel_length) &&
			     filter_has_type(f, row->event, row->event_length));
}

/* Offers the row on which a statement stands. */
static enum step offer(struct reading *r, struct statement *st)
{
	struct sse_row row;

	if (!read_names(st, &row)) {
		r->s = DATABASE_NO_MEMORY;
		return STEP_FAILED;
	}
	if (wants(r->f, &row)) {
		if (!read_payload(st, &row)) {
			r->s = DATABASE_NO_MEMORY;
			return STEP_FAILED;
		}
		if (!r->take(r->context, &row))
			return STEP_FULL;
		r->taken++;
	}
	r->looked++;
	r->batch->scanned = row.id;
	return r->taken == r->max_rows ? STEP_FULL : STEP_ON;
}

/* Row after row by id, most of them wanted. */
static void scan(struct reading *r, int64_t after)
{
	struct statement *st = r->log->st[ST_SCAN];
	enum step step = STEP_ON;

	database_bind_int(st, 1, after);
	database_bind_int(st, 2, SCAN_ROWS);
	while (step == STEP_ON && (r->s = database_step(st)) == DATABASE_ROW)
		step = offer(r, st);
	database_reset(st);
	r->batch->at_end = r->s == DATABASE_DONE && r->looked < SCAN_ROWS;
	if (r->looked == SCAN_ROWS && r->taken * SPARSE < r->looked)
		r->batch->sparse = true;
}

static int compare_ids(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

/*
 * The ids of a filter's channels after `after`, up to *horizon, beyond which a channel may have
 * more; INT64_MAX when none has. Returns how many.
 */
static size_t collect_ids(struct reading *r, int64_t after, int64_t *ids, int64_t *horizon)
{
	struct statement *st = r->log->st[ST_IDS];
	size_t each = IDS_MAX / r->f->channel_count, count = 0;

	if (each > r->max_rows)
		each = r->max_rows;
	*horizon = INT64_MAX;
	r->s = DATABASE_DONE;
	for (size_t i = 0; i < r->f->channel_count && r->s == DATABASE_DONE; i++) {
		size_t first = count;

		database_bind_text(st, 1, r->f->channels[i].text, r->f->channels[i].length);
		database_bind_int(st, 2, after);
		database_bind_int(st, 3, (int64_t)each);
		while ((r->s = database_step(st)) == DATABASE_ROW)
			ids[count++] = database_int(st, 0);
		database_reset(st);
		if (count - first == each && ids[count - 1] < *horizon)
			*horizon = ids[count - 1];
	}
	return count;
}

static enum step fetch(struct reading *r, int64_t id)
{
	struct statement *st = r->log->st[ST_ROW];
	enum step step = STEP_ON;

	database_bind_int(st, 1, id);
	r->s = database_step(st);
	if (r->s == DATABASE_ROW)
		step = offer(r, st);
	database_reset(st);
	if (r->s != DATABASE_ROW && r->s != DATABASE_DONE)
		return STEP_FAILED;
	return step;
}

/*
 * Does the index find every row of a filter's channels? Not where patterns are followed, nor in a
 * table with channels that are no text: NULL is followed as "default", a BLOB by its bytes.
 */
static bool index_finds_all(struct eventlog *log, const struct filter *f)
{
	int64_t others;

	return log->st[ST_IDS] && !f->wild &&
	       eventlog_one(log->st[ST_NO_TEXT], 1, &others) == DATABASE_DONE && !others;
}

/* By the index, a channel at a time, each wanted row looked up: for channels with few rows. */
static void follow_index(struct reading *r, int64_t after)
{
	static int64_t ids[IDS_MAX];
	int64_t horizon;
	size_t count = collect_ids(r, after, ids, &horizon), i;
	enum step step = r->s == DATABASE_DONE ? STEP_ON : STEP_FAILED;

	qsort(ids, count, sizeof(*ids), compare_ids);
	for (i = 0; i < count && ids[i] <= horizon && step == STEP_ON; i++)
		step = fetch(r, ids[i]);
	if (step == STEP_FAILED)
		return;
	r->s = DATABASE_DONE;
	if (step == STEP_ON && horizon < INT64_MAX)
		r->batch->scanned = horizon;
	r->batch->at_end = step == STEP_ON && horizon == INT64_MAX;
	if (r->looked && (r->batch->scanned - after) / (int64_t)r->looked < SPARSE / 2)
		r->batch->sparse = false;
}

static bool can_follow_index(const struct reading *r)
{
	return r->batch->sparse && r->f && index_finds_all(r->log, r->f);
}

/* Tells of missing rows; true when there are any that were not told yet. */
static bool read_pruned(struct reading *r, int64_t after, int64_t told)
{
	struct eventlog_batch *b = r->batch;

	r->s = eventlog_missing(r->log, r->f, after, told, &b->pruned);
	if (r->s != DATABASE_DONE || !b->pruned.id)
		return r->s != DATABASE_DONE;
	database_bind_int(r->log->st[ST_NEXT], 1, after);
	r->s = eventlog_one(r->log->st[ST_NEXT], 0, &b->next);
	if (r->s == DATABASE_DONE)
		r->s = eventlog_get_bounds(r->log, &b->bounds);
	return true;
}

static void read_rows(struct reading *r, int64_t after)
{
	int64_t newest;

	if (can_follow_index(r))
		follow_index(r, after);
	else
		scan(r, after);
	if (r->s != DATABASE_DONE || !r->batch->at_end)
		return;
	r->s = eventlog_newest(r->log, &newest);
	if (newest > r->batch->scanned)
		r->batch->scanned = newest;
}

enum eventlog_status eventlog_read(struct eventlog *log, const struct filter *f, int64_t after,
	int64_t told, size_t max_rows, eventlog_take take, void *context,
	struct eventlog_batch *batch)
{
	struct reading r = {.log = log,
		.f = f,
		.take = take,
		.context = context,
		.max_rows = max_rows,
		.batch = batch};
	enum eventlog_status e = eventlog_begin(log);

	batch->scanned = after;
	batch->at_end = false;
	memset(&batch->pruned, 0, sizeof(batch->pruned));
	batch->next = 0;
	if (e != EVENTLOG_OK)
		return e;
	if (!read_pruned(&r, after, told))
		read_rows(&r, after);
	return eventlog_end(log, r.s);
}

/* The want-th newest row of one channel: the index alone answers. */
static enum database_status seek_index(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek)
{
	static int64_t ids[IDS_MAX];
	struct statement *st = log->st[ST_IDS_BACK];
	enum database_status s = DATABASE_DONE;
	size_t count = 0;

	for (size_t i = 0; i < f->channel_count && s == DATABASE_DONE; i++) {
		database_bind_text(st, 1, f->channels[i].text, f->channels[i].length);
		database_bind_int(st, 2, seek->floor);
		database_bind_int(st, 3, seek->want);
		while ((s = database_step(st)) == DATABASE_ROW)
			ids[count++] = database_int(st, 0);
		database_reset(st);
	}
	qsort(ids, count, sizeof(*ids), compare_ids);
	seek->done = true;
	seek->found = (int64_t)count < seek->want ? (int64_t)count : seek->want;
	if (seek->found > 0)
		seek->first = ids[count - (size_t)seek->found];
	seek->id = seek->found == seek->want ? seek->first - 1 : seek->floor;
	return s;
}

/* From the newest row backwards, some rows a call. */
static enum database_status seek_scan(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek)
{
	struct statement *st = log->st[ST_BACK];
	enum database_status s = DATABASE_ROW;
	size_t looked = 0;

	database_bind_int(st, 1, seek->floor);
	database_bind_int(st, 2, seek->before);
	database_bind_int(st, 3, SEEK_ROWS);
	while (!seek->done && (s = database_step(st)) == DATABASE_ROW) {
		struct sse_row row;

		if (!read_names(st, &row)) {
			s = DATABASE_NO_MEMORY;
			break;
		}
		looked++;
		seek->before = row.id;
		if (!wants(f, &row))
			continue;
		seek->first = row.id;
		if (++seek->found == seek->want) {
			seek->id = row.id - 1;
			seek->done = true;
		}
	}
	database_reset(st);
	if (s == DATABASE_DONE && looked < SEEK_ROWS) {
		seek->id = seek->floor;
		seek->done = true;
	}
	return s == DATABASE_ROW ? DATABASE_DONE : s;
}

enum eventlog_status eventlog_seek(
	struct eventlog *log, const struct filter *f, struct eventlog_seek *seek)
{
	enum eventlog_status e = eventlog_begin(log);
	enum database_status s;
	bool index;

	if (e != EVENTLOG_OK)
		return e;
	if (seek->want <= 0) {
		s = eventlog_newest(log, &seek->id);
		seek->done = true;
	} else {
		index = f->event_count == 0 && seek->want <= IDS_MAX / (int64_t)f->channel_count &&
			index_finds_all(log, f);
		s = index ? seek_index(log, f, seek) : seek_scan(log, f, seek);
	}
	if (s == DATABASE_DONE && seek->done)
		s = eventlog_missing(log, f, seek->id, 0, &seek->pruned);
	return eventlog_end(log, s);
}
