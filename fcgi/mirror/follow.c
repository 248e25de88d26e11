#include "mirror/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "mirror/notices.h"
#include "mirror/progress.h"
#include "mirror/source.h"

enum {
	BEAT_MS = 1000, /* between two heartbeats: the copy says that it is still complete */
	PAUSE_LEAST_MS = 100,
	PAUSE_MOST_MS = 2000,
	LONG_MS = 3000, /* a look that takes longer is worth a line */
};

enum phase {
	AWAY, /* not connected */
	COMPARING, /* does the source have the newest event of the copy? */
	SIZING, /* how much is there to copy? */
	COPYING,
	LOOKING,
	LISTENING,
	TELLING, /* the other mirrors of rows that were taken back */
	RESTING,
};

/* What the current look, or copy, has shown. */
struct look {
	struct change log; /* CHANGE_LOG, without its texts */
	char token[COPY_TOKEN_MAX];
	bool has_log;
	int64_t after, base; /* of the first new timeline; base 0: none */
	int64_t last_base; /* of the last one */
	int64_t changed; /* number of the last change that is no event */
	int64_t began_ms, rows;
};

static struct {
	const struct config *config;
	struct copy *copy;
	struct source *source;
	enum phase phase;
	struct loop_timer poll, beat, pause;
	int64_t pause_ms;
	struct look look;
	int64_t compared; /* id of the event that was asked for */
	uint64_t hash; /* of that event in the copy */
	bool same; /* the source has it, unchanged */
	int64_t suspect; /* an event that the source lacks: a deletion of it must follow; 0: none */
	bool rebuild; /* the copy cannot be mended */
	int64_t lost; /* for copy_state.lost_base of a rebuilt copy */
	bool again; /* a notice came during a question */
	bool listens; /* the first connection listens */
	bool standby;
	int64_t written_ms; /* by clock_ms(): when the copy's state was last written */
	int64_t since_ms;
	char fault[512];
	char told[512]; /* the last fault that was logged */
	int status;
	struct follow_view counted;
} m;

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void ask(enum phase phase, enum source_question question, int64_t a, int64_t b)
{
	m.phase = phase;
	source_ask(m.source, question, a, b);
}

static void stop_with(int status)
{
	m.status = status;
	loop_stop();
}

/* --- faults --- */

static void drop_work(void)
{
	if (copy_in_transaction(m.copy))
		copy_rollback(m.copy);
	if (m.phase == COPYING) {
		progress_end();
		copy_unmake(m.copy);
	}
}

/* The copy says that it is not being kept up to date. It says so as well by its age. */
static void note_absence(void)
{
	struct copy_state *state = copy_state(m.copy);

	if (!copy_is_open(m.copy) || !*state->where || copy_begin(m.copy) != COPY_OK)
		return;
	*state->where = '\0';
	copy_commit(m.copy);
}

/* Closes the connection, and begins again after a pause. what: ends the line in the log. */
static void begin_again(const char *sentence, const char *what)
{
	bool was_connected = m.phase != AWAY;

	drop_work();
	snprintf(m.fault, sizeof(m.fault), "%s", sentence);
	source_close(m.source);
	m.phase = AWAY;
	m.listens = false;
	if (was_connected)
		m.since_ms = wall_ms();
	loop_timer_stop(&m.poll);
	if (strcmp(m.told, m.fault) != 0)
		log_warn("%s; %s", m.fault, what);
	snprintf(m.told, sizeof(m.told), "%s", m.fault);
	if (m.config->once) {
		stop_with(EX_UNAVAILABLE);
		return;
	}
	note_absence();
	/* Mirrors that lost their server together come back one after the other. */
	loop_timer_start(&m.pause, m.pause_ms / 2 + random() % (m.pause_ms / 2 + 1), 0);
	m.pause_ms = m.pause_ms * 2 < PAUSE_MOST_MS ? m.pause_ms * 2 : PAUSE_MOST_MS;
}

/* The copy cannot be written. */
static void copy_failed(enum copy_status s)
{
	char sentence[512];

	snprintf(sentence, sizeof(sentence), "%s", copy_error(m.copy));
	if (s == COPY_DAMAGED) {
		drop_work();
		copy_close(m.copy);
		m.rebuild = true;
		begin_again(sentence, "making a new copy");
	} else if (s == COPY_FOREIGN) {
		drop_work();
		log_error("%s", sentence);
		stop_with(EX_CONFIG);
	} else {
		begin_again(sentence, s == COPY_BUSY
					      ? "somebody else writes to the copy; trying again"
					      : "the copy stays as it is; trying again");
	}
}

