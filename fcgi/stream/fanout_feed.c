#include <stdlib.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "stream/fanout_impl.h"

enum {
	LARGE_ROW = 256 * 1024, /* bytes of data; may push all others out; is sent alone */
	UNFOLLOWED_ROW = 4096, /* bytes of data; is encoded only if a stream follows it */
	REFILL_IDS = 1024, /* how far back; a read takes RUN_RECORDS rows */
	REFILL_READS = REFILL_IDS / RUN_RECORDS + 1,
	MATCHES_ENOUGH = 1 << 20, /* records noted for groups; at more, they are sent first */
	MATCHES_KEPT = 1 << 16, /* memory for this many is kept for the next rows */
};

/* New rows that are being read into the windows. */
struct feeding {
	struct fanout *f;
	size_t rows, bytes;
	int64_t last; /* id of the last row */
	int64_t last_length; /* bytes of its data */
	bool full; /* a record is alone in its window: no row may follow it in this batch */
	bool broken[LANES_MAX];
};

/* Looks for streams on a lane that follow a row. */
struct following {
	int lane;
	const struct row *row;
	bool found;
};

static void note_follower(void *context, struct group *group)
{
	struct following *l = context;

	l->found |= group->lane == l->lane &&
		    filter_has_type(group->filter, l->row->event, l->row->event_length);
}

static bool is_followed(struct fanout *f, int lane, const struct row *row)
{
	struct following l = {.lane = lane, .row = row};

	groups_of_channel(f->groups, row->channel, row->channel_length, note_follower, &l);
	return l.found;
}

/*
 * Encodes a row for a lane, and appends it to the window. A large row that nobody follows gets an
 * entry without a record. *bytes: the length of the record. False if the window has no room.
 */
static bool feed_lane(struct fanout *f, int lane, const struct row *row, size_t *bytes)
{
	struct window_entry entry = {.id = row->id, .channel = row->channel, .event = row->event};
	bool encode = row->data_length < UNFOLLOWED_ROW || is_followed(f, lane, row);
	size_t length = 0, content;

	if (encode) {
		buffer_clear(&f->scratch);
		length = lane_encode(&f->lanes[lane].lane, &f->scratch, row, &content);
		entry.bytes = f->scratch.data;
		entry.length = (uint32_t)length;
		entry.content = (uint32_t)content;
	}
	*bytes = length;
	entry.channel_length = (uint16_t)row->channel_length;
	entry.event_length = (uint16_t)row->event_length;
	if ((encode && length == 0) || row->channel_length > UINT16_MAX ||
		row->event_length > UINT16_MAX) {
		window_reset(f->lanes[lane].window, row->id);
		return false;
	}
	return window_append(f->lanes[lane].window, &entry);
}

static bool feed_row(void *context, const struct row *row)
{
	struct feeding *feeding = context;
	struct fanout *f = feeding->f;
	bool large = row->data_length > LARGE_ROW;
	size_t bytes;

	if (feeding->full || (large && feeding->rows > 0) || feeding->bytes >= RUN_BYTES)
		return false;
	for (int lane = 0; lane < f->lane_count; lane++) {
		if (f->lanes[lane].streams == 0)
			continue;
		if (!feed_lane(f, lane, row, &bytes))
			feeding->broken[lane] = true;
		feeding->bytes += bytes;
	}
	fanout_note_end(f, row);
	feeding->rows++;
	feeding->last = row->id;
	feeding->last_length = (int64_t)row->data_length;
	feeding->full = large;
	return true;
}

static uint32_t new_match(struct fanout *f, uint64_t sequence)
{
	if (f->match_count == f->match_capacity || !f->matches) {
		size_t capacity = f->match_capacity ? f->match_capacity * 2 : 1024;
		struct match *matches = realloc(f->matches, capacity * sizeof(*matches));

		if (!matches)
			return 0;
		f->matches = matches;
		f->match_capacity = capacity;
	}
	f->matches[f->match_count] = (struct match){.sequence = sequence};
	return (uint32_t)f->match_count++;
}

struct matching {
	struct fanout *f;
	int lane;
	uint64_t sequence;
	const struct window_entry *entry;
	bool failed;
};

/* Notes a record for a group that follows its channel. */
static void match_group(void *context, struct group *group)
{
	struct matching *m = context;
	struct fanout *f = m->f;
	uint32_t match;

	if (group->lane != m->lane || !group->idle.head ||
		!filter_has_type(group->filter, m->entry->event, m->entry->event_length))
		return;
	if (group->last_match && f->matches[group->last_match].sequence == m->sequence)
		return;
	if (!(match = new_match(f, m->sequence))) {
		m->failed = true;
		return;
	}
	if (group->last_match) {
		f->matches[group->last_match].next = match;
	} else {
		group->first_match = match;
		group->next_touched = f->touched;
		f->touched = group;
	}
	group->last_match = match;
}

