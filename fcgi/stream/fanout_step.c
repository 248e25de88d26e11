#include "stream/fanout_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/metrics.h"
#include "protocol/sse.h"

enum {
	REPLAY_ROWS = RUN_RECORDS, /* in one step */
	REPLAY_BYTES = 256 * 1024, /* a step reads no more rows once it has this many bytes */
	TOO_LARGE_MS = 10000, /* between two lines in the log about rows that are too large */
};

_Static_assert((int)GAP_REASONS <= (int)METRIC_REASONS_MAX, "a counter for each");

/* Rows that are being read and encoded for one stream. */
struct replay {
	struct fanout *f;
	struct subscriber *s;
	size_t offsets[REPLAY_ROWS]; /* of the records in scratch, which moves while it grows */
	bool failed;
	int64_t too_large; /* id of the first row, if that cannot be encoded; 0: none */
};

static const struct lane *lane_of(const struct subscriber *s)
{
	return s->poll ? &fanout_object_lane : &s->lane;
}

/* Did memory run out for this row a moment ago? Then the next stream need not try. */
static bool is_hopeless(const struct fanout *f, const struct subscriber *s, int64_t id)
{
	return f->hopeless_id == id && f->hopeless_encoding == lane_of(s)->encoding;
}

static void note_failure(struct replay *r, const struct row *row)
{
	struct fanout *f = r->f;

	r->failed = true;
	if (row->data_length < EVENTLOG_ROW_SMALL)
		return;
	f->hopeless_id = row->id;
	f->hopeless_encoding = lane_of(r->s)->encoding;
	if (f->run.count > 0)
		return;
	r->too_large = row->id;
	/* Free the part that was encoded: others need the memory. */
	buffer_free(&f->scratch);
}

static bool take_row(void *context, const struct row *row)
{
	struct replay *r = context;
	struct fanout *f = r->f;
	size_t start = f->scratch.length, content, length = 0;
	struct run_record record = {.id = row->id};

	if (f->run.count > 0 && start >= REPLAY_BYTES)
		return false;
	if (!is_hopeless(f, r->s, row->id))
		length = lane_encode(lane_of(r->s), &f->scratch, row, &content);
	if (length == 0) {
		note_failure(r, row);
		return false;
	}
	r->offsets[f->run.count] = start;
	record.length = (uint32_t)length;
	record.content = (uint32_t)content;
	f->run.records[f->run.count++] = record;
	return true;
}

static void begin_run(struct fanout *f, const struct subscriber *s)
{
	run_begin(&f->run, lane_of(s), s->owed, s->cut);
}

/* Lets the records point into scratch, which no longer moves. False if not all fit in the run. */
static bool settle_run(struct fanout *f, const struct replay *r)
{
	size_t count = f->run.count;

	begin_run(f, r->s);
	for (size_t i = 0; i < count; i++) {
		struct run_record record = f->run.records[i];

		record.bytes = f->scratch.data + r->offsets[i];
		if (run_is_full(&f->run) || !run_fits(&f->run, &record))
			return false;
		run_add(&f->run, &record);
	}
	return true;
}

static enum turn after_words(enum subscriber_result result)
{
	switch (result) {
	case SUBSCRIBER_SENT:
		return TURN_AGAIN;
	case SUBSCRIBER_BLOCKED:
		return TURN_BLOCKED;
	default:
		return TURN_OVER;
	}
}

static enum turn out_of_memory(struct subscriber *s)
{
	s->reason = LEAVE_MEMORY;
	return TURN_OVER;
}

static enum turn say_words(struct fanout *f, struct subscriber *s)
{
	if (f->words.failed)
		return out_of_memory(s);
	return after_words(subscriber_say(s, f->words.data, f->words.length, clock_ms()));
}

/* Sends a gap and continues after `id`. */
static enum turn say_gap(struct fanout *f, struct subscriber *s, int64_t id, int64_t deletion,
	const struct eventlog_bounds *bounds, enum gap reason)
{
	char requested[24];

	snprintf(requested, sizeof(requested), "%" PRId64, s->told);
	if (s->poll)
		return fanout_poll_gap(f, s, id, deletion, requested, bounds, reason);
	buffer_clear(&f->words);
	sse_gap(&f->words, id, requested, bounds->oldest, bounds->newest, reason);
	metrics_add_reason(METRIC_GAPS, reason);
	s->cursor = s->told = id;
	s->deletion_told = deletion;
	return say_words(f, s);
}

