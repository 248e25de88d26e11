#include "base/clock.h"
#include "base/metrics.h"
#include "protocol/framing.h"
#include "stream/fanout_impl.h"

enum {
	ANSWER_MS = 30000, /* for rows to be found, where the client does not wait for new ones */
};

const struct lane fanout_object_lane = {&framing_none, 0, LANE_OBJECT};

int64_t fanout_poll_end(const struct poll *p)
{
	return clock_awake_ms() + (p->wait_ms ? p->wait_ms : ANSWER_MS);
}

static int64_t position_of(const struct subscriber *s)
{
	return s->poll->before >= 0 ? s->poll->page_end : s->cursor;
}

/* Makes the answer the last words, and the poll a stream that ends. False without memory. */
static bool make_answer(struct fanout *f, struct subscriber *s, enum leave_reason reason, bool more)
{
	struct poll *p = s->poll;

	buffer_clear(&f->scratch);
	poll_write(p, &f->scratch, position_of(s), p->before >= 0 ? p->older : more);
	if (f->scratch.failed)
		return false;
	subscriber_leave(s, reason, f->scratch.data, f->scratch.length);
	s->ends_ms = clock_awake_ms() + f->limits.stall_ms;
	s->records = p->count;
	metrics_add(METRIC_RECORDS_SENT, p->count);
	if (p->waits)
		metrics_delivery(p->count, clock_us() - f->seen_us);
	return true;
}

static enum turn out_of_memory(struct subscriber *s)
{
	s->reason = LEAVE_MEMORY;
	return TURN_OVER;
}

static enum turn answer(struct fanout *f, struct subscriber *s, bool more)
{
	return make_answer(f, s, LEAVE_ANSWERED, more) ? fanout_step(f, s) : out_of_memory(s);
}

enum turn fanout_poll_begin(struct fanout *f, struct subscriber *s)
{
	const struct opening *o = s->opening;
	struct poll *p = s->poll;
	bool good = true;

	if (o->gap) {
		good = poll_add_gap(p, o->requested, &o->bounds, o->reason);
		metrics_add_reason(METRIC_GAPS, o->reason);
	}
	s->cursor = s->told = o->id;
	s->deletion_told = o->deletion;
	if (p->before >= 0) {
		/* A page of older rows is what is there of them. */
		s->deletion_told = EVENTLOG_TOLD_ALL;
		p->older = o->older;
		p->page_end = p->before <= o->bounds.newest ? p->before - 1 : o->bounds.newest;
		if (p->page_end < 0)
			p->page_end = 0;
	}
	opening_free(s->opening);
	s->opening = NULL;
	s->state = SUBSCRIBER_REPLAY;
	if (!good)
		return out_of_memory(s);
	return p->at_once ? answer(f, s, false) : TURN_AGAIN;
}

size_t fanout_poll_rows(const struct subscriber *s)
{
	const struct poll *p = s->poll;

	/* One more shows whether there are more. */
	return (size_t)p->limit > p->count ? (size_t)p->limit - p->count + 1 : 1;
}

/* f->run goes into the answer; everything up to `scanned` is done with the last of it. */
enum turn fanout_poll_take(
	struct fanout *f, struct subscriber *s, int64_t scanned, enum turn when_taken)
{
	struct poll *p = s->poll;

	for (size_t i = 0; i < f->run.count; i++) {
		const struct run_record *record = &f->run.records[i];

		if (poll_is_full(p) || (p->before >= 0 && record->id >= p->before))
			return answer(f, s, true);
		if (!poll_add(p, record->bytes, record->length))
			return out_of_memory(s);
		s->cursor = record->id;
	}
	if (scanned > s->cursor)
		s->cursor = scanned;
	if (p->before >= 0 && (poll_is_full(p) || s->cursor >= p->page_end))
		return answer(f, s, true);
	if (when_taken != TURN_IDLE)
		return when_taken;
	if (p->count > 0 || p->has_gap || !p->wait_ms)
		return answer(f, s, false);
	p->waits = true;
	s->poll = poll_shrink(p);
	return TURN_IDLE;
}

enum turn fanout_poll_gap(struct fanout *f, struct subscriber *s, int64_t id, int64_t deletion,
	const char *requested, const struct eventlog_bounds *bounds, enum gap reason)
{
	struct poll *p = s->poll;

	/* What was read before belongs to the log that is gone. */
	if (reason == GAP_REPLACED)
		poll_forget_rows(p);
	/* The next answer begins with this gap. */
	else if (p->before < 0 && (p->count > 0 || p->has_gap))
		return answer(f, s, true);
	if (!p->has_gap && !poll_add_gap(p, requested, bounds, reason))
		return out_of_memory(s);
	metrics_add_reason(METRIC_GAPS, reason);
	s->cursor = s->told = id;
	s->deletion_told = deletion;
	return TURN_AGAIN;
}

void fanout_poll_leave(struct fanout *f, struct subscriber *s, enum leave_reason reason)
{
	struct poll *p = s->poll;

	if (reason == LEAVE_ABORT) {
		subscriber_leave(s, reason, NULL, 0);
	} else if (s->opening) {
		subscriber_leave(s, reason, poll_later(p), p->head_sent ? 0 : p->later_length);
	} else if (!make_answer(f, s, reason, !p->waits)) {
		subscriber_leave(s, LEAVE_MEMORY, NULL, 0);
	}
}

void fanout_poll_show_life(struct fanout *f, struct subscriber *s)
{
	struct poll *p = s->poll;

	if (!p->head_sent)
		buffer_append(&f->words, poll_head(p), p->head_length);
	p->head_sent = true;
	/* White space before the object, which JSON allows (RFC 8259, section 2). */
	buffer_append(&f->words, "\n", 1);
}