static void build_run(struct fanout *f, const struct group *group)
{
	run_begin(&f->run, &f->lanes[group->lane].lane, 0, 0);
	for (uint32_t i = group->first_match; i; i = f->matches[i].next) {
		const struct window_entry *e =
			window_at(f->lanes[group->lane].window, f->matches[i].sequence);

		run_add(&f->run,
			&(struct run_record){e->id, e->bytes, e->length, e->content, e->hash});
	}
}

/* Writes f->run to each stream that waits. Those that can't take it all leave the group. */
static void deliver(struct fanout *f, struct group *group)
{
	int64_t now_ms = clock_ms();
	struct subscriber *s, *next;

	/* A poll puts its rows into its answer instead of sending them. */
	if (f->lanes[group->lane].lane.encoding == LANE_OBJECT) {
		fanout_queue_idle(f, group);
		return;
	}
	for (s = group->idle.head; s; s = next) {
		uint64_t before = s->records;
		enum subscriber_result result;

		next = s->next;
		if (s->cursor >= f->run.records[0].id) {
			/* It replayed past the rows in the windows, so it finds its place. */
			fanout_leave_group(f, s);
			fanout_enqueue(f, s);
			continue;
		}
		result = subscriber_send(s, &f->run, now_ms);
		metrics_add(METRIC_RECORDS_SENT, s->records - before);
		metrics_delivery(s->records - before, clock_us() - f->seen_us);
		if (result == SUBSCRIBER_SENT && !group->ended)
			continue;
		if (result == SUBSCRIBER_SENT) {
			if (fanout_has_ended(f, s))
				fanout_end(f, s, LEAVE_ENDED);
			continue;
		}
		fanout_leave_group(f, s);
		s->state = SUBSCRIBER_REPLAY;
		if (result == SUBSCRIBER_LOST)
			fanout_drop(f, s);
	}
}

/* Sends all records that were noted, unless some could not be noted. */
static void deliver_matches(struct fanout *f, bool failed)
{
	struct group *group;

	while ((group = f->touched)) {
		f->touched = group->next_touched;
		build_run(f, group);
		/* When the last stream leaves, the group is freed: do not use it after this. */
		group->first_match = group->last_match = 0;
		group->next_touched = NULL;
		if (!failed)
			deliver(f, group);
	}
	f->match_count = 1;
}

/* Sends a lane's new entries to the streams that wait for them. */
static void hand_out(struct fanout *f, int lane, uint64_t first)
{
	const struct window *w = f->lanes[lane].window;
	struct matching m = {.f = f, .lane = lane};

	f->match_count = 1;
	f->touched = NULL;
	for (m.sequence = first; m.sequence < window_next(w) && !m.failed; m.sequence++) {
		m.entry = window_at(w, m.sequence);
		groups_of_channel(
			f->groups, m.entry->channel, m.entry->channel_length, match_group, &m);
		/* Thousands of groups may all follow the channel of a large commit. */
		if (f->match_count > MATCHES_ENOUGH)
			deliver_matches(f, m.failed);
	}
	deliver_matches(f, m.failed);
	if (f->match_capacity > MATCHES_KEPT) {
		free(f->matches);
		f->matches = NULL;
		f->match_capacity = 0;
	}
	/* Groups whose records could not be noted must not miss them. */
	if (m.failed)
		fanout_queue_lane(f, lane);
}

static void hand_out_lanes(struct fanout *f, const struct feeding *feeding, const uint64_t *first)
{
	for (int lane = 0; lane < f->lane_count; lane++) {
		if (f->lanes[lane].streams == 0)
			continue;
		/* Streams must also replay records that others of the same batch pushed out. */
		if (feeding->broken[lane] || window_first(f->lanes[lane].window) > first[lane])
			fanout_queue_lane(f, lane);
		else
			hand_out(f, lane, first[lane]);
	}
	if (feeding->rows > 0)
		fanout_queue_lane(f, LANE_NONE);
}

/*
 * Reads a batch of new rows into the windows, in one transaction, which ends before they are sent:
 * sending to thousands takes longer than reading. The last row gets its mark in the same
 * transaction. Until it does, another row's mark must not count.
 */
static enum eventlog_status read_batch(struct fanout *f, struct feeding *feeding,
	struct eventlog_batch *batch, struct fanout_progress *progress)
{
	enum eventlog_status released, e = eventlog_hold(f->log);