/* --- one after the other --- */

static void look(void)
{
	m.look = (struct look){.began_ms = wall_ms()};
	m.again = false;
	loop_timer_stop(&m.poll);
	ask(LOOKING, SOURCE_LOOK, copy_state(m.copy)->cursor, 0);
}

static void size_up(void)
{
	ask(SIZING, SOURCE_SIZE, m.config->keep_rows, m.config->keep_ms);
}

static void compare(void)
{
	enum copy_status s = copy_newest(m.copy, &m.compared, &m.hash);

	m.same = false;
	m.suspect = 0;
	if (s != COPY_OK)
		copy_failed(s);
	else if (m.compared > 0)
		ask(COMPARING, SOURCE_EVENT, m.compared, 0);
	else
		look();
}

/* Decides whether the copy can be gone on with. */
static void begin(void)
{
	enum copy_status s = COPY_OK;

	if (!copy_is_open(m.copy))
		s = copy_open(m.copy);
	if (s == COPY_ABSENT || s == COPY_DAMAGED || (s == COPY_OK && m.rebuild)) {
		if (s == COPY_DAMAGED)
			log_warn("%s; making a new copy", copy_error(m.copy));
		size_up();
	} else if (s != COPY_OK) {
		copy_failed(s);
	} else {
		compare();
	}
}

/* The copy is of no use any more. */
static void begin_rebuild(const char *why)
{
	if (copy_in_transaction(m.copy))
		copy_rollback(m.copy);
	log_warn("%s; making a new copy", why);
	m.rebuild = true;
	size_up();
}

static void lost_was_told(void)
{
	if (!copy_is_open(m.copy) || copy_in_transaction(m.copy) || copy_begin(m.copy) != COPY_OK)
		return;
	copy_state(m.copy)->lost_base = 0;
	copy_commit(m.copy);
}

/* What to do when nothing is left to do. */
static void rest(void)
{
	const struct copy_state *state = copy_state(m.copy);

	if (!m.standby && !m.listens && !m.config->notices && !m.config->once) {
		ask(LISTENING, SOURCE_LISTEN, 0, 0);
	} else if (!m.standby && state->lost_base > 0) {
		ask(TELLING, SOURCE_TELL_LOST, state->lost_base, 0);
	} else if (m.again) {
		look();
	} else {
		m.phase = RESTING;
		loop_timer_start(&m.poll, m.config->poll_ms, 0);
	}
}

/* --- a look is over --- */

/*
 * Is the copy complete now? If so, sets *when_ms to a time at which the primary had no more. A standby
 * cannot know that; *counts is false if it only seems so.
 */
static bool is_complete(int64_t *when_ms, bool *counts)
{
	int64_t newest;

	*counts = true;
	*when_ms = m.look.began_ms;
	if (!m.standby)
		return true;
	if (notices_take(&newest, when_ms))
		return newest <= copy_state(m.copy)->cursor;
	*counts = false;
	*when_ms = m.look.began_ms;
	return !notices_are_on() && m.look.log.flags & CHANGE_STANDBY_IS_CURRENT;
}

static void note_complete(struct copy_state *state)
{
	int64_t when_ms;
	bool counts;

	if (!is_complete(&when_ms, &counts))
		return;
	state->fresh_ms = when_ms;
	state->looks += counts;
	state->behind = 0;
}

/* A standby took over. Returns false if the copy has to be made anew. */
static bool take_back(struct copy_state *state)
{
	enum copy_status s;
	char why[256];

	if (state->lost_base < 0 && m.look.after < -state->lost_base)
		state->lost_base = m.look.base;
	if (state->cursor <= m.look.after)
		return true;
	log_warn("a standby took over, without what had a number above %" PRId64
		 ", and the copy has up to %" PRId64,
		m.look.after, state->cursor);
	if (state->changed > m.look.after) {
		m.lost = m.look.base;
		snprintf(why, sizeof(why),
			"deletions or grants that the copy has were lost with a primary");
		begin_rebuild(why);
		return false;
	}
	if (!copy_in_transaction(m.copy) && (s = copy_begin(m.copy)) != COPY_OK) {
		copy_failed(s);
		return false;
	}
	if ((s = copy_take_back(m.copy, m.look.after + 1, m.look.base)) != COPY_OK) {
		copy_failed(s);
		return false;
	}
	m.counted.taken_back_total++;
	copy_state(m.copy)->lost_base = m.look.base;
	return true;
}

