#include "stream/fanout.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "stream/fanout_impl.h"

enum {
	WINDOW_BYTES = 4 << 20, /* address space of a lane's window; only the used part is memory */
	WINDOW_ENTRIES = 16384,
	SCRATCH_MAX = INT32_MAX,
	WORDS_MAX = 64 * 1024,
	TURN_US = 500, /* longest turn of streams that are behind; then others come */
};

static bool add_lane(struct fanout *f, struct lane lane)
{
	struct shared *shared = &f->lanes[f->lane_count++];

	shared->lane = lane;
	shared->window = window_new(WINDOW_BYTES, WINDOW_ENTRIES);
	return shared->window;
}

/* Adds the lanes of all framings and encodings. False if there is no memory. */
static bool add_lanes(struct fanout *f)
{
	for (int i = 0; i < FANOUT_FRAMINGS && f->limits.shared[i]; i++) {
		const struct framing *framing = f->limits.shared[i];

		if (!add_lane(f, (struct lane){framing, framing->usual_id, LANE_PLAIN}) ||
			!add_lane(f, (struct lane){framing, framing->usual_id, LANE_ENVELOPE}))
			return false;
	}
	return !f->limits.shared[0] || add_lane(f, fanout_object_lane);
}

struct fanout *fanout_new(
	struct eventlog *log, const struct fanout_limits *limits, const struct fanout_calls *calls)
{
	struct fanout *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->log = log;
	f->limits = *limits;
	f->calls = *calls;
	f->version = f->checked = -1;
	f->match_count = 1;
	buffer_init(&f->scratch, SCRATCH_MAX);
	for (size_t i = 0; i < KEPT_RECORDS; i++)
		buffer_init(&f->kept[i].bytes, SCRATCH_MAX);
	buffer_init(&f->words, WORDS_MAX);
	f->groups = groups_new();
	if (!f->groups || !add_lanes(f)) {
		fanout_free(f);
		return NULL;
	}
	return f;
}

void fanout_free(struct fanout *f)
{
	if (!f)
		return;
	for (int lane = 0; lane < f->lane_count; lane++)
		window_free(f->lanes[lane].window);
	groups_free(f->groups);
	buffer_free(&f->scratch);
	fanout_forget(f, 0);
	buffer_free(&f->words);
	free(f->matches);
	free(f);
}

size_t fanout_count(const struct fanout *f)
{
	return f->count;
}

int64_t fanout_newest(const struct fanout *f)
{
	return f->fed;
}

int64_t fanout_lag(const struct fanout *f)
{
	return f->count > 0 ? f->lag : 0;
}

void fanout_channels(const struct fanout *f,
	void (*each)(void *context, const char *channel, size_t length, size_t streams),
	void *context)
{
	groups_channels(f->groups, each, context);
}

uint32_t fanout_retry(const struct fanout *f)
{
	return (uint32_t)(f->limits.retry_ms + random() % (f->limits.retry_jitter_ms + 1));
}

static void enter_round(struct fanout *f, struct subscriber *s, unsigned round)
{
	struct subscriber **head = &f->rounds[round];

	s->round = (uint8_t)round;
	s->all_previous = NULL;
	s->all_next = *head;
	if (*head)
		(*head)->all_previous = s;
	*head = s;
}

static void leave_round(struct fanout *f, struct subscriber *s)
{
	if (s->all_previous)
		s->all_previous->all_next = s->all_next;
	else
		f->rounds[s->round] = s->all_next;
	if (s->all_next)
		s->all_next->all_previous = s->all_previous;
}

void fanout_sweep_in(struct fanout *f, struct subscriber *s, unsigned sweeps)
{
	unsigned round = (f->round + sweeps) % FANOUT_ROUNDS;

	if (s->round == round)
		return;
	leave_round(f, s);
	enter_round(f, s, round);
}

int64_t fanout_position(const struct fanout *f, const struct subscriber *s)
{
	return s->where == SUBSCRIBER_IN_GROUP && f->fed > s->cursor ? f->fed : s->cursor;
}

void fanout_leave_group(struct fanout *f, struct subscriber *s)
{
	subscriber_list_remove(&s->group->idle, s);
	fanout_sweep_in(f, s, 1);
}

void fanout_take_off(struct fanout *f, struct subscriber *s)
{
	s->cursor = fanout_position(f, s);
	if (s->where == SUBSCRIBER_IN_GROUP)
		fanout_leave_group(f, s);
	else if (s->where == SUBSCRIBER_IN_QUEUE)
		subscriber_list_remove(&f->queue, s);
	else if (s->where == SUBSCRIBER_WAITING)
		subscriber_list_remove(&f->waiting, s);
}

void fanout_enqueue(struct fanout *f, struct subscriber *s)
{
	fanout_take_off(f, s);
	subscriber_list_push(&f->queue, s, SUBSCRIBER_IN_QUEUE);
	f->calls.want_turn(f->calls.context);
}

/*
 * When a new stream must leave for its age: at the limit, or up to a tenth later. The random part
 * keeps streams that came together from leaving together.
 */
static int64_t end_of_age(const struct fanout *f)
{
	int64_t age_ms = f->limits.max_age_ms;

	return age_ms ? clock_awake_ms() + age_ms + age_ms / 10 * random() / RAND_MAX : 0;
}