	if (e == EVENTLOG_OK)
		e = eventlog_read(f->log, NULL, f->fed, 0, RUN_RECORDS, feed_row, feeding, batch);
	if (feeding->rows > 0) {
		f->marked_id = feeding->last;
		f->marked_length = feeding->last_length;
		f->mark = 0;
		progress->marked = false;
	}
	if (e == EVENTLOG_OK && feeding->rows > 0) {
		e = eventlog_mark(f->log, f->marked_id, f->marked_length, &f->mark);
		progress->marked = e == EVENTLOG_OK;
	}
	fanout_look_up_ends(f);
	if (batch->pruned.id || batch->too_large)
		fanout_look_up_all_ends(f);
	released = eventlog_release(f->log);
	return e == EVENTLOG_OK ? released : e;
}

enum eventlog_status fanout_feed(struct fanout *f, struct fanout_progress *progress)
{
	struct feeding feeding = {.f = f};
	struct eventlog_batch batch = {0};
	uint64_t first[LANES_MAX] = {0};
	enum eventlog_status e;

	for (int lane = 0; lane < f->lane_count; lane++)
		first[lane] = window_next(f->lanes[lane].window);
	f->seen_us = clock_us();
	progress->more = false;
	e = read_batch(f, &feeding, &batch, progress);
	/* Send the rows before a fault: the fault may be in the next row, and stay. */
	if (e != EVENTLOG_OK && feeding.rows == 0)
		return e;
	if (batch.pruned.id) {
		fanout_reset_windows(f, batch.bounds.newest);
		progress->rows = 1;
		return e;
	}
	if (batch.too_large) {
		/* Each waiting stream finds out for itself whether it follows the row. */
		fanout_note_too_large(f, batch.too_large);
		fanout_reset_windows(f, batch.too_large);
		progress->rows += 1;
		progress->more = true;
		return e;
	}
	hand_out_lanes(f, &feeding, first);
	f->fed = batch.scanned;
	for (int lane = 0; lane < f->lane_count; lane++)
		window_advance(f->lanes[lane].window, f->fed);
	metrics_add(METRIC_ROWS_READ, feeding.rows);
	progress->rows += feeding.rows;
	progress->more = e == EVENTLOG_OK && !batch.at_end;
	return e;
}

/* Recent rows that are read into a window once more. */
struct refilling {
	struct fanout *f;
	int lane;
	bool failed, beyond; /* it met a row that was not fed yet */
};

static bool refill_row(void *context, const struct row *row)
{
	struct refilling *r = context;
	size_t bytes;

	r->beyond = row->id > r->f->fed;
	if (r->beyond)
		return false;
	r->failed = row->data_length > LARGE_ROW || !feed_lane(r->f, r->lane, row, &bytes);
	return !r->failed;
}

/*
 * Reads the rows after an id into the window of a lane, up to those that were fed. *pruned: rows
 * are missing up to this id; 0: none. False if that failed.
 */
static bool refill_after(struct fanout *f, int lane, int64_t after, int64_t *pruned)
{
	struct refilling r = {.f = f, .lane = lane};
	struct eventlog_batch batch = {.scanned = after};
	enum eventlog_status e = EVENTLOG_OK;
	bool whole = after >= f->fed;

	*pruned = 0;
	window_reset(f->lanes[lane].window, after);
	for (int i = 0; i < REFILL_READS && !whole; i++) {
		e = eventlog_read(
			f->log, NULL, batch.scanned, 0, RUN_RECORDS, refill_row, &r, &batch);
		*pruned = batch.pruned.id;
		if (e != EVENTLOG_OK || r.failed || *pruned || batch.too_large)
			return false;
		whole = r.beyond || batch.at_end || batch.scanned >= f->fed;
	}
	window_advance(f->lanes[lane].window, f->fed);
	return whole;
}

void fanout_refill(struct fanout *f, int lane)
{
	int64_t after = f->fed > REFILL_IDS ? f->fed - REFILL_IDS : 0, pruned = 0;
	bool whole = false, same;

	/* In one transaction, which is cheaper. Each read reports the deletions ahead of it. */
	if (fanout_begin(f, &same) == EVENTLOG_OK && same) {
		whole = refill_after(f, lane, after, &pruned);
		if (!whole && pruned > 0 && pruned < f->fed)
			whole = refill_after(f, lane, pruned, &pruned);
	}
	if (eventlog_release(f->log) != EVENTLOG_OK || !whole)
		window_reset(f->lanes[lane].window, f->fed);
}