/* Adds the head of a stream, unless it was sent. */
static void add_head(struct fanout *f, const struct subscriber *s)
{
	const struct opening *o = s->opening;

	buffer_clear(&f->words);
	if (o->head_sent)
		return;
	buffer_append(&f->words, o->head.data, o->head.length);
	sse_retry(&f->words, s->retry_ms);
}

/* Sends head and first record in one write. */
static enum turn begin_stream(struct fanout *f, struct subscriber *s)
{
	struct opening *o = s->opening;
	enum turn turn;

	add_head(f, s);
	if (o->gap) {
		sse_gap(&f->words, o->id, o->requested, o->bounds.oldest, o->bounds.newest,
			o->reason);
		metrics_add_reason(METRIC_GAPS, o->reason);
	} else {
		sse_position(&f->words, o->id, s->bare);
	}
	s->cursor = s->told = o->id;
	s->deletion_told = o->deletion;
	s->gone = o->gone;
	turn = say_words(f, s);
	opening_free(o);
	s->opening = NULL;
	s->state = SUBSCRIBER_REPLAY;
	return turn;
}

/*
 * Sends head and heartbeat while the place is far away or the log is locked. So web server and
 * client see that there is a stream.
 */
static enum turn show_life(struct fanout *f, struct subscriber *s, enum turn when_sent)
{
	enum turn turn;

	if (s->opening->head_sent || s->poll)
		return when_sent;
	add_head(f, s);
	sse_heartbeat(&f->words);
	s->opening->head_sent = true;
	turn = say_words(f, s);
	return turn == TURN_AGAIN ? when_sent : turn;
}

static enum turn step_open(struct fanout *f, struct subscriber *s)
{
	struct opening *o = s->opening;

	if (!o->done && opening_continue(o, f->log, s->group->filter) != EVENTLOG_OK)
		return show_life(f, s, TURN_WAIT);
	if (!o->done)
		return show_life(f, s, TURN_AGAIN);
	return s->poll ? fanout_poll_begin(f, s) : begin_stream(f, s);
}

static enum turn step_replaced(struct fanout *f, struct subscriber *s)
{
	struct eventlog_place place;

	/* A poll begins again after s->told, because its collected rows are removed, too. */
	if (eventlog_place(f->log, s->group->filter, s->poll ? s->told : s->cursor, &place) !=
		EVENTLOG_OK)
		return TURN_WAIT;
	s->replaced = false;
	s->gone = place.pruned.id;
	return say_gap(f, s, place.id, place.pruned.deletion, &place.bounds, GAP_REPLACED);
}

static enum turn step_farewell(struct subscriber *s)
{
	enum turn turn = after_words(subscriber_farewell(s, clock_ms()));

	return turn == TURN_AGAIN ? TURN_OVER : turn;
}

/*
 * Sends f->run. With its last record, everything up to `scanned` is done. Ends the stream if a
 * record was cut and is no longer there.
 */
static enum turn send_run(
	struct fanout *f, struct subscriber *s, int64_t scanned, enum turn when_sent)
{
	uint64_t before = s->records;
	enum subscriber_result result = SUBSCRIBER_SENT;

	if (s->poll)
		return fanout_poll_take(f, s, scanned, when_sent);
	if (!subscriber_continues(s, &f->run)) {
		subscriber_give_up_cut(s);
		metrics_add(METRIC_RECORDS_SENT, s->records - before);
		return TURN_AGAIN;
	}
	/* No row fits in the frame that was begun. */
	if (f->run.count == 0 && s->owed)
		return after_words(subscriber_fill(s, clock_ms()));
	if (f->run.count > 0)
		result = subscriber_send(s, &f->run, clock_ms());
	metrics_add(METRIC_RECORDS_SENT, s->records - before);
	if (result != SUBSCRIBER_SENT)
		return after_words(result);
	if (scanned > s->cursor)
		s->cursor = scanned;
	/* An idle stream has whole frames: some web servers hold back the others. */
	return s->owed ? TURN_AGAIN : when_sent;
}

static enum turn step_replay(struct fanout *f, struct subscriber *s);

/* Sends the window's records after the cursor. If there are none, the stream has all there is. */
static enum turn step_window(
	struct fanout *f, struct subscriber *s, const struct window *w, uint64_t sequence)
{
	const struct filter *filter = s->group->filter;
	/* Between the rows of two logs there is a gap. */
	bool one = s->state == SUBSCRIBER_DRAIN || s->replaced;
	int64_t scanned = s->cursor;
	uint64_t first = sequence;

