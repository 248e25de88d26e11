#include "mirror/keeper_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/logging.h"
#include "mirror/notices.h"
#include "mirror/progress.h"

enum {
	PAUSE_MOST_MS = 2000,
	COPY_SHARE = 5, /* copies that fail take one part in so many of the time */
	PAUSE_COPY_MOST_MS = 60000,
};

struct keeper keeper;

void keeper_ask(enum phase phase, enum source_question question, int64_t a, int64_t b)
{
	keeper.phase = phase;
	source_ask(keeper.source, question, a, b);
}

void keeper_stop_with(int status)
{
	keeper.status = status;
	loop_stop();
}

/* --- faults --- */

static void drop_work(void)
{
	if (copy_in_transaction(keeper.copy))
		copy_rollback(keeper.copy);
	if (keeper.phase == COPYING) {
		progress_end();
		copy_unmake(keeper.copy);
	}
}

/* Notes in the copy that nobody keeps it up to date. Its age shows that, too. */
static void note_absence(void)
{
	struct copy_state *state = copy_state(keeper.copy);

	if (!copy_is_open(keeper.copy) || !*state->where || copy_begin(keeper.copy) != COPY_OK)
		return;
	*state->where = '\0';
	copy_commit(keeper.copy);
}

void keeper_begin_again(const char *sentence, const char *what)
{
	bool was_connected = keeper.phase != AWAY;

	drop_work();
	snprintf(keeper.fault, sizeof(keeper.fault), "%s", sentence);
	source_close(keeper.source);
	keeper.phase = AWAY;
	keeper.listens = false;
	keeper.copying_ms = 0;
	if (was_connected)
		keeper.since_ms = clock_unix_ms();
	loop_timer_stop(&keeper.poll);
	if (strcmp(keeper.told, keeper.fault) != 0)
		log_warn("%s; %s", keeper.fault, what);
	snprintf(keeper.told, sizeof(keeper.told), "%s", keeper.fault);
	if (keeper.config->once) {
		keeper_stop_with(EX_UNAVAILABLE);
		return;
	}
	note_absence();
	/* Mirrors that lost their server together come back one after the other. */
	loop_timer_start(
		&keeper.pause, keeper.pause_ms / 2 + random() % (keeper.pause_ms / 2 + 1), 0);
	keeper.pause_ms = keeper.pause_ms * 2 < PAUSE_MOST_MS ? keeper.pause_ms * 2 : PAUSE_MOST_MS;
}

static void lengthen_pause(int64_t ms)
{
	if (ms > PAUSE_COPY_MOST_MS)
		ms = PAUSE_COPY_MOST_MS;
	if (ms > keeper.pause_ms)
		keeper.pause_ms = ms;
}

void keeper_copy_failed(enum copy_status s)
{
	char sentence[512];

	snprintf(sentence, sizeof(sentence), "%s", copy_error(keeper.copy));
	/* A copy that fails again and again must not keep the servers and the disk busy. */
	if (keeper.copying_ms)
		lengthen_pause((clock_ms() - keeper.copying_ms) * COPY_SHARE);
	if (s == COPY_DAMAGED) {
		drop_work();
		copy_close(keeper.copy);
		keeper.rebuild = true;
		keeper_begin_again(sentence, "making a new copy");
	} else if (s == COPY_FOREIGN || s == COPY_TAKEN) {
		drop_work();
		log_error("%s", sentence);
		keeper_stop_with(EX_CONFIG);
	} else {
		keeper_begin_again(
			sentence, s == COPY_BUSY ? "somebody else writes to the copy; trying again"
						 : "the copy stays as it is; trying again");
	}
}

/* --- one after the other --- */

static void size_up(void)
{
	keeper_ask(SIZING, SOURCE_SIZE, keeper.config->keep_rows, keeper.config->keep_ms);
}

/* Looks for changes. */
static void ask_for_changes(void)
{
	keeper.look = (struct look){.began_ms = clock_unix_ms(), .whole = keeper.whole};
	keeper.again = keeper.whole = false;
	keeper_ask(LOOKING, keeper.look.whole ? SOURCE_LOOK_WHOLE : SOURCE_LOOK,
		copy_state(keeper.copy)->cursor, 0);
}

/* Asks whether the source has the newest event of the copy, and then for changes. */
static void compare(void)
{
	enum copy_status s = copy_newest(keeper.copy, &keeper.compared, &keeper.hash);

	keeper.same = keeper.compare = false;
	keeper.whole = true;
	keeper.suspect = 0;
	if (s != COPY_OK)
		keeper_copy_failed(s);
	else if (keeper.compared > 0)
		keeper_ask(COMPARING, SOURCE_EVENT, keeper.compared, 0);
	else
		ask_for_changes();
}

