#include "base/clock.h"
#include "protocol/sse.h"
#include "stream/fanout_impl.h"

/*
 * The client comes back once, and must then have a position behind the end, even if it got a gap
 * for the row that ended the channel. Its reconnection time stays that of the last row.
 */
static void say_end(struct fanout *f, const struct subscriber *s)
{
	bool has_end = s->group->ended && s->told >= s->group->ended;

	if ((has_end || s->cursor <= s->told) && !(s->bare && s->records == 0))
		return;
	sse_position(&f->words, s->cursor, s->bare);
	/* Without an empty line, a client forgets the id. */
	if (s->bare)
		buffer_text(&f->words, "\n");
}

static void set_last_words(struct fanout *f, const struct subscriber *s, enum leave_reason reason)
{
	buffer_clear(&f->words);
	if (s->opening && !s->opening->head_sent)
		buffer_append(&f->words, s->opening->head.data, s->opening->head.length);
	if (reason == LEAVE_ENDED)
		say_end(f, s);
	else if (reason == LEAVE_REVOKED || reason == LEAVE_EXPIRED)
		sse_denied(&f->words, leave_names[reason]);
	else if (reason != LEAVE_ABORT)
		sse_retry(&f->words, fanout_retry(f));
}

/* Ends a stream with a last record. If it has not begun, sends its head first. */
static void leave(struct fanout *f, struct subscriber *s, enum leave_reason reason)
{
	if (s->state >= SUBSCRIBER_DRAIN)
		return;
	s->cursor = fanout_position(f, s);
	if (s->poll) {
		fanout_poll_leave(f, s, reason == LEAVE_AGE ? LEAVE_ANSWERED : reason);
	} else {
		set_last_words(f, s, reason);
		subscriber_leave(s, reason, f->words.data, f->words.length);
		/* Set a time limit: the peer may take single bytes, or the log may be gone. */
		s->ends_ms = clock_awake_ms() + f->limits.stall_ms;
	}
	if (!s->blocked)
		fanout_enqueue(f, s);
}

void fanout_end(struct fanout *f, struct subscriber *s, enum leave_reason reason)
{
	leave(f, s, reason);
}

/*
 * Sends a heartbeat: the stream's position, if the client does not know it yet. False: the stream
 * is gone.
 */
static bool beat(struct fanout *f, struct subscriber *s, int64_t now_ms)
{
	int64_t position = fanout_position(f, s);
	enum subscriber_result result;

	buffer_clear(&f->words);
	if (s->poll)
		fanout_poll_show_life(f, s);
	else if (position > s->told)
		sse_position(&f->words, position, s->bare);
	else
		sse_heartbeat(&f->words);
	s->cursor = s->told = position;
	result = subscriber_say(s, f->words.data, f->words.length, now_ms);
	if (result == SUBSCRIBER_LOST)
		fanout_drop(f, s);
	else if (result == SUBSCRIBER_BLOCKED)
		fanout_take_off(f, s);
	return result != SUBSCRIBER_LOST;
}

/* The times of a sweep. */
struct sweep {
	int64_t now_ms, awake_ms;
	int64_t absent_ms; /* time since the last sweep in which this process served nobody */
	int64_t lag; /* largest so far */
	int64_t most; /* sweeps by which a stream can be put off: not into a round that is due */
};

/* Has the peer taken no bytes for too long? Absence of this process does not count. */
static bool is_stalled(const struct fanout *f, struct subscriber *s, const struct sweep *sweep)
{
	if (!s->blocked)
		return false;
	s->moved_ms += sweep->absent_ms;
	if (s->moved_ms > sweep->now_ms)
		s->moved_ms = sweep->now_ms;
	return sweep->now_ms - s->moved_ms >= f->limits.stall_ms;
}

static void end_stalled(struct fanout *f, struct subscriber *s)
{
	const struct sink_operations *operations = s->sink->operations;

	/* The peer may have made room a moment ago, before the loop could notice. */
	if (operations->would_take && operations->would_take(s->sink))
		fanout_writable(f, s);
	else
		fanout_gone(f, s, LEAVE_STALL);
}

static bool may_beat(const struct subscriber *s)
{
	bool begun = s->poll ? s->poll->waits : !s->opening || s->opening->head_sent;

	return begun && !s->blocked && !s->cut && !s->pending;
}

/* How long an idle stream needs no heartbeat, as seen from the sweep before it would be late. */
static int64_t silence_left_ms(const struct fanout *f, const struct subscriber *s, int64_t now_ms)
{
	return s->moved_ms + f->limits.heartbeat_ms - f->limits.sweep_ms - now_ms;
}

