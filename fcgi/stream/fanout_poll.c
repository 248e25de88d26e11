#include "base/clock.h"
#include "base/metrics.h"
#include "protocol/framing.h"
#include "stream/fanout_impl.h"

enum {
	ANSWER_MS = 30000, /* longest search for rows */
	UNREADABLE_MS = 3000, /* a commit in rollback mode, with its fsync, usually takes less */
	FRAMES = 64, /* every framing adds less than one byte in this many */
};

const struct lane fanout_object_lane = {&framing_none, 0, LANE_OBJECT};

int64_t fanout_poll_open(struct poll *p)
{
	p->begun_ms = clock_awake_ms();
	return p->begun_ms + ANSWER_MS;
}

static int64_t position_of(const struct subscriber *s)
{
	return s->poll->before >= 0 ? s->poll->page_end : s->cursor;
}

/* Makes the answer the poll's farewell, and begins to end the poll. False if there is no memory. */
static bool make_answer(struct fanout *f, struct subscriber *s, enum leave_reason reason, bool more)
{
	struct poll *p = s->poll;

	bool end = p->before < 0 && !more && fanout_has_ended(f, s);

	buffer_clear(&f->scratch);
	poll_write(p, &f->scratch, position_of(s), p->before >= 0 ? p->older : more, end);
	if (f->scratch.failed ||
		!buffer_memory_is_there(f->scratch.length + f->scratch.length / FRAMES))
		return false;
	subscriber_leave(s, reason, f->scratch.data, f->scratch.length);
	/* From here on only a stall ends it early: a slow peer may take long for a large answer. */
	s->ends_ms = 0;
	s->records = p->count;
	metrics_add(METRIC_RECORDS_SENT, p->count);
	if (p->waits)
		metrics_delivery(p->count, clock_us() - f->seen_us);
	poll_forget_rows(p);
	return true;
}

static void ask_to_come_back(struct subscriber *s, enum leave_reason reason)
{
	const struct poll *p = s->poll;

	subscriber_leave(s, reason, poll_later(p), p->later_length);
	s->ends_ms = 0;
}

/* Removes the rows that were found. The client will ask for them again. */
static void begin_again(struct subscriber *s)
{
	poll_forget_rows(s->poll);
	s->cursor = s->told;
}

enum turn fanout_poll_no_memory(struct fanout *f, struct subscriber *s)
{
	begin_again(s);
	if (!s->poll->waits)
		ask_to_come_back(s, LEAVE_MEMORY);
	else if (!make_answer(f, s, LEAVE_MEMORY, true))
		return TURN_OVER;
	return fanout_step(f, s);
}

/* Begins a page again: the newest rows below an id. False if there is no memory or no log. */
static bool begin_page(struct fanout *f, struct subscriber *s, int64_t before, int64_t rows)
{
	const struct position position = {.before = before, .tail = rows};
	struct opening *o = opening_new();

	if (!o || opening_begin(o, f->log, s->group->filter, &position, 0) != EVENTLOG_OK) {
		opening_free(o);
		return false;
	}
	poll_forget_rows(s->poll);
	s->poll->before = before;
	s->opening = o;
	s->state = SUBSCRIBER_OPENING;
	return true;
}

static enum turn begin_whole_page(struct fanout *f, struct subscriber *s, int64_t before)
{
	s->poll->older = false;
	if (begin_page(f, s, before, s->poll->asked_limit))
		return TURN_AGAIN;
	ask_to_come_back(s, LEAVE_UNREADABLE);
	return fanout_step(f, s);
}

static enum turn answer(struct fanout *f, struct subscriber *s, bool more)
{
	struct poll *p = s->poll;

	/* A page without rows would not say where the older ones are. */
	if (p->count == 0 && p->older && p->page_first > 0)
		return begin_whole_page(f, s, p->page_first);
	if (make_answer(f, s, LEAVE_ANSWERED, more))
		return fanout_step(f, s);
	if (p->count != 1 || p->rows.length < EVENTLOG_ROW_SMALL)
		return fanout_poll_no_memory(f, s);
	/* This row alone is too large. */
	poll_drop_rows(p);
	p->first--;
	return fanout_pass_over(f, s, p->last);
}

/* Takes the place that the opening has found. */
static void take_place(struct subscriber *s)
{
	const struct opening *o = s->opening;
	struct poll *p = s->poll;

	s->cursor = s->told = o->id;
	s->deletion_told = o->deletion;
	s->gone = o->gone;
	s->state = SUBSCRIBER_REPLAY;
	if (p->before < 0)
		return;
	/* A page of older rows contains those that still exist, without a gap for deletions. */
	s->deletion_told = EVENTLOG_TOLD_ALL;
	p->older |= o->older;
	p->limit = o->found;
	p->page_first = o->id + 1;
	if (p->page_end < 0)
		p->page_end = p->before <= o->bounds.newest ? p->before - 1 : o->bounds.newest;
	if (p->page_end < 0)
		p->page_end = 0;
}

enum turn fanout_poll_begin(struct fanout *f, struct subscriber *s)
{
	const struct opening *o = s->opening;
	struct poll *p = s->poll;
	bool good = true;

	if (o->gap) {
		good = poll_set_gap(p, o->requested, &o->bounds, o->reason);
		metrics_add_reason(METRIC_GAPS, o->reason);
	}
	take_place(s);
	opening_free(s->opening);
	s->opening = NULL;
	if (!good)
		return fanout_poll_no_memory(f, s);
	return p->at_once || p->limit == 0 ? answer(f, s, false) : TURN_AGAIN;
}