/* Is this the log, and the state of it, that the copy can go on with? If not, begins what is to be done. */
static bool is_right_source(const struct copy_state *state)
{
	const struct change *log = &m.look.log;
	int64_t position = log->number > log->first ? log->number : log->first;

	if (!m.look.has_log) {
		begin_again("events_log is empty: run schema/postgresql.sql", "trying again");
	} else if (strcmp(m.look.token, state->token) != 0) {
		begin_rebuild("this is another log than the copy is of");
	} else if (log->last < state->timeline) {
		source_pass_over_host(m.source);
		begin_again("this server is older than what the copy was read from: a former "
			    "primary, or "
			    "a backup (then run SELECT events_after_restore() there)",
			"looking for another one");
	} else if (state->cursor < log->first) {
		begin_rebuild("the copy is older than the list of changes");
	} else if (!m.standby && position < state->cursor && m.look.base == 0) {
		if (log->last > state->timeline)
			m.lost = -state->cursor;
		begin_rebuild("the log was put back to an earlier state");
	} else {
		return true;
	}
	return false;
}

/* A row that the source did not have must have been deleted there. */
static bool is_suspect_gone(void)
{
	bool has = false;
	enum copy_status s = COPY_OK;

	if (m.suspect)
		s = copy_has(m.copy, m.suspect, &has);
	m.suspect = 0;
	if (s != COPY_OK)
		copy_failed(s);
	else if (has)
		begin_rebuild(
			"the newest row of the copy is not in the log, which never deleted it");
	return s == COPY_OK && !has;
}

static void tell_connected(void)
{
	if (*m.fault || !*copy_state(m.copy)->where)
		log_info("connected to %s (%s)", source_where(m.source),
			m.standby ? "standby" : "primary");
	*m.fault = *m.told = '\0';
	m.pause_ms = PAUSE_LEAST_MS;
	source_first_host(m.source);
}

static enum copy_status write_state(void)
{
	struct copy_state *state = copy_state(m.copy);
	const struct look *l = &m.look;
	enum copy_status s = COPY_OK;

	if (!copy_in_transaction(m.copy))
		s = copy_begin(m.copy);
	if (s != COPY_OK)
		return s;
	if (l->log.number > state->cursor)
		state->cursor = l->log.number;
	if (l->last_base > state->cursor)
		state->cursor = l->last_base;
	if (l->changed > state->changed)
		state->changed = l->changed;
	state->timeline = l->log.last;
	state->max_stale_ms = m.config->max_stale_ms;
	snprintf(state->where, sizeof(state->where), "%s", source_where(m.source));
	note_complete(state);
	s = copy_commit(m.copy);
	m.written_ms = clock_ms();
	return s;
}

/* --once: everything is there. */
static void end_once(void)
{
	log_info("%s has %" PRId64 " rows, up to number %" PRId64, m.config->db, copy_rows(m.copy),
		copy_state(m.copy)->cursor);
	stop_with(0);
}

static void prune(void);

static void finish_look(void)
{
	struct copy_state *state = copy_state(m.copy);
	int64_t took_ms = wall_ms() - m.look.began_ms;
	enum copy_status s = COPY_OK;

	m.counted.looks_total++;
	m.standby = m.look.log.flags & CHANGE_FROM_STANDBY;
	if (!is_right_source(state) || (m.look.base && !take_back(state)) || !is_suspect_gone())
		return;
	tell_connected();
	if (copy_in_transaction(m.copy) || clock_ms() - m.written_ms >= BEAT_MS || m.config->once)
		s = write_state();
	if (s != COPY_OK) {
		copy_failed(s);
		return;
	}
	m.counted.rows_total += (uint64_t)m.look.rows;
	if (took_ms > LONG_MS)
		log_info("caught up: %" PRId64 " rows in %.1f s", m.look.rows,
			(double)took_ms / 1000);
	if (m.config->once) {
		prune();
		end_once();
		return;
	}
	rest();
}

