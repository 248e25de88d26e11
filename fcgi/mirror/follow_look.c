/* What the answer to a look means: does it go on, were rows taken back, is the copy of no use? */
#include "mirror/follow_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/logging.h"
#include "mirror/notices.h"
#include "mirror/progress.h"

enum { LONG_MS = 3000 }; /* a look that takes longer is worth a line */

/*
 * Is the copy complete now? If so, sets *when_ms to a time at which the primary had no more. A standby
 * cannot know that; *counts is false if it only seems so.
 */
static bool is_complete(int64_t *when_ms, bool *counts)
{
	*counts = true;
	*when_ms = follow.look.began_ms;
	if (!follow.standby)
		return true;
	if (notices_are_on())
		return notices_confirm(copy_state(follow.copy)->cursor, when_ms);
	*counts = false;
	return follow.look.log.flags & CHANGE_STANDBY_IS_CURRENT;
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

	if (state->lost_base < 0 && follow.look.after < -state->lost_base)
		state->lost_base = follow.look.base;
	if (state->cursor <= follow.look.after)
		return true;
	log_warn("a standby took over, without what had a number above %" PRId64
		 ", and the copy has up to %" PRId64,
		follow.look.after, state->cursor);
	if (state->changed > follow.look.after) {
		follow.lost = follow.look.base;
		snprintf(why, sizeof(why),
			"deletions or grants that the copy has were lost with a primary");
		follow_begin_rebuild(why);
		return false;
	}
	if (!copy_in_transaction(follow.copy) && (s = copy_begin(follow.copy)) != COPY_OK) {
		follow_copy_failed(s);
		return false;
	}
	if ((s = copy_take_back(follow.copy, follow.look.after + 1, follow.look.base)) != COPY_OK) {
		follow_copy_failed(s);
		return false;
	}
	follow.counted.taken_back_total++;
	copy_state(follow.copy)->lost_base = follow.look.base;
	return true;
}

