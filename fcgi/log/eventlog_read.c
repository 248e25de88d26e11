#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/eventlog_impl.h"

enum {
	SCAN_ROWS = 512, /* rows to examine in one call, at most */
	CLOCK_ROWS = 16, /* between two looks at the clock */
	RETRY_MAX_MS = 3600000, /* the schema's limit */
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
	int64_t fetched; /* the row that was looked up last; 0: scanning */
	enum database_status s;
};

bool eventlog_read_names(const struct eventlog *log, struct statement *st, struct row *row)
{
	bool utf8 = log->unit == 1;

	if (!database_number(st, COLUMN_ID, &row->id))
		row->id = 0;
	if (!database_bytes(st, COLUMN_CHANNEL, utf8, &row->channel, &row->channel_length) ||
		!database_bytes(st, COLUMN_EVENT, utf8, &row->event, &row->event_length))
		return false;
	if (!row->channel) {
		row->channel = "default";
		row->channel_length = strlen(row->channel);
	}
	if (row->event_length == 0 || row_type_is_reserved(row->event, row->event_length)) {
		row->event = NULL;
		row->event_length = 0;
	}
	return true;
}

/* Does a filter want this row? NULL wants all. */
static bool wants(const struct filter *f, const struct row *row)
{
	return !f ||
	       filter_wants(f, row->channel, row->channel_length, row->event, row->event_length);
}

/* False if there is no memory. */
static bool read_payload(const struct eventlog *log, struct statement *st, struct row *row)
{
	bool utf8 = log->unit == 1;

	if (!database_bytes(st, COLUMN_DATA, utf8, &row->data, &row->data_length) ||
		!database_bytes(
			st, COLUMN_CREATED_AT, utf8, &row->created_at, &row->created_at_length))
		return false;
	/* Outside this range, a browser would reconnect at once, again and again. */
	if (!database_number(st, COLUMN_RETRY, &row->retry_ms) || row->retry_ms < 0 ||
		row->retry_ms > RETRY_MAX_MS)
		row->retry_ms = -1;
	if (!row->data) {
		row->data = "";
		row->data_length = 0;
	}
	return true;
}

/* Checks that ids grow. Otherwise a table with a duplicate id would be read in an endless loop. */
static bool is_next(struct reading *r, int64_t id)
{
	if (id > r->batch->scanned)
		return true;
	snprintf(r->log->unfit, sizeof(r->log->unfit),
		"\"%s\" has the id %lld twice, but ids must be unique", r->log->table,
		(long long)id);
	return false;
}

/* The maximum length of a row's value, in bytes as the database stores it. */
static int row_max(const struct eventlog *log)
{
	return log->unit * EVENTLOG_ROW_MAX + EVENTLOG_ROW_EXTRA;
}

/* Needed where the database allows more: in a view that makes a text, or with another schema. */
static bool is_too_large(const struct row *row)
{
	size_t names = row->channel_length + row->event_length + row->created_at_length;

	return row->data_length > EVENTLOG_ROW_MAX || names > EVENTLOG_ROW_EXTRA;
}

/*
 * Steps `payload` to the rest of a row, unless it is `st`, which is already there. False: the row
 * is gone.
 */
static bool find_payload(
	struct reading *r, struct statement *st, struct statement *payload, int64_t id)
{
	if (payload != st) {
		r->fetched = id;
		database_bind_int(payload, 1, id);
		r->s = database_step(payload);
	}
	return r->s != DATABASE_DONE;
}

/*
 * Offers the row on which a statement stands. payload: the same statement, or one to step for the
 * rest of a row that is wanted.
 */
static enum step offer(struct reading *r, struct statement *st, struct statement *payload)
{
	struct row row;