/* --- a copy is over --- */

static void finish_copy(void)
{
	const struct look *l = &m.look;
	struct copy_state state = {.timeline = l->log.last,
		.cursor = l->log.number > l->log.first ? l->log.number : l->log.first,
		.max_stale_ms = m.config->max_stale_ms,
		.looks = copy_state(m.copy)->looks + 1,
		.fresh_ms = l->began_ms,
		.lost_base = m.lost};
	int64_t took_ms = progress_end();
	enum copy_status s;

	if (!l->has_log) {
		begin_again("events_log is empty: run schema/postgresql.sql", "trying again");
		return;
	}
	state.changed = state.cursor;
	snprintf(state.token, sizeof(state.token), "%s", l->token);
	snprintf(state.where, sizeof(state.where), "%s", source_where(m.source));
	m.phase = RESTING;
	if ((s = copy_replace(m.copy, &state)) != COPY_OK) {
		copy_failed(s);
		return;
	}
	m.rebuild = false;
	m.lost = m.suspect = 0;
	m.counted.rebuilt_total++;
	m.counted.rows_total += (uint64_t)l->rows;
	log_info("%s is a copy of the log at %s: %" PRId64 " rows in %.1f s", m.config->db,
		source_where(m.source), l->rows, (double)took_ms / 1000);
	look();
}

static void begin_copy(const struct change *size)
{
	enum copy_status s = copy_make(m.copy);
	int64_t total =
		size->first < 5000000 || size->last < size->first ? size->first : size->last;

	if (s != COPY_OK) {
		copy_failed(s);
		return;
	}
	m.look = (struct look){.began_ms = wall_ms()};
	log_info("copying %" PRId64 " rows from %s", total, source_where(m.source));
	progress_begin(total);
	ask(COPYING, SOURCE_ALL, size->number, 0);
}

/* --- what the source says --- */

static void note_log(const struct change *c)
{
	m.look.has_log = true;
	m.look.log = *c;
	snprintf(m.look.token, sizeof(m.look.token), "%.*s", (int)c->channel.length, c->channel.at);
	m.standby = c->flags & CHANGE_FROM_STANDBY;
}

static void note_timeline(const struct change *c)
{
	if (!m.look.base || c->last < m.look.base) {
		m.look.base = c->last;
		m.look.after = c->first;
	}
	if (c->last > m.look.last_base)
		m.look.last_base = c->last;
}

static void take_change(const struct change *c)
{
	enum copy_status s = COPY_OK;

	if (c->kind == CHANGE_EVENT)
		m.look.rows++;
	else if (c->number > m.look.changed)
		m.look.changed = c->number;
	if (m.phase == COPYING) {
		s = copy_add(m.copy, c);
		progress_show(m.look.rows);
	} else {
		if (!copy_in_transaction(m.copy))
			s = copy_begin(m.copy);
		if (s == COPY_OK)
			s = copy_apply(m.copy, c);
	}
	if (s != COPY_OK)
		copy_failed(s);
}

static void changed(void *context, const struct change *c)
{
	if (m.phase == COMPARING)
		m.same = copy_hash(c) == m.hash;
	else if (c->kind == CHANGE_SIZE)
		m.look.log = *c;
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
	m.suspect = m.same ? 0 : m.compared;
	look();
}

static void answered(void *context)
{
	const struct change size = m.look.log;

	switch (m.phase) {
	case COMPARING:
		compared();
		break;
	case SIZING:
		begin_copy(&size);
		break;
	case COPYING:
		finish_copy();
		break;
	case LOOKING:
		finish_look();
		break;
	case LISTENING:
		m.listens = true;
		look();
		break;
	case TELLING:
		lost_was_told();
		look();
		break;
	case AWAY:
	case RESTING:
		break;
	}
}

static void ready(void *context)
{
	m.counted.connects_total++;
	m.since_ms = wall_ms();
	m.phase = RESTING;
	m.listens = false;
	begin();
}

static void failed(void *context, enum source_failure failure, const char *sentence)
{
	/* Whoever may only read can still be a mirror. */
	if (m.phase == TELLING && failure == SOURCE_REFUSED) {
		log_warn("the other mirrors cannot be told of the rows that were lost: %s",
			sentence);
		lost_was_told();
		look();
		return;
	}
	begin_again(sentence, "trying again");
}