/* Puts an idle stream off until something is due. again_ms: when to recheck it. */
static void put_off(
	struct fanout *f, struct subscriber *s, const struct sweep *sweep, int64_t again_ms)
{
	int64_t left_ms = silence_left_ms(f, s, sweep->now_ms), sweeps;

	if (left_ms > again_ms - sweep->now_ms)
		left_ms = again_ms - sweep->now_ms;
	if (s->ends_ms && left_ms > s->ends_ms - sweep->awake_ms)
		left_ms = s->ends_ms - sweep->awake_ms;
	sweeps = left_ms / f->limits.sweep_ms;
	if (sweeps > sweep->most)
		sweeps = sweep->most;
	if (sweeps > 1)
		fanout_sweep_in(f, s, (unsigned)sweeps);
}

/* Handles age, stall, grants and heartbeat of a stream. The stream may be gone afterwards. */
static void sweep_one(struct fanout *f, struct subscriber *s, struct sweep *sweep)
{
	int64_t again_ms = INT64_MAX;
	bool ends = s->ends_ms && sweep->awake_ms >= s->ends_ms;
	int64_t lag = s->opening ? 0 : f->fed - fanout_position(f, s);
	enum leave_reason reason;

	if (lag > sweep->lag)
		sweep->lag = lag;
	if (is_stalled(f, s, sweep)) {
		end_stalled(f, s);
		return;
	}
	if (s->state >= SUBSCRIBER_DRAIN) {
		if (ends)
			fanout_gone(f, s, LEAVE_STALL);
		return;
	}
	if (f->calls.recheck && s->session &&
		!f->calls.recheck(f->calls.context, s, &reason, &again_ms)) {
		leave(f, s, reason);
		return;
	}
	if (ends) {
		leave(f, s, LEAVE_AGE);
		return;
	}
	if (s->where == SUBSCRIBER_IN_GROUP && fanout_has_ended(f, s)) {
		leave(f, s, LEAVE_ENDED);
		return;
	}
	/* The time for which it waits for a copy may be over, without a commit. */
	if (s->where == SUBSCRIBER_WAITING && s->opening && s->opening->waits_until_ms) {
		fanout_enqueue(f, s);
		return;
	}
	/* Send a heartbeat now if the next sweep would be too late. */
	if (may_beat(s) && silence_left_ms(f, s, sweep->now_ms) < 0 && !beat(f, s, sweep->now_ms))
		return;
	if (s->where == SUBSCRIBER_IN_GROUP && may_beat(s))
		put_off(f, s, sweep, again_ms);
}

/* Not in a log that was restored: its streams get a gap first. */
static void look_up_doubted_ends(struct fanout *f)
{
	bool same;

	if (fanout_begin(f, &same) == EVENTLOG_OK && same)
		fanout_look_up_all_ends(f);
	if (eventlog_release(f->log) != EVENTLOG_OK)
		f->ends_doubted = true;
}

/* How many rounds are due: several after a pause, at least one. A round may be early. */
static unsigned rounds_due(const struct fanout *f, int64_t now_ms)
{
	int64_t every_ms = f->limits.sweep_ms;
	int64_t due = (now_ms - f->swept_ms - every_ms / 8 + every_ms - 1) / every_ms;

	return due < 1 ? 1 : due > FANOUT_ROUNDS - 1 ? FANOUT_ROUNDS - 1 : (unsigned)due;
}

void fanout_sweep(struct fanout *f)
{
	struct sweep sweep = {.now_ms = clock_ms(), .awake_ms = clock_awake_ms()};
	unsigned due = rounds_due(f, sweep.now_ms);
	struct subscriber *s;

	sweep.absent_ms = clock_absent_ms() - f->absent_ms;
	f->absent_ms += sweep.absent_ms;
	if (f->ends_doubted)
		look_up_doubted_ends(f);
	f->swept_ms = sweep.now_ms;
	f->round += due;
	sweep.most = FANOUT_ROUNDS - due;
	while (due-- > 0)
		while ((s = f->rounds[(f->round - due) % FANOUT_ROUNDS])) {
			fanout_sweep_in(f, s, 1);
			sweep_one(f, s, &sweep);
		}
	f->lag = sweep.lag;
	fanout_forget_unused(f);
}

void fanout_shutdown(struct fanout *f)
{
	struct subscriber *s, *next;

	for (int round = 0; round < FANOUT_ROUNDS; round++)
		for (s = f->rounds[round]; s; s = next) {
			next = s->all_next;
			leave(f, s, LEAVE_SHUTDOWN);
		}
}
