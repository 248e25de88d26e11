#include <stdlib.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "stream/fanout_impl.h"

enum {
	LOOK_US = 10000, /* longest time for new rows; then others come */
	WAITED_US = 1000000,
	LARGE_ROW =
		256 * 1024, /* bytes of data; may push all others out of a window; is sent alone */
	UNFOLLOWED_ROW = 4096, /* bytes of data; is encoded only if a stream follows it */
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

/* Encodes a row for a lane. A large row that nobody follows gets an entry without a record. */
static size_t feed_lane(struct feeding *feeding, int lane, const struct row *row)
{
	struct fanout *f = feeding->f;
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
	entry.channel_length = (uint16_t)row->channel_length;
	entry.event_length = (uint16_t)row->event_length;
	if ((encode && length == 0) || row->channel_length > UINT16_MAX ||
		row->event_length > UINT16_MAX) {
		window_reset(f->lanes[lane].window, row->id);
		feeding->broken[lane] = true;
	} else if (!window_append(f->lanes[lane].window, &entry)) {
		feeding->broken[lane] = true;
	}
	return length;
}

static bool feed_row(void *context, const struct row *row)
{
	struct feeding *feeding = context;
	bool large = row->data_length > LARGE_ROW;

	if (feeding->full || (large && feeding->rows > 0) || feeding->bytes >= RUN_BYTES)
		return false;
	for (int lane = 0; lane < feeding->f->lane_count; lane++)
		if (feeding->f->lanes[lane].streams > 0)
			feeding->bytes += feed_lane(feeding, lane, row);
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
	run_clear(&f->run);
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
			subscriber_list_remove(&group->idle, s);
			fanout_enqueue(f, s);
			continue;
		}
		result = subscriber_send(s, &f->run, now_ms);
		metrics_add(METRIC_RECORDS_SENT, s->records - before);
		metrics_delivery(s->records - before, clock_us() - f->seen_us);
		if (result == SUBSCRIBER_SENT)
			continue;
		subscriber_list_remove(&group->idle, s);
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

/* What a look has found so far. */
struct progress {
	size_t rows;
	bool more; /* there may be further rows */
	bool marked; /* the newest row has its mark */
};

/*
 * Reads a batch of new rows into the windows, in one transaction, which ends before they are sent:
 * sending to thousands takes longer than reading. The newest row gets its mark in the same
 * transaction. Until it does, another row's mark must not count.
 */
static enum eventlog_status read_batch(struct fanout *f, struct feeding *feeding,
	struct eventlog_batch *batch, struct progress *progress)
{
	enum eventlog_status released, e = eventlog_hold(f->log);

	if (e == EVENTLOG_OK)
		e = eventlog_read(
			f->log, NULL, f->fed, 0, RUN_RECORDS, feed_row, feeding, batch);
	if (feeding->rows > 0) {
		f->marked_id = feeding->last;
		f->marked_length = feeding->last_length;
		f->mark = 0;
	}
	if (e == EVENTLOG_OK && feeding->rows > 0 && batch->at_end) {
		e = eventlog_mark(f->log, f->marked_id, f->marked_length, &f->mark);
		progress->marked = e == EVENTLOG_OK;
	}
	released = eventlog_release(f->log);
	return e == EVENTLOG_OK ? released : e;
}

/* Reads a batch of new rows and sends them. */
static enum eventlog_status feed(struct fanout *f, struct progress *progress)
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

/* Checks a commit without new rows: a checkpoint, a grant, or a log that was restored in place. */
static enum eventlog_status check_restored(struct fanout *f)
{
	struct eventlog_bounds bounds;
	enum eventlog_status e = eventlog_bounds(f->log, &bounds);

	return e == EVENTLOG_OK && bounds.newest < f->fed ? fanout_replaced(f) : e;
}

/* Before a read: was another log, with more rows, restored into the same file? */
static enum eventlog_status check_mark(struct fanout *f, bool *same)
{
	enum eventlog_status e = eventlog_is_same(f->log, f->marked_id, &f->mark, same);

	return e == EVENTLOG_OK && !*same ? fanout_replaced(f) : e;
}

bool fanout_may_have_news(struct fanout *f)
{
	uint64_t commit;

	return !f->current || f->distrusted || f->generation != eventlog_generation(f->log) ||
	       !eventlog_last_commit(f->log, &commit, NULL) || commit != f->commit;
}

bool fanout_is_current(struct fanout *f)
{
	uint64_t commit;
	bool writing;

	return f->current && eventlog_last_commit(f->log, &commit, &writing) &&
	       commit == f->commit && !writing;
}

void fanout_doubt(struct fanout *f)
{
	f->current = false;
}

/*
 * Begins a look, in a transaction. *due: there is something to read; *known: a commit has become
 * visible since the last look.
 */
static enum eventlog_status begin_look(
	struct fanout *f, int64_t *version, bool *due, bool *known, bool *news)
{
	enum eventlog_status e;
	bool same = true;