static void noticed(void *context)
{
	if (m.phase == RESTING && copy_is_open(m.copy))
		look();
	else
		m.again = true;
}

static void notice_came(void)
{
	noticed(NULL);
}

/* --- timers --- */

static void poll_due(struct loop_timer *timer)
{
	if (m.phase == RESTING)
		look();
}

static void pause_over(struct loop_timer *timer)
{
	source_connect(m.source);
}

static void prune(void)
{
	char oldest[32];
	struct tm utc;
	time_t then = (time_t)((wall_ms() - m.config->keep_ms) / 1000);
	bool more = true;

	strftime(oldest, sizeof(oldest), "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&then, &utc));
	for (int i = 0; i < 100 && more; i++) {
		enum copy_status s = copy_prune(
			m.copy, m.config->keep_rows, m.config->keep_ms ? oldest : NULL, &more);

		if (s == COPY_BUSY)
			return;
		if (s != COPY_OK) {
			copy_failed(s);
			return;
		}
		if (!m.config->once)
			break;
	}
}

/* Is the file still there, and can it be read? */
static void look_after_copy(void)
{
	enum copy_status s;

	if (!copy_is_in_place(m.copy)) {
		log_warn("%s was removed or replaced", m.config->db);
		copy_close(m.copy);
		if (m.phase == RESTING) {
			loop_timer_stop(&m.poll);
			begin();
		}
	} else if ((s = copy_examine(m.copy)) != COPY_OK) {
		copy_failed(s);
	}
}

static void beat_due(struct loop_timer *timer)
{
	if (copy_is_open(m.copy) && !copy_in_transaction(m.copy) && m.phase != COPYING) {
		look_after_copy();
		if (copy_is_open(m.copy) && (m.phase == RESTING || m.phase == AWAY))
			prune();
	}
	if (m.config->notices)
		notices_ask();
	if (m.standby && copy_is_open(m.copy) && copy_state(m.copy)->lost_base > 0 &&
		notices_are_on())
		notices_tell_lost(copy_state(m.copy)->lost_base, lost_was_told);
}

/* --- outside --- */

bool follow_begin(const struct config *config, struct copy *copy)
{
	static const struct source_calls calls = {.ready = ready,
		.change = changed,
		.answered = answered,
		.failed = failed,
		.noticed = noticed};

	m.config = config;
	m.copy = copy;
	m.pause_ms = PAUSE_LEAST_MS;
	m.since_ms = wall_ms();
	if (!(m.source = source_new(config->from, &calls, NULL)))
		return false;
	loop_timer_init(&m.poll, poll_due, NULL);
	loop_timer_init(&m.beat, beat_due, NULL);
	loop_timer_init(&m.pause, pause_over, NULL);
	if (!config->once)
		loop_timer_start(&m.beat, BEAT_MS, BEAT_MS);
	if (config->notices && !config->once && !notices_begin(config->notices, notice_came))
		return false;
	source_connect(m.source);
	return true;
}

void follow_end(void)
{
	drop_work();
	notices_end();
	source_close(m.source);
	m.phase = AWAY;
	if (m.status == 0 && !m.config->once)
		note_absence();
	copy_close(m.copy);
}

int follow_exit_status(void)
{
	return m.status;
}

void follow_look(struct follow_view *view)
{
	const struct copy_state *state = copy_state(m.copy);
	bool there = copy_is_open(m.copy);
	int64_t lag_ms = wall_ms() - state->fresh_ms;

	*view = m.counted;
	view->connected = m.phase != AWAY;
	view->standby = m.standby;
	view->copying = m.phase == COPYING || m.phase == SIZING;
	view->where = source_where(m.source);
	view->fault = m.fault;
	view->since_ms = m.since_ms;
	view->lag_ms = !there || !state->fresh_ms ? -1 : lag_ms < 0 ? 0 : lag_ms;
	view->rows = there ? copy_rows(m.copy) : 0;
	view->cursor = there ? state->cursor : 0;
	view->lag_rows = m.look.log.number > view->cursor ? m.look.rows : 0;
	view->stale = view->lag_ms < 0 ||
		      (m.config->max_stale_ms > 0 && view->lag_ms > m.config->max_stale_ms);
}