/* Ends the stream: removes it everywhere. */
void fanout_drop(struct fanout *f, struct subscriber *s)
{
	fanout_take_off(f, s);
	leave_round(f, s);
	f->count--;
	if (f->count == 0)
		fanout_forget(f, 0);
	metrics_add_reason(METRIC_ENDED, s->reason);
	if (f->calls.left)
		f->calls.left(f->calls.context, s);
	if (s->group->lane != LANE_NONE)
		f->lanes[s->group->lane].streams--;
	groups_release(f->groups, s->group);
	s->group = NULL;
	/* Another group may get the memory of this one. */
	f->run.group = NULL;
	s->state = SUBSCRIBER_GONE;
	opening_free(s->opening);
	s->opening = NULL;
	poll_free(s->poll);
	s->poll = NULL;
	subscriber_free(s);
	s->sink->operations->finished(s->sink);
}

/* Puts a stream on the right list after its step. */
static void settle(struct fanout *f, struct subscriber *s, enum turn turn)
{
	switch (turn) {
	case TURN_AGAIN:
		fanout_enqueue(f, s);
		break;
	case TURN_IDLE:
		s->state = SUBSCRIBER_LIVE;
		subscriber_list_push(&s->group->idle, s, SUBSCRIBER_IN_GROUP);
		if (fanout_has_ended(f, s))
			fanout_end(f, s, LEAVE_ENDED);
		break;
	case TURN_WAIT:
		subscriber_list_push(&f->waiting, s, SUBSCRIBER_WAITING);
		if (f->calls.waits)
			f->calls.waits(f->calls.context);
		break;
	case TURN_BLOCKED:
		break;
	case TURN_OVER:
		fanout_drop(f, s);
		break;
	}
}

static void step(struct fanout *f, struct subscriber *s)
{
	settle(f, s, fanout_step(f, s));
}

void fanout_turn(struct fanout *f)
{
	int64_t until = clock_us() + TURN_US;
	struct subscriber *s;
	bool news;

	while (f->queue.head && clock_us() < until) {
		s = subscriber_list_pop(&f->queue);
		step(f, s);
	}
	if (f->queue.head)
		f->calls.want_turn(f->calls.context);
	if (f->unread)
		fanout_look(f, &news);
}

/* The number of the shared lane with the same bytes, or LANE_NONE. */
static int shared_lane(const struct fanout *f, const struct lane *lane)
{
	for (int i = 0; i < f->lane_count; i++)
		if (lane_is_same(&f->lanes[i].lane, lane))
			return i;
	return LANE_NONE;
}

bool fanout_open(struct fanout *f, struct subscriber *s, const struct fanout_stream *stream)
{
	int lane = shared_lane(f, stream->poll ? &fanout_object_lane : &stream->lane);

	subscriber_init(s, stream->sink, &stream->lane, clock_ms());
	if (!(s->group = groups_join(f->groups, stream->filter, lane))) {
		opening_free(stream->opening);
		poll_free(stream->poll);
		return false;
	}
	/* A window without streams is not fed. */
	if (lane != LANE_NONE && f->lanes[lane].streams++ == 0) {
		window_reset(f->lanes[lane].window, f->fed);
		f->lanes[lane].replays = 0;
	}
	/* An older mark may be of a channel that was opened again. */
	s->group->ended = stream->opening->ended;
	s->bare = stream->bare;
	s->session = stream->session;
	s->client = stream->client;
	s->who = stream->who;
	s->retry_ms = stream->retry_ms;
	s->opening = stream->opening;
	s->poll = stream->poll;
	s->ends_ms = s->poll ? fanout_poll_open(s->poll) : end_of_age(f);
	if (f->count == 0)
		f->absent_ms = clock_absent_ms();
	enter_round(f, s, (f->round + 1) % FANOUT_ROUNDS);
	f->count++;
	metrics_add(METRIC_STREAMS_TOTAL, 1);
	if (f->calls.opened)
		f->calls.opened(f->calls.context);
	step(f, s);
	return true;
}

void fanout_writable(struct fanout *f, struct subscriber *s)
{
	if (!s->blocked)
		return;
	s->blocked = false;
	s->sink->operations->want_write(s->sink, false);
	fanout_enqueue(f, s);
}

void fanout_gone(struct fanout *f, struct subscriber *s, enum leave_reason reason)
{
	if (s->state < SUBSCRIBER_DRAIN)
		s->reason = (uint8_t)reason;
	fanout_drop(f, s);
}

void fanout_queue_idle(struct fanout *f, struct group *group)
{
	while (group->idle.head)
		fanout_enqueue(f, group->idle.head);
}

void fanout_queue_lane(struct fanout *f, int lane)
{
	for (struct group *g = groups_of_lane(f->groups, lane); g; g = g->next)
		fanout_queue_idle(f, g);
}

void fanout_reset_windows(struct fanout *f, int64_t base)
{
	for (int lane = 0; lane < f->lane_count; lane++) {
		fanout_queue_lane(f, lane);
		window_reset(f->lanes[lane].window, base);
	}
	fanout_queue_lane(f, LANE_NONE);
	f->fed = base;
}