size_t fanout_poll_rows(const struct subscriber *s)
{
	const struct poll *p = s->poll;
	size_t left = (size_t)p->limit - (p->first + p->count);

	/* One more row shows whether there are more. Rows behind a page are not read. */
	return p->before >= 0 ? left : left + 1;
}

/* There is no memory for one more row. */
static enum turn no_room(struct fanout *f, struct subscriber *s, const struct run_record *record)
{
	if (s->poll->count > 0)
		return answer(f, s, true);
	if (record->length < EVENTLOG_ROW_SMALL)
		return fanout_poll_no_memory(f, s);
	return fanout_pass_over(f, s, record->id);
}

static bool add(struct poll *p, const struct run_record *record)
{
	if (poll_add(p, record->bytes, record->length))
		return true;
	if (p->before < 0 || p->count == 0)
		return false;
	poll_drop_rows(p);
	return poll_add(p, record->bytes, record->length);
}

static bool is_page_complete(const struct subscriber *s)
{
	const struct poll *p = s->poll;

	return p->before >= 0 &&
	       (poll_is_full(p) || s->cursor >= p->before - 1 || s->cursor >= p->page_end);
}

enum turn fanout_poll_take(
	struct fanout *f, struct subscriber *s, int64_t scanned, enum turn when_taken)
{
	struct poll *p = s->poll;
	int64_t nearer;

	for (size_t i = 0; i < f->run.count; i++) {
		const struct run_record *record = &f->run.records[i];

		if (poll_is_full(p) || !poll_has_room(p, record->length) ||
			(p->before >= 0 && record->id >= p->before))
			return answer(f, s, true);
		if (!add(p, record))
			return no_room(f, s, record);
		s->cursor = p->last = record->id;
	}
	if (scanned > s->cursor)
		s->cursor = scanned;
	if (!p->waits)
		s->ends_ms = p->begun_ms + ANSWER_MS;
	if (is_page_complete(s))
		return answer(f, s, true);
	/* Begin nearer to the end: most rows of this page would be read in vain. */
	if ((nearer = poll_overflows(p)) > 0 && begin_page(f, s, p->before, nearer))
		return TURN_AGAIN;
	if (when_taken != TURN_IDLE)
		return when_taken;
	if (p->count > 0 || p->has_gap || !p->wait_ms || fanout_has_ended(f, s))
		return answer(f, s, false);
	s->poll = p = poll_shrink(p);
	p->waits = true;
	s->told = s->cursor;
	s->ends_ms = p->begun_ms + p->wait_ms;
	return TURN_IDLE;
}

static enum turn replace_page(struct fanout *f, struct subscriber *s)
{
	s->poll->page_end = -1;
	return begin_whole_page(f, s, s->poll->before);
}

/* The row at the cursor is too large. */
static enum turn pass_over_in_page(struct fanout *f, struct subscriber *s)
{
	struct poll *p = s->poll;

	p->first++;
	if (p->count == 0)
		p->page_first = s->cursor;
	return is_page_complete(s) ? answer(f, s, true) : TURN_AGAIN;
}

enum turn fanout_poll_gap(struct fanout *f, struct subscriber *s, int64_t id, int64_t deletion,
	const char *requested, const struct eventlog_bounds *bounds, enum gap reason)
{
	struct poll *p = s->poll;
	bool replaced = reason == GAP_REPLACED;

	/* The next answer begins with this gap. */
	if (!replaced && p->before < 0 && p->count > 0)
		return answer(f, s, true);
	/* The rows that were read before belong to the log that is gone. */
	if (replaced)
		poll_forget_rows(p);
	/* Two gaps without a row between them count as one. */
	if ((replaced || !p->has_gap) && !poll_set_gap(p, requested, bounds, reason))
		return fanout_poll_no_memory(f, s);
	metrics_add_reason(METRIC_GAPS, reason);
	s->cursor = s->told = id;
	if (p->before < 0) {
		s->deletion_told = deletion;
		return TURN_AGAIN;
	}
	return replaced ? replace_page(f, s) : pass_over_in_page(f, s);
}

/* Would an answer with what was found so far get the client further? */
static bool has_progress(const struct subscriber *s)
{
	const struct poll *p = s->poll;

	return !s->opening &&
	       (p->waits || (p->before < 0 && (p->count > 0 || s->cursor > s->told)));
}

enum turn fanout_poll_unreadable(struct fanout *f, struct subscriber *s)
{
	int64_t ends_ms = clock_awake_ms() + UNREADABLE_MS;

	if (s->poll->waits && s->poll->count == 0)
		return TURN_WAIT;
	if (has_progress(s))
		return answer(f, s, true);
	if (s->ends_ms == s->poll->begun_ms + ANSWER_MS && s->ends_ms > ends_ms)
		s->ends_ms = ends_ms;
	return TURN_WAIT;
}

void fanout_poll_leave(struct fanout *f, struct subscriber *s, enum leave_reason reason)
{
	struct poll *p = s->poll;

	if (reason == LEAVE_ABORT)
		subscriber_leave(s, reason, NULL, 0);
	else if (!has_progress(s))
		ask_to_come_back(s, reason == LEAVE_ANSWERED ? LEAVE_UNREADABLE : reason);
	else if (!make_answer(f, s, reason, !p->waits || p->count > 0))
		subscriber_leave(s, LEAVE_MEMORY, NULL, 0);
}

void fanout_poll_show_life(struct fanout *f, struct subscriber *s)
{
	struct poll *p = s->poll;

	if (!p->head_sent)
		buffer_append(&f->words, poll_head(p), p->head_length);
	/* Send white space before the object: JSON allows it (RFC 8259, section 2). */
	buffer_append(&f->words, "\n", 1);
	if (f->words.failed)
		buffer_clear(&f->words);
	else
		p->head_sent = true;
}