void keeper_look(void)
{
	loop_timer_stop(&keeper.poll);
	if (keeper.compare)
		compare();
	else
		ask_for_changes();
}

void keeper_begin_work(void)
{
	enum copy_status s = copy_settle(keeper.copy);

	if (s != COPY_OK && s != COPY_ABSENT) {
		keeper_copy_failed(s);
		return;
	}
	s = COPY_OK;
	if (!copy_is_open(keeper.copy))
		s = copy_open(keeper.copy);
	if (s == COPY_ABSENT || s == COPY_DAMAGED || (s == COPY_OK && keeper.rebuild)) {
		if (s == COPY_DAMAGED)
			log_warn("%s; making a new copy", copy_error(keeper.copy));
		size_up();
	} else if (s != COPY_OK) {
		keeper_copy_failed(s);
	} else {
		compare();
	}
}

void keeper_begin_rebuild(const char *why)
{
	if (copy_in_transaction(keeper.copy))
		copy_rollback(keeper.copy);
	log_warn("%s; making a new copy", why);
	keeper.rebuild = true;
	size_up();
}

static void lost_was_told(void)
{
	if (!copy_is_open(keeper.copy) || copy_in_transaction(keeper.copy) ||
		copy_begin(keeper.copy) != COPY_OK)
		return;
	copy_state(keeper.copy)->lost_base = 0;
	copy_commit(keeper.copy);
}

void keeper_rest(void)
{
	const struct copy_state *state = copy_state(keeper.copy);

	keeper.phase = RESTING;
	if (keeper.due)
		keeper_do_chores();
	if (keeper.phase != RESTING || source_is_asking(keeper.source))
		return;
	if (!keeper.standby && !keeper.listens && !keeper.config->notices && !keeper.config->once) {
		keeper_ask(LISTENING, SOURCE_LISTEN, 0, 0);
	} else if (!keeper.standby && state->lost_base > 0) {
		keeper_ask(TELLING, SOURCE_TELL_LOST, state->lost_base, 0);
	} else if (keeper.again) {
		keeper_look();
	} else {
		loop_timer_start(&keeper.poll, keeper.config->poll_ms, 0);
	}
}

/* --- what the source says --- */

static void note_log(const struct change *c)
{
	keeper.look.has_log = true;
	keeper.look.log = *c;
	snprintf(keeper.look.token, sizeof(keeper.look.token), "%.*s", (int)c->channel.length,
		c->channel.at);
	keeper.standby = c->flags & CHANGE_FROM_STANDBY;
}

static void note_timeline(const struct change *c)
{
	/* A whole copy lists all takeovers. Those before the replaced copy do not matter. */
	if (keeper.phase == COPYING && c->last <= -keeper.lost)
		return;
	if (!keeper.look.base || c->last < keeper.look.base) {
		keeper.look.base = c->last;
		keeper.look.after = c->first;
	}
	if (c->last > keeper.look.last_base)
		keeper.look.last_base = c->last;
}

/* Did a mirror tell that rows were lost? If that is lost itself, it can be told again. */
static bool is_word_of_lost_rows(const struct change *c)
{
	return c->kind == CHANGE_PRUNED && c->channel.length == 1 && *c->channel.at == '*';
}

static void take_change(const struct change *c)
{
	enum copy_status s = COPY_OK;

	if (c->number > keeper.look.highest)
		keeper.look.highest = c->number;
	if (c->kind == CHANGE_EVENT)
		keeper.look.rows++;
	else if (c->kind == CHANGE_TIMELINE)
		note_timeline(c);
	else if (c->number > keeper.look.changed && !is_word_of_lost_rows(c))
		keeper.look.changed = c->number;
	if (keeper.phase == COPYING) {
		s = copy_add(keeper.copy, c);
		progress_show(keeper.look.rows);
	} else {
		if (!copy_in_transaction(keeper.copy))
			s = copy_begin(keeper.copy);
		if (s == COPY_OK)
			s = copy_apply(keeper.copy, c);
	}
	if (s != COPY_OK)
		keeper_copy_failed(s);
}

static void changed(void *context, const struct change *c)
{
	if (keeper.phase == COMPARING)
		keeper.same = copy_hash(c) == keeper.hash;
	else if (c->kind == CHANGE_SIZE)
		keeper.look.log = *c;
	else if (c->kind == CHANGE_LOG)
		note_log(c);
	else
		take_change(c);
}

static void compared(void)
{
	/* Deleted since, or never there: the next look shows it. */
	keeper.suspect = keeper.same ? 0 : keeper.compared;
	ask_for_changes();
}