	/* In a crowd that comes back, one stream after another asks for the same. */
	if (f->run.group == s->group && f->run.first == first && f->run.next == window_next(w) &&
		!one && !s->owed)
		return send_run(f, s, window_last(w), TURN_IDLE);
	begin_run(f, s);
	for (; sequence < window_next(w) && !run_is_full(&f->run); sequence++) {
		const struct window_entry *e = window_at(w, sequence);
		const struct run_record record = {e->id, e->bytes, e->length, e->content, e->hash};

		if (filter_wants(
			    filter, e->channel, e->channel_length, e->event, e->event_length)) {
			/* The window kept no record, since nobody followed the row when it came. */
			if (!e->bytes || !run_fits(&f->run, &record))
				break;
			run_add(&f->run, &record);
		}
		scanned = e->id;
		if (one && f->run.count > 0)
			break;
	}
	if (sequence == window_next(w) && !one) {
		f->run.group = s->owed ? NULL : s->group;
		f->run.first = first;
		f->run.next = sequence;
		return send_run(f, s, window_last(w), TURN_IDLE);
	}
	if (f->run.count > 0 || ((scanned > s->cursor || s->owed) && !s->cut))
		return send_run(f, s, scanned, TURN_AGAIN);
	return step_replay(f, s);
}

void fanout_note_too_large(struct fanout *f, int64_t id)
{
	int64_t now_ms = clock_ms();

	if (id == f->too_large_id || (f->too_large_id && now_ms < f->too_large_ms + TOO_LARGE_MS))
		return;
	f->too_large_id = id;
	f->too_large_ms = now_ms;
	log_warn("the row %" PRId64 " is too large, or there is no memory for it: clients that "
		 "follow its channel get a "
		 "gap instead. A row can have 256 MiB of data: publish a link to larger data",
		id);
}

/* The next row cannot be sent: sends a gap instead. */
static enum turn pass_over(
	struct fanout *f, struct subscriber *s, int64_t id, const struct eventlog_bounds *bounds)
{
	fanout_note_too_large(f, id);
	return say_gap(f, s, id, s->deletion_told, bounds, GAP_LIMIT);
}

enum turn fanout_pass_over(struct fanout *f, struct subscriber *s, int64_t id)
{
	struct eventlog_bounds bounds;

	if (eventlog_bounds(f->log, &bounds) != EVENTLOG_OK)
		return TURN_WAIT;
	return pass_over(f, s, id, &bounds);
}

/*
 * Reads rows after the cursor in one transaction with the check that it is still the same log:
 * otherwise a client could take a row of another log for the next one. *same: it is.
 */
static enum eventlog_status read_rows(struct fanout *f, struct subscriber *s, int64_t told,
	size_t rows, struct replay *replay, struct eventlog_batch *batch, bool *same)
{
	enum eventlog_status released, e = fanout_begin(f, same);

	if (e == EVENTLOG_OK && *same && (!s->replaced || s->cut)) {
		e = eventlog_read(
			f->log, s->group->filter, s->cursor, told, rows, take_row, replay, batch);
		if (e == EVENTLOG_OK)
			e = fanout_note_known(f, batch->scanned);
	}
	released = eventlog_release(f->log);
	return e != EVENTLOG_OK ? e : released;
}

static enum turn step_replay(struct fanout *f, struct subscriber *s)
{
	struct replay replay = {.f = f, .s = s};
	struct eventlog_batch batch = {.rows = s->rows};
	/* First finish a record that was cut, even if rows after it are missing. */
	size_t rows = s->state == SUBSCRIBER_DRAIN || s->cut ? 1 : REPLAY_ROWS;
	int64_t told = s->cut ? EVENTLOG_TOLD_ALL : s->deletion_told;
	enum turn at_end = s->group->lane == LANE_NONE || s->poll ? TURN_IDLE : TURN_AGAIN;
	bool same, all;