	if (!eventlog_read_names(r->log, st, &row)) {
		r->s = DATABASE_NO_MEMORY;
		return STEP_FAILED;
	}
	if ((row.id < 1 && !eventlog_id_is_good(r->log, st)) || !is_next(r, row.id)) {
		r->s = DATABASE_SCHEMA;
		return STEP_FAILED;
	}
	if (wants(r->f, &row) && find_payload(r, st, payload, row.id)) {
		if (r->s != DATABASE_ROW)
			return STEP_FAILED;
		if (!read_payload(r->log, payload, &row)) {
			r->s = DATABASE_NO_MEMORY;
			return STEP_FAILED;
		}
		if (is_too_large(&row)) {
			r->batch->too_large = r->taken ? 0 : row.id;
			return STEP_FULL;
		}
		if (!r->take(r->context, &row))
			return STEP_FULL;
		r->taken++;
	}
	r->looked++;
	r->batch->scanned = row.id;
	return r->taken == r->max_rows ? STEP_FULL : STEP_ON;
}

/* If few rows are wanted, read only their names first: the payloads of the others may be long. */
static bool reads_names_first(const struct reading *r)
{
	return r->f && r->batch->rows != EVENTLOG_DENSE && !r->log->is_view && !r->log->sorts;
}

static void judge_density(struct reading *r)
{
	bool few = r->taken * EVENTLOG_SPARSE_ROWS < r->looked;

	if (few && r->batch->rows == EVENTLOG_DENSE)
		r->batch->rows = EVENTLOG_SPARSE;
	else if (!few && r->taken > 0)
		r->batch->rows = EVENTLOG_DENSE;
}

/* Reads row after row, by id. */
static void scan(struct reading *r, int64_t after)
{
	bool names = reads_names_first(r), late = false;
	struct statement *st = r->log->st[names ? ST_NAMES : ST_SCAN];
	struct statement *payload = names ? r->log->st[ST_ROW] : st;
	int64_t until_us = clock_us() + EVENTLOG_SCAN_US;
	enum step step = STEP_ON;

	database_bind_int(st, 1, after);
	database_bind_int(st, 2, SCAN_ROWS);
	while (step == STEP_ON && !late && (r->s = database_step(st)) == DATABASE_ROW) {
		step = offer(r, st, payload);
		if (names)
			database_reset(payload);
		late = r->f && r->looked % CLOCK_ROWS == 0 && clock_us() > until_us;
	}
	database_reset(st);
	r->batch->at_end =
		!late && step == STEP_ON && r->s == DATABASE_DONE && r->looked < SCAN_ROWS;
	if (late || r->looked == SCAN_ROWS)
		judge_density(r);
}

static enum step fetch(struct reading *r, int64_t id)
{
	struct statement *st = r->log->st[ST_ROW];
	enum step step = STEP_ON;

	r->fetched = id;
	database_bind_int(st, 1, id);
	r->s = database_step(st);
	if (r->s == DATABASE_ROW)
		step = offer(r, st, st);
	database_reset(st);
	if (r->s != DATABASE_ROW && r->s != DATABASE_DONE)
		return STEP_FAILED;
	return step;
}

/*
 * Reads from the index, a channel at a time, and looks up each wanted row: for channels with few
 * rows. False if there are too many; then nothing was read.
 */
static bool follow_index(struct reading *r, int64_t after)
{
	size_t fair = EVENTLOG_IDS_MAX / r->f->channel_count;
	struct eventlog_ids *ids = eventlog_collect(
		r->log, r->f, ST_IDS, after, INT64_MAX, fair < r->max_rows ? fair : r->max_rows);
	enum step step = STEP_ON;

	if (ids->too_many && ids->s == DATABASE_DONE)
		return false;
	r->s = ids->s;
	if (r->s != DATABASE_DONE)
		return true;
	for (size_t i = 0; i < ids->count && ids->id[i] <= ids->horizon && step == STEP_ON; i++)
		step = fetch(r, ids->id[i]);
	if (step == STEP_FAILED)
		return true;
	r->s = DATABASE_DONE;
	if (step == STEP_ON && !ids->complete)
		r->batch->scanned = ids->horizon;
	r->batch->at_end = step == STEP_ON && ids->complete;
	if (r->looked &&
		(r->batch->scanned - after) / (int64_t)r->looked < EVENTLOG_SPARSE_ROWS / 2)
		r->batch->rows = EVENTLOG_DENSE;
	return true;
}

