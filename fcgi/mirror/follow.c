#include "mirror/follow_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "base/logging.h"
#include "mirror/notices.h"
#include "mirror/progress.h"

enum { PAUSE_MOST_MS = 2000 };

struct follow follow;

int64_t follow_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

void follow_ask(enum phase phase, enum source_question question, int64_t a, int64_t b)
{
	follow.phase = phase;
	source_ask(follow.source, question, a, b);
}

void follow_stop_with(int status)
{
	follow.status = status;
	loop_stop();
}

/* --- faults --- */

static void drop_work(void)
{
	if (copy_in_transaction(follow.copy))
		copy_rollback(follow.copy);
	if (follow.phase == COPYING) {
		progress_end();
		copy_unmake(follow.copy);
	}
}

/* The copy says that it is not being kept up to date. It says so as well by its age. */
static void note_absence(void)
{
	struct copy_state *state = copy_state(follow.copy);

	if (!copy_is_open(follow.copy) || !*state->where || copy_begin(follow.copy) != COPY_OK)
		return;
	*state->where = '\0';
	copy_commit(follow.copy);
}

/* Closes the connection, and begins again after a pause. what: ends the line in the log. */
void follow_begin_again(const char *sentence, const char *what)
{
	bool was_connected = follow.phase != AWAY;

	drop_work();
	snprintf(follow.fault, sizeof(follow.fault), "%s", sentence);
	source_close(follow.source);
	follow.phase = AWAY;
	follow.listens = false;
	if (was_connected)
		follow.since_ms = follow_wall_ms();
	loop_timer_stop(&follow.poll);
	if (strcmp(follow.told, follow.fault) != 0)
		log_warn("%s; %s", follow.fault, what);
	snprintf(follow.told, sizeof(follow.told), "%s", follow.fault);
	if (follow.config->once) {
		follow_stop_with(EX_UNAVAILABLE);
		return;
	}
	note_absence();
	/* Mirrors that lost their server together come back one after the other. */
	loop_timer_start(
		&follow.pause, follow.pause_ms / 2 + random() % (follow.pause_ms / 2 + 1), 0);
	follow.pause_ms = follow.pause_ms * 2 < PAUSE_MOST_MS ? follow.pause_ms * 2 : PAUSE_MOST_MS;
}

/* The copy cannot be written. */
void follow_copy_failed(enum copy_status s)
{
	char sentence[512];

	snprintf(sentence, sizeof(sentence), "%s", copy_error(follow.copy));
	if (s == COPY_DAMAGED) {
		drop_work();
		copy_close(follow.copy);
		follow.rebuild = true;
		follow_begin_again(sentence, "making a new copy");
	} else if (s == COPY_FOREIGN) {
		drop_work();
		log_error("%s", sentence);
		follow_stop_with(EX_CONFIG);
	} else {
		follow_begin_again(
			sentence, s == COPY_BUSY ? "somebody else writes to the copy; trying again"
						 : "the copy stays as it is; trying again");
	}
}

/* --- one after the other --- */

static void size_up(void)
{
	follow_ask(SIZING, SOURCE_SIZE, follow.config->keep_rows, follow.config->keep_ms);
}

/* Looks for changes. */
static void ask_for_changes(void)
{
	follow.look = (struct look){.began_ms = follow_wall_ms()};
	follow.again = false;
	follow_ask(LOOKING, SOURCE_LOOK, copy_state(follow.copy)->cursor, 0);
}

/* Asks whether the source has the newest event of the copy, and then for changes. */
static void compare(void)
{
	enum copy_status s = copy_newest(follow.copy, &follow.compared, &follow.hash);

	follow.same = follow.compare = false;
	follow.suspect = 0;
	if (s != COPY_OK)
		follow_copy_failed(s);
	else if (follow.compared > 0)
		follow_ask(COMPARING, SOURCE_EVENT, follow.compared, 0);
	else
		ask_for_changes();
}

void follow_look(void)
{
	loop_timer_stop(&follow.poll);
	if (follow.compare)
		compare();
	else
		ask_for_changes();
}

/* Decides whether the copy can be gone on with. */
static void begin(void)
{
	enum copy_status s = COPY_OK;

	if (!copy_is_open(follow.copy))
		s = copy_open(follow.copy);
	if (s == COPY_ABSENT || s == COPY_DAMAGED || (s == COPY_OK && follow.rebuild)) {
		if (s == COPY_DAMAGED)
			log_warn("%s; making a new copy", copy_error(follow.copy));
		size_up();
	} else if (s != COPY_OK) {
		follow_copy_failed(s);
	} else {
		compare();
	}
}