	if (f->generation != eventlog_generation(f->log)) {
		f->generation = eventlog_generation(f->log);
		f->version = -1;
	}
	if ((e = eventlog_hold(f->log)) != EVENTLOG_OK ||
		(e = eventlog_version(f->log, version)) != EVENTLOG_OK)
		return e;
	*known = f->version >= 0 && *version != f->version;
	*due = *version != f->version || f->distrusted;
	f->distrusted = false;
	/* Check a reopened file, too: it may have been restored while unreadable. */
	if (*version != f->version && ((e = check_mark(f, &same)) != EVENTLOG_OK || !same)) {
		*news = !same;
		*due = false;
	}
	return e;
}

/* Reads and sends what is new, for some milliseconds at most. Ends the transaction. */
static enum eventlog_status read_news(struct fanout *f, struct progress *progress)
{
	int64_t until = clock_us() + LOOK_US;
	enum eventlog_status e, mark = EVENTLOG_OK;

	f->version = -1;
	do
		e = feed(f, progress);
	while (e == EVENTLOG_OK && progress->more && clock_us() < until);
	if (progress->rows > 0 && !progress->marked && eventlog_is_open(f->log))
		mark = eventlog_mark(f->log, f->marked_id, f->marked_length, &f->mark);
	return e != EVENTLOG_OK ? e : mark;
}

static enum eventlog_status look(struct fanout *f, bool *news)
{
	struct progress progress = {0};
	int64_t version = -1;
	bool due = false, known = false;
	enum eventlog_status released, e = begin_look(f, &version, &due, &known, news);

	if (e == EVENTLOG_OK && due) {
		e = read_news(f, &progress);
		*news = progress.rows > 0 || known;
		if (e == EVENTLOG_OK && progress.more) {
			f->unread = true;
			f->calls.want_turn(f->calls.context);
		} else if (e == EVENTLOG_OK) {
			f->version = version;
			if (progress.rows == 0 && (known || !eventlog_is_view(f->log)))
				e = check_restored(f);
		}
	}
	released = eventlog_release(f->log);
	return e != EVENTLOG_OK ? e : released;
}

/*
 * May the waiting streams be called although a row cannot be read? Those that wait for earlier rows
 * can continue. The others try in vain, so this must not happen too often.
 */
static bool may_call(struct fanout *f)
{
	if (!eventlog_is_open(f->log) || clock_us() - f->waited_us < WAITED_US)
		return false;
	f->waited_us = clock_us();
	return true;
}

enum eventlog_status fanout_look(struct fanout *f, bool *news)
{
	enum eventlog_status e;
	uint64_t commit;
	bool known;

	*news = false;
	if (!fanout_may_have_news(f) && !f->waiting.head)
		return EVENTLOG_OK;
	/* The number is from before the look, so a commit during it counts as new afterwards. */
	known = eventlog_last_commit(f->log, &commit, NULL);
	f->unread = false;
	e = look(f, news);
	f->current = known && e == EVENTLOG_OK && !f->unread && f->version >= 0;
	f->commit = known ? commit : 0;
	if (e == EVENTLOG_OK || may_call(f))
		while (f->waiting.head)
			fanout_enqueue(f, f->waiting.head);
	return e;
}

void fanout_distrust(struct fanout *f)
{
	f->distrusted = true;
}

/* Begins at this row: the newest row identifies the log. */
static enum eventlog_status begin_at(struct fanout *f, int64_t newest)
{
	fanout_reset_windows(f, newest);
	f->version = -1;
	f->current = false;
	f->marked_id = newest;
	f->marked_length = -1;
	return eventlog_mark(f->log, newest, -1, &f->mark);
}

enum eventlog_status fanout_wake(struct fanout *f)
{
	struct eventlog_bounds bounds;
	enum eventlog_status e = eventlog_bounds(f->log, &bounds);

	return e == EVENTLOG_OK ? begin_at(f, bounds.newest) : e;
}

enum eventlog_status fanout_replaced(struct fanout *f)
{
	struct eventlog_bounds bounds;
	enum eventlog_status e = eventlog_bounds(f->log, &bounds);

	if (e != EVENTLOG_OK)
		return e;
	for (struct subscriber *s = f->all; s; s = s->all_next)
		s->replaced = true;
	return begin_at(f, bounds.newest);
}