	if (s->poll && rows > fanout_poll_rows(s))
		rows = fanout_poll_rows(s);
	if (fanout_run_of_kept(f, s))
		return send_run(f, s, f->kept[0].record.id, TURN_AGAIN);
	buffer_clear(&f->scratch);
	begin_run(f, s);
	/*
	 * Send the rows before one that cannot be read. The next turn meets the fault, and waits.
	 */
	if (read_rows(f, s, told, rows, &replay, &batch, &same) != EVENTLOG_OK && f->run.count == 0)
		return TURN_WAIT;
	if (s->replaced && (!same || !s->cut))
		return TURN_AGAIN;
	s->rows = (uint8_t)batch.rows;
	/* No gap can be sent in the middle of a record: send_run() ends the stream. */
	if (batch.too_large && !s->cut)
		return pass_over(f, s, batch.too_large, &batch.bounds);
	if (replay.too_large && !s->cut)
		return fanout_pass_over(f, s, replay.too_large);
	if (replay.failed && !replay.too_large && f->run.count == 0)
		return out_of_memory(s);
	if (batch.pruned.id > s->gone)
		s->gone = batch.pruned.id;
	if (batch.pruned.id)
		return say_gap(f, s,
			batch.next && batch.next - 1 < batch.pruned.id ? batch.next - 1
								       : batch.pruned.id,
			batch.pruned.deletion, &batch.bounds, GAP_PRUNED);
	/* The client misses none of the deleted rows, and no later cursor will miss one. */
	if (batch.pruned.deletion)
		s->deletion_told = batch.pruned.deletion;
	if (batch.at_end && s->gone > batch.scanned)
		s->gone = batch.scanned;
	all = settle_run(f, &replay);
	if (f->run.count == 1 && f->run.total >= REPLAY_BYTES && !s->poll)
		fanout_keep_record(f, s);
	metrics_add(METRIC_ROWS_REPLAYED, f->run.count);
	return send_run(
		f, s, all ? batch.scanned : s->cursor, all && batch.at_end ? at_end : TURN_AGAIN);
}

/* Finds the place of a stream in the window of its lane. */
static bool find_in_window(struct fanout *f, const struct subscriber *s, uint64_t *sequence)
{
	struct shared *lane = &f->lanes[s->group->lane];

	/* A record that was cut may be of a row that a replay found before a look fed it. */
	if (s->cut && s->cursor >= window_last(lane->window))
		return false;
	/*
	 * The window keeps deleted rows. This client was told that they are gone, or never wanted
	 * them.
	 */
	if (s->cursor < s->gone)
		return false;
	if (window_find(lane->window, s->cursor, sequence))
		return true;
	/* A crowd that comes back asks for the same rows. The first few do not make it a crowd. */
	if (s->cut || s->state == SUBSCRIBER_DRAIN || ++lane->replays != FANOUT_REFILL_REPLAYS)
		return false;
	fanout_refill(f, s->group->lane);
	return !s->replaced && window_find(lane->window, s->cursor, sequence);
}

static enum turn step(struct fanout *f, struct subscriber *s)
{
	bool shared = s->group->lane != LANE_NONE && (!s->poll || s->poll->waits);
	enum subscriber_result flushed = subscriber_flush(s, clock_ms());
	uint64_t sequence;

	if (flushed != SUBSCRIBER_SENT)
		return after_words(flushed);
	if (s->state == SUBSCRIBER_OPENING)
		return step_open(f, s);
	if (s->state == SUBSCRIBER_DRAIN && s->cut == 0)
		return step_farewell(s);
	if (s->replaced && s->cut == 0)
		return step_replaced(f, s);
	s->state = s->state == SUBSCRIBER_DRAIN ? SUBSCRIBER_DRAIN : SUBSCRIBER_REPLAY;
	/* A new poll reads the log: it must also see rows that nobody has noticed yet. */
	if (shared && find_in_window(f, s, &sequence)) {
		metrics_add(METRIC_WINDOW_HITS, 1);
		return step_window(f, s, f->lanes[s->group->lane].window, sequence);
	}
	metrics_add(METRIC_WINDOW_MISSES, 1);
	return step_replay(f, s);
}

/* While the log cannot be read, too, a stream has whole frames, unless a record was cut. */
static enum turn wait_in_whole_frames(struct subscriber *s)
{
	enum turn turn = after_words(subscriber_fill(s, clock_ms()));

	return turn == TURN_AGAIN ? TURN_WAIT : turn;
}

enum turn fanout_step(struct fanout *f, struct subscriber *s)
{
	enum turn turn = step(f, s);

	if (turn == TURN_WAIT && s->owed && !s->cut)
		return wait_in_whole_frames(s);
	if (!s->poll || s->state >= SUBSCRIBER_DRAIN)
		return turn;
	if (turn == TURN_WAIT && s->opening && s->opening->waits_until_ms)
		return turn;
	if (turn == TURN_WAIT)
		return fanout_poll_unreadable(f, s);
	return turn == TURN_OVER && s->reason == LEAVE_MEMORY ? fanout_poll_no_memory(f, s) : turn;
}