/* The copy is of no use any more. */
void follow_begin_rebuild(const char *why)
{
	if (copy_in_transaction(follow.copy))
		copy_rollback(follow.copy);
	log_warn("%s; making a new copy", why);
	follow.rebuild = true;
	size_up();
}

static void lost_was_told(void)
{
	if (!copy_is_open(follow.copy) || copy_in_transaction(follow.copy) ||
		copy_begin(follow.copy) != COPY_OK)
		return;
	copy_state(follow.copy)->lost_base = 0;
	copy_commit(follow.copy);
}

/* What to do when nothing is left to do. */
void follow_rest(void)
{
	const struct copy_state *state = copy_state(follow.copy);

	if (!follow.standby && !follow.listens && !follow.config->notices && !follow.config->once) {
		follow_ask(LISTENING, SOURCE_LISTEN, 0, 0);
	} else if (!follow.standby && state->lost_base > 0) {
		follow_ask(TELLING, SOURCE_TELL_LOST, state->lost_base, 0);
	} else if (follow.again) {
		follow_look();
	} else {
		follow.phase = RESTING;
		loop_timer_start(&follow.poll, follow.config->poll_ms, 0);
	}
}

/* --- what the source says --- */

static void note_log(const struct change *c)
{
	follow.look.has_log = true;
	follow.look.log = *c;
	snprintf(follow.look.token, sizeof(follow.look.token), "%.*s", (int)c->channel.length,
		c->channel.at);
	follow.standby = c->flags & CHANGE_FROM_STANDBY;
}

static void note_timeline(const struct change *c)
{
	if (!follow.look.base || c->last < follow.look.base) {
		follow.look.base = c->last;
		follow.look.after = c->first;
	}
	if (c->last > follow.look.last_base)
		follow.look.last_base = c->last;
}

static void take_change(const struct change *c)
{
	enum copy_status s = COPY_OK;

	if (c->kind == CHANGE_EVENT)
		follow.look.rows++;
	else if (c->number > follow.look.changed)
		follow.look.changed = c->number;
	if (follow.phase == COPYING) {
		s = copy_add(follow.copy, c);
		progress_show(follow.look.rows);
	} else {
		if (!copy_in_transaction(follow.copy))
			s = copy_begin(follow.copy);
		if (s == COPY_OK)
			s = copy_apply(follow.copy, c);
	}
	if (s != COPY_OK)
		follow_copy_failed(s);
}

static void changed(void *context, const struct change *c)
{
	if (follow.phase == COMPARING)
		follow.same = copy_hash(c) == follow.hash;
	else if (c->kind == CHANGE_SIZE)
		follow.look.log = *c;
	else if (c->kind == CHANGE_LOG)
		note_log(c);
	else if (c->kind == CHANGE_TIMELINE)
		note_timeline(c);
	else
		take_change(c);
}

static void compared(void)
{
	/* Deleted since, or never there: the next look shows it. */
	follow.suspect = follow.same ? 0 : follow.compared;
	ask_for_changes();
}

static void answered(void *context)
{
	const struct change size = follow.look.log;

	switch (follow.phase) {
	case COMPARING:
		compared();
		break;
	case SIZING:
		follow_begin_copy(&size);
		break;
	case COPYING:
		follow_finish_copy();
		break;
	case LOOKING:
		follow_finish_look();
		break;
	case LISTENING:
		follow.listens = true;
		follow_look();
		break;
	case TELLING:
		lost_was_told();
		follow_look();
		break;
	case AWAY:
	case RESTING:
		break;
	}
}

static void ready(void *context)
{
	follow.counted.connects_total++;
	follow.since_ms = follow_wall_ms();
	follow.phase = RESTING;
	follow.listens = false;
	begin();
}

static void failed(void *context, enum source_failure failure, const char *sentence)
{
	/* Whoever may only read can still be a mirror. */
	if (follow.phase == TELLING && failure == SOURCE_REFUSED) {
		log_warn("the other mirrors cannot be told of the rows that were lost: %s",
			sentence);
		lost_was_told();
		follow_look();
		return;
	}
	follow_begin_again(sentence, "trying again");
}