/* Is this the log, and the state of it, that the copy can go on with? If not, begins what is to be done. */
static bool is_right_source(const struct copy_state *state)
{
	const struct change *log = &follow.look.log;
	int64_t position = log->number > log->first ? log->number : log->first;

	if (!follow.look.has_log) {
		follow_begin_again(
			"events_log is empty: run schema/postgresql.sql", "trying again");
	} else if (strcmp(follow.look.token, state->token) != 0) {
		follow_begin_rebuild("this is another log than the copy is of");
	} else if (log->last < state->timeline) {
		source_pass_over_host(follow.source);
		follow_begin_again(
			"this server is older than what the copy was read from: a former "
			"primary, or "
			"a backup (then run SELECT events_after_restore() there)",
			"looking for another one");
	} else if (state->cursor < log->first) {
		follow_begin_rebuild("the copy is older than the list of changes");
	} else if (!follow.standby && position < state->cursor && follow.look.base == 0) {
		if (log->last > state->timeline)
			follow.lost = -state->cursor;
		follow_begin_rebuild("the log was put back to an earlier state");
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

	/* A standby that lags does not have it yet. */
	follow.compare = follow.suspect && follow.look.log.number < follow.suspect;
	if (follow.suspect && !follow.compare)
		s = copy_has(follow.copy, follow.suspect, &has);
	follow.suspect = 0;
	if (s != COPY_OK)
		follow_copy_failed(s);
	else if (has)
		follow_begin_rebuild(
			"the newest row of the copy is not in the log, which never deleted it");
	return s == COPY_OK && !has;
}

static void tell_connected(void)
{
	if (*follow.fault || !*copy_state(follow.copy)->where)
		log_info("connected to %s (%s)", source_where(follow.source),
			follow.standby ? "standby" : "primary");
	*follow.fault = *follow.told = '\0';
	follow.pause_ms = FOLLOW_PAUSE_LEAST_MS;
	source_first_host(follow.source);
}

static enum copy_status write_state(void)
{
	struct copy_state *state = copy_state(follow.copy);
	const struct look *l = &follow.look;
	enum copy_status s = COPY_OK;

	if (!copy_in_transaction(follow.copy))
		s = copy_begin(follow.copy);
	if (s != COPY_OK)
		return s;
	if (l->log.number > state->cursor)
		state->cursor = l->log.number;
	if (l->last_base > state->cursor)
		state->cursor = l->last_base;
	if (l->changed > state->changed)
		state->changed = l->changed;
	/* Until a new primary has numbered something, its standbys do not know that it took over. */
	if (l->base)
		state->timeline = l->log.last;
	state->max_stale_ms = follow.config->max_stale_ms;
	snprintf(state->where, sizeof(state->where), "%s", source_where(follow.source));
	note_complete(state);
	s = copy_commit(follow.copy);
	follow.written_ms = clock_ms();
	return s;
}

/* --once: everything is there. */
static void end_once(void)
{
	log_info("%s has %" PRId64 " rows, up to number %" PRId64, follow.config->db,
		copy_rows(follow.copy), copy_state(follow.copy)->cursor);
	follow_stop_with(0);
}

void follow_finish_look(void)
{
	struct copy_state *state = copy_state(follow.copy);
	int64_t took_ms = follow_wall_ms() - follow.look.began_ms;
	enum copy_status s = COPY_OK;

	follow.counted.looks_total++;
	follow.standby = follow.look.log.flags & CHANGE_FROM_STANDBY;
	if (!is_right_source(state) || (follow.look.base && !take_back(state)) ||
		!is_suspect_gone())
		return;
	tell_connected();
	if (copy_in_transaction(follow.copy) || clock_ms() - follow.written_ms >= FOLLOW_BEAT_MS ||
		follow.config->once)
		s = write_state();
	if (s != COPY_OK) {
		follow_copy_failed(s);
		return;
	}
	follow.counted.rows_total += (uint64_t)follow.look.rows;
	if (took_ms > LONG_MS)
		log_info("caught up: %" PRId64 " rows in %.1f s", follow.look.rows,
			(double)took_ms / 1000);
	if (follow.config->once) {
		follow_prune();
		end_once();
		return;
	}
	follow_rest();
}

/* --- a copy is over --- */

void follow_finish_copy(void)
{
	const struct look *l = &follow.look;
	struct copy_state state = {.timeline = l->log.last,
		.cursor = l->log.number > l->log.first ? l->log.number : l->log.first,
		.max_stale_ms = follow.config->max_stale_ms,
		.looks = copy_state(follow.copy)->looks + 1,
		.fresh_ms = l->began_ms,
		.lost_base = follow.lost};
	int64_t took_ms = progress_end();
	enum copy_status s;

	if (!l->has_log) {
		follow_begin_again(
			"events_log is empty: run schema/postgresql.sql", "trying again");
		return;
	}
	state.changed = state.cursor;
	snprintf(state.token, sizeof(state.token), "%s", l->token);
	snprintf(state.where, sizeof(state.where), "%s", source_where(follow.source));
	follow.phase = RESTING;
	if ((s = copy_replace(follow.copy, &state)) != COPY_OK) {
		follow_copy_failed(s);
		return;
	}
	follow.rebuild = false;
	follow.lost = follow.suspect = 0;
	follow.counted.rebuilt_total++;
	follow.counted.rows_total += (uint64_t)l->rows;
	log_info("%s is a copy of the log at %s: %" PRId64 " rows in %.1f s", follow.config->db,
		source_where(follow.source), l->rows, (double)took_ms / 1000);
	follow_look();
}

void follow_begin_copy(const struct change *size)
{
	enum copy_status s = copy_make(follow.copy);
	int64_t total =
		size->first < 5000000 || size->last < size->first ? size->first : size->last;

	if (s != COPY_OK) {
		follow_copy_failed(s);
		return;
	}
	follow.look = (struct look){.began_ms = follow_wall_ms()};
	log_info("copying %" PRId64 " rows from %s", total, source_where(follow.source));
	progress_begin(total);
	follow_ask(COPYING, SOURCE_ALL, size->number, 0);
}