static void answered(void *context)
{
	const struct change size = keeper.look.log;

	switch (keeper.phase) {
	case COMPARING:
		compared();
		break;
	case SIZING:
		keeper_begin_copy(&size);
		break;
	case COPYING:
		keeper_finish_copy();
		break;
	case LOOKING:
		keeper_finish_look();
		break;
	case LISTENING:
		keeper.listens = true;
		keeper_look();
		break;
	case TELLING:
		lost_was_told();
		keeper_look();
		break;
	case AWAY:
	case RESTING:
		break;
	}
}

static void ready(void *context)
{
	keeper.counted.connects_total++;
	keeper.since_ms = clock_unix_ms();
	keeper.phase = RESTING;
	keeper.listens = false;
	keeper_begin_work();
}

static void failed(void *context, enum source_failure failure, const char *sentence)
{
	/* Whoever may only read can still be a mirror. */
	if (keeper.phase == TELLING && failure == SOURCE_REFUSED) {
		log_warn("the other mirrors cannot be told of the rows that were lost: %s",
			sentence);
		lost_was_told();
		keeper_look();
		return;
	}
	keeper_begin_again(sentence, "trying again");
}

static void noticed(void *context)
{
	if (keeper.phase == RESTING && copy_is_open(keeper.copy))
		keeper_look();
	else
		keeper.again = true;
}

static void notice_came(void)
{
	noticed(NULL);
}

/* --- timers --- */

static void poll_due(struct loop_timer *timer)
{
	if (keeper.phase == RESTING)
		keeper_look();
}

static void pause_over(struct loop_timer *timer)
{
	source_connect(keeper.source);
}

static void beat_due(struct loop_timer *timer)
{
	keeper.due = keeper.whole = true;
	if (keeper.phase == RESTING || keeper.phase == AWAY)
		keeper_do_chores();
	if (keeper.config->notices)
		notices_ask();
	if (keeper.standby && copy_is_open(keeper.copy) && copy_state(keeper.copy)->lost_base > 0 &&
		notices_are_on())
		notices_tell_lost(copy_state(keeper.copy)->lost_base, lost_was_told);
}

/* --- outside --- */

bool keeper_begin(const struct config *config, struct copy *copy)
{
	static const struct source_calls calls = {.ready = ready,
		.change = changed,
		.answered = answered,
		.failed = failed,
		.noticed = noticed};

	keeper.config = config;
	keeper.copy = copy;
	keeper.pause_ms = KEEPER_PAUSE_LEAST_MS;
	keeper.since_ms = clock_unix_ms();
	if (!(keeper.source = source_new(config->from, &calls, NULL)))
		return false;
	loop_timer_init(&keeper.poll, poll_due, NULL);
	loop_timer_init(&keeper.beat, beat_due, NULL);
	loop_timer_init(&keeper.pause, pause_over, NULL);
	loop_timer_init(&keeper.prune, keeper_prune_due, NULL);
	if (!config->once)
		loop_timer_start(&keeper.beat, KEEPER_BEAT_MS, KEEPER_BEAT_MS);
	if (config->notices && !config->once && !notices_begin(config->notices, notice_came))
		return false;
	source_connect(keeper.source);
	return true;
}

void keeper_end(void)
{
	drop_work();
	notices_end();
	source_close(keeper.source);
	keeper.phase = AWAY;
	if (keeper.status == 0 && !keeper.config->once)
		note_absence();
	copy_close(keeper.copy);
}

int keeper_exit_status(void)
{
	return keeper.status;
}

void keeper_show(struct keeper_view *view)
{
	const struct copy_state *state = copy_state(keeper.copy);
	bool there = copy_is_open(keeper.copy);
	int64_t lag_ms = clock_unix_ms() - state->fresh_ms;

	*view = keeper.counted;
	view->connected = keeper.phase != AWAY;
	view->standby = keeper.standby;
	view->copying = keeper.phase == COPYING || keeper.phase == SIZING;
	view->where = source_where(keeper.source);
	view->fault = keeper.fault;
	view->since_ms = keeper.since_ms;
	view->lag_ms = !there || !state->fresh_ms ? -1 : lag_ms < 0 ? 0 : lag_ms;
	view->rows = there ? copy_rows(keeper.copy) : 0;
	view->cursor = there ? state->cursor : 0;
	view->lag_rows = keeper.look.highest > view->cursor ? keeper.look.rows : 0;
	view->stale = view->lag_ms < 0 || (keeper.config->max_stale_ms > 0 &&
						  view->lag_ms > keeper.config->max_stale_ms);
}