static void noticed(void *context)
{
	if (follow.phase == RESTING && copy_is_open(follow.copy))
		follow_look();
	else
		follow.again = true;
}

static void notice_came(void)
{
	noticed(NULL);
}

/* --- timers --- */

static void poll_due(struct loop_timer *timer)
{
	if (follow.phase == RESTING)
		follow_look();
}

static void pause_over(struct loop_timer *timer)
{
	source_connect(follow.source);
}

void follow_prune(void)
{
	char oldest[32];
	struct tm utc;
	time_t then = (time_t)((follow_wall_ms() - follow.config->keep_ms) / 1000);
	bool more = true;

	strftime(oldest, sizeof(oldest), "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&then, &utc));
	for (int i = 0; i < 100 && more; i++) {
		enum copy_status s = copy_prune(follow.copy, follow.config->keep_rows,
			follow.config->keep_ms ? oldest : NULL, &more);

		if (s == COPY_BUSY)
			return;
		if (s != COPY_OK) {
			follow_copy_failed(s);
			return;
		}
		if (!follow.config->once)
			break;
	}
}

/* Is the file still there, and can it be read? */
static void look_after_copy(void)
{
	enum copy_status s;

	if (!copy_is_in_place(follow.copy)) {
		log_warn("%s was removed or replaced", follow.config->db);
		copy_close(follow.copy);
		if (follow.phase == RESTING) {
			loop_timer_stop(&follow.poll);
			begin();
		}
	} else if ((s = copy_examine(follow.copy)) != COPY_OK) {
		follow_copy_failed(s);
	}
}

static void beat_due(struct loop_timer *timer)
{
	if (copy_is_open(follow.copy) && !copy_in_transaction(follow.copy) &&
		follow.phase != COPYING) {
		look_after_copy();
		if (copy_is_open(follow.copy) && (follow.phase == RESTING || follow.phase == AWAY))
			follow_prune();
	}
	if (follow.config->notices)
		notices_ask();
	if (follow.standby && copy_is_open(follow.copy) && copy_state(follow.copy)->lost_base > 0 &&
		notices_are_on())
		notices_tell_lost(copy_state(follow.copy)->lost_base, lost_was_told);
}

/* --- outside --- */

bool follow_begin(const struct config *config, struct copy *copy)
{
	static const struct source_calls calls = {.ready = ready,
		.change = changed,
		.answered = answered,
		.failed = failed,
		.noticed = noticed};

	follow.config = config;
	follow.copy = copy;
	follow.pause_ms = FOLLOW_PAUSE_LEAST_MS;
	follow.since_ms = follow_wall_ms();
	if (!(follow.source = source_new(config->from, &calls, NULL)))
		return false;
	loop_timer_init(&follow.poll, poll_due, NULL);
	loop_timer_init(&follow.beat, beat_due, NULL);
	loop_timer_init(&follow.pause, pause_over, NULL);
	if (!config->once)
		loop_timer_start(&follow.beat, FOLLOW_BEAT_MS, FOLLOW_BEAT_MS);
	if (config->notices && !config->once && !notices_begin(config->notices, notice_came))
		return false;
	source_connect(follow.source);
	return true;
}

void follow_end(void)
{
	drop_work();
	notices_end();
	source_close(follow.source);
	follow.phase = AWAY;
	if (follow.status == 0 && !follow.config->once)
		note_absence();
	copy_close(follow.copy);
}

int follow_exit_status(void)
{
	return follow.status;
}

void follow_show(struct follow_view *view)
{
	const struct copy_state *state = copy_state(follow.copy);
	bool there = copy_is_open(follow.copy);
	int64_t lag_ms = follow_wall_ms() - state->fresh_ms;

	*view = follow.counted;
	view->connected = follow.phase != AWAY;
	view->standby = follow.standby;
	view->copying = follow.phase == COPYING || follow.phase == SIZING;
	view->where = source_where(follow.source);
	view->fault = follow.fault;
	view->since_ms = follow.since_ms;
	view->lag_ms = !there || !state->fresh_ms ? -1 : lag_ms < 0 ? 0 : lag_ms;
	view->rows = there ? copy_rows(follow.copy) : 0;
	view->cursor = there ? state->cursor : 0;
	view->lag_rows = follow.look.log.number > view->cursor ? follow.look.rows : 0;
	view->stale = view->lag_ms < 0 || (follow.config->max_stale_ms > 0 &&
						  view->lag_ms > follow.config->max_stale_ms);
}