static bool can_follow_index(const struct reading *r)
{
	return r->batch->rows == EVENTLOG_SPARSE && r->f && !r->log->sorts &&
	       eventlog_index_finds_all(r->log, r->f);
}

/* Reports missing rows; true if there are any that were not told yet. */
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

/* Reads the next row, without its payload. False if there is none, or on a fault. */
static bool next_names(struct reading *r, struct row *row)
{
	struct statement *st = r->log->st[ST_NAMES];

	database_limit_length(r->log->db, 0);
	database_bind_int(st, 1, r->fetched ? r->fetched - 1 : r->batch->scanned);
	database_bind_int(st, 2, 1);
	r->s = database_step(st);
	if (r->s == DATABASE_ROW && !eventlog_id_is_good(r->log, st))
		r->s = DATABASE_SCHEMA;
	if (r->s == DATABASE_ROW && !eventlog_read_names(r->log, st, row))
		r->s = DATABASE_NO_MEMORY;
	return r->s == DATABASE_ROW;
}

/*
 * A value was too long, or there was no memory for it. It may belong to another row than the next
 * one, if SQLite sorts the rows; and the row may not be wanted. For lack of memory, only a long row
 * is skipped.
 */
static void find_obstacle(struct reading *r)
{
	bool memory = r->s == DATABASE_NO_MEMORY, wanted;
	struct row row = {0};
	int64_t id;

	r->batch->at_end = false;
	if (r->taken > 0) {
		r->s = DATABASE_DONE;
		return;
	}
	wanted = next_names(r, &row) && wants(r->f, &row);
	id = row.id;
	database_reset(r->log->st[ST_NAMES]);
	if (r->s != DATABASE_ROW)
		return;
	if (wanted) {
		database_limit_length(r->log->db, memory ? EVENTLOG_ROW_SMALL : row_max(r->log));
		fetch(r, id);
		if (r->s == DATABASE_TOO_LONG)
			r->batch->too_large = id;
		else if (r->s != DATABASE_ROW && r->s != DATABASE_DONE)
			return;
	} else {
		r->batch->scanned = id;
	}
	r->s = DATABASE_DONE;
}

static void read_rows(struct reading *r, int64_t after)
{
	int64_t newest;

	database_limit_length(r->log->db, row_max(r->log));
	if (!can_follow_index(r)) {
		scan(r, after);
	} else if (!follow_index(r, after)) {
		r->batch->rows = EVENTLOG_CROWDED;
		scan(r, after);
	}
	if (r->s == DATABASE_TOO_LONG || r->s == DATABASE_NO_MEMORY)
		find_obstacle(r);
	database_limit_length(r->log->db, 0);
	if (r->batch->too_large && (r->s == DATABASE_DONE || r->s == DATABASE_ROW))
		r->s = eventlog_get_bounds(r->log, &r->batch->bounds);
	if (r->s != DATABASE_DONE || !r->batch->at_end)
		return;
	r->s = eventlog_newest(r->log, &newest);
	if (newest > r->batch->scanned)
		r->batch->scanned = newest;
}

/* A view or a generated column may fail for one row, for example on invalid JSON or an overflow. */
static void tell_where(struct reading *r)
{
	struct eventlog *log = r->log;
	struct database_failure why;

	database_explain(log->db, &why);
	snprintf(log->unfit, sizeof(log->unfit),
		"\"%s\" cannot be read after id %lld: %s; streams wait there until the row, "
		"or the %s, is fixed",
		log->table, (long long)r->batch->scanned, why.message,
		log->is_view ? "view" : "table");
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
	batch->next = batch->too_large = 0;
	if (e != EVENTLOG_OK)
		return e;
	if (!read_pruned(&r, after, told))
		read_rows(&r, after);
	if (r.s == DATABASE_SCHEMA && !*log->unfit)
		tell_where(&r);
	log->at_row = r.s == DATABASE_SCHEMA;
	e = eventlog_end(log, r.s);
	log->at_row = false;
	*log->unfit = '\0';
	return e;
}
