/* What the answer to a look means: does it go on, were rows taken back, is the copy of no use? */
#include "mirror/keeper_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/logging.h"
#include "mirror/notices.h"
#include "mirror/progress.h"

enum { LONG_MS = 3000 }; /* a look that takes longer is worth a line */

/*
 * Is the copy complete now? If so, sets *when_ms to a time at which the primary had no more. A
 * standby cannot know that; *counts is false if it only seems so.
 */
static bool is_complete(int64_t *when_ms, bool *counts)
{
	*counts = true;
	*when_ms = keeper.look.began_ms;
	if (!keeper.standby)
		return true;
	if (notices_are_on())
		return notices_confirm(copy_state(keeper.copy)->cursor, when_ms);
	*counts = false;
	return keeper.look.log.flags & CHANGE_STANDBY_IS_CURRENT;
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

/*
 * A standby took over, which lacks what has a number from `first` to `last`. *nothing: that was no
 * more than a mirror's word of rows that were lost before, so this mirror tells it again.
 */
static enum copy_status lost_nothing(
	struct copy_state *state, int64_t first, int64_t last, bool *nothing)
{
	int64_t base = 0;
	bool had = true;
	enum copy_status s = COPY_OK;

	if (state->changed < first && state->lost_base >= 0)
		s = copy_had(keeper.copy, first, last, &had);
	if (s == COPY_OK && !had)
		s = copy_told(keeper.copy, first, &base);
	*nothing = s == COPY_OK && !had;
	if (*nothing && base > state->lost_base)
		state->lost_base = base;
	return s;
}

/* A standby took over. Returns false if the copy has to be made anew. */
static bool take_back(struct copy_state *state)
{
	enum copy_status s;

	/* Did the copy before this one have rows that the takeover lost? */
	bool had = state->lost_base < 0 && keeper.look.after < -state->lost_base;

	bool nothing;

	if (state->cursor <= keeper.look.after && !had)
		return true;
	if ((s = lost_nothing(state, keeper.look.after + 1, keeper.look.base - 1, &nothing)) !=
		COPY_OK) {
		keeper_copy_failed(s);
		return false;
	}
	if (nothing)
		return true;
	log_warn("a standby took over that lacks what has a number above %" PRId64
		 ", and the copy has up to %" PRId64,
		keeper.look.after, had ? -state->lost_base : state->cursor);
	if (state->changed > keeper.look.after) {
		keeper.lost = keeper.look.base;
		keeper_begin_rebuild(
			"the copy has deletions or grants that were lost with a primary");
		return false;
	}
	if (!copy_in_transaction(keeper.copy) && (s = copy_begin(keeper.copy)) != COPY_OK) {
		keeper_copy_failed(s);
		return false;
	}
	if ((s = copy_take_back(keeper.copy, keeper.look.after + 1, keeper.look.base)) != COPY_OK) {
		keeper_copy_failed(s);
		return false;
	}
	keeper.counted.taken_back_total++;
	copy_state(keeper.copy)->lost_base = keeper.look.base;
	return true;
}

/*
 * The primary lacks numbers that the copy has, and has not begun a timeline of its own. Returns
 * false if the copy can continue all the same; if not, begins to make a new one. position: the
 * primary's highest number.
 */
static bool was_put_back(struct copy_state *state, int64_t position)
{
	bool took_over = keeper.look.log.last > state->timeline, nothing = false;
	enum copy_status s = COPY_OK;

	/* Once it publishes, its numbers are above those of the copy. */
	if (took_over)
		s = lost_nothing(state, position + 1, INT64_MAX, &nothing);
	if (s != COPY_OK) {
		keeper_copy_failed(s);
	} else if (!nothing) {
		if (took_over)
			keeper.lost = -state->cursor;
		keeper_begin_rebuild("the log was put back to an earlier state");
	}
	return !nothing;
}

/* Can the copy continue with this log? If not, begins what is needed instead. */
static bool is_right_source(struct copy_state *state)
{
	const struct change *log = &keeper.look.log;
	int64_t position = log->number > log->first ? log->number : log->first;

	if (!keeper.look.has_log) {
		keeper_begin_again(
			"events_log is empty: run schema/postgresql.sql", "trying again");
	} else if (strcmp(keeper.look.token, state->token) != 0) {
		keeper_begin_rebuild("this is not the log that the copy was made from");
	} else if (log->last < state->timeline) {
		source_pass_over_host(keeper.source);
		keeper_begin_again(
			"this server is older than what the copy was read from: a former "
			"primary, or "
			"a backup (then run SELECT events_after_restore() there)",
			"looking for another one");
	} else if (state->cursor < log->first) {
		keeper_begin_rebuild("the copy is older than the list of changes");
	} else {
		return !keeper.look.whole || keeper.standby || position >= state->cursor ||
		       keeper.look.base || !was_put_back(state, position);
	}
	return false;
}

/* A row that the source did not have must have been deleted there. */
static bool is_suspect_gone(void)
{
	bool has = false;
	enum copy_status s = COPY_OK;

	/* A standby that lags does not have it yet. */
	keeper.compare = keeper.suspect && keeper.look.log.number < keeper.suspect;
	if (keeper.suspect && !keeper.compare)
		s = copy_has(keeper.copy, keeper.suspect, &has);
	keeper.suspect = 0;
	if (s != COPY_OK)
		keeper_copy_failed(s);
	else if (has)
		keeper_begin_rebuild(
			"the newest row of the copy is not in the log, which never deleted it");
	return s == COPY_OK && !has;
}

static void tell_connected(void)
{
	if (*keeper.fault || !*copy_state(keeper.copy)->where)
		log_info("connected to %s (%s)", source_where(keeper.source),
			keeper.standby ? "standby" : "primary");
	*keeper.fault = *keeper.told = '\0';
	keeper.pause_ms = KEEPER_PAUSE_LEAST_MS;
	source_first_host(keeper.source);
}

static enum copy_status write_state(void)
{
	struct copy_state *state = copy_state(keeper.copy);
	const struct look *l = &keeper.look;
	enum copy_status s = COPY_OK;

	if (!copy_in_transaction(keeper.copy))
		s = copy_begin(keeper.copy);
	if (s != COPY_OK)
		return s;
	if (l->log.number > state->cursor)
		state->cursor = l->log.number;
	if (l->highest > state->cursor)
		state->cursor = l->highest;
	if (l->last_base > state->cursor)
		state->cursor = l->last_base;
	if (l->changed > state->changed)
		state->changed = l->changed;
	/* A standby learns of a takeover only when the new primary has numbered something. */
	if (l->base)
		state->timeline = l->log.last;
	state->max_stale_ms = keeper.config->max_stale_ms;
	snprintf(state->where, sizeof(state->where), "%s", source_where(keeper.source));
	note_complete(state);
	s = copy_commit(keeper.copy);
	keeper.written_ms = clock_ms();
	return s;
}

/* --once: everything is there. */
static void end_once(void)
{
	log_info("%s has %" PRId64 " rows, up to number %" PRId64, keeper.config->db,
		copy_rows(keeper.copy), copy_state(keeper.copy)->cursor);
	keeper_stop_with(0);
}

void keeper_finish_look(void)
{
	struct copy_state *state = copy_state(keeper.copy);
	int64_t took_ms = clock_unix_ms() - keeper.look.began_ms;
	enum copy_status s = COPY_OK;

	keeper.counted.looks_total++;
	keeper.standby = keeper.look.log.flags & CHANGE_FROM_STANDBY;
	if (!is_right_source(state) || (keeper.look.base && !take_back(state)) ||
		!is_suspect_gone())
		return;
	tell_connected();
	/* Also at once after a connection, so that rowtail's status page names the server. */
	if (copy_in_transaction(keeper.copy) || clock_ms() - keeper.written_ms >= KEEPER_BEAT_MS ||
		!*state->where || keeper.config->once)
		s = write_state();
	if (s != COPY_OK) {
		keeper_copy_failed(s);
		return;
	}
	keeper.counted.rows_total += (uint64_t)keeper.look.rows;
	if (took_ms > LONG_MS)
		log_info("caught up: %" PRId64 " rows in %.1f s", keeper.look.rows,
			(double)took_ms / 1000);
	if (keeper.config->once) {
		keeper_prune();
		end_once();
		return;
	}
	keeper_rest();
}

/* --- a copy is over --- */

/*
 * The copy before had rows that the log did not have. Whether a takeover lost them is known once
 * the new primary has published, which may have been before this copy was read.
 */
static int64_t lost_with_a_primary(const struct look *l)
{
	if (keeper.lost >= 0 || !l->base)
		return keeper.lost;
	return l->after < -keeper.lost ? l->base : 0;
}

void keeper_finish_copy(void)
{
	const struct look *l = &keeper.look;
	int64_t lost = lost_with_a_primary(l);
	struct copy_state state = {.timeline = l->log.last,
		.cursor = l->log.number > l->log.first ? l->log.number : l->log.first,
		.max_stale_ms = keeper.config->max_stale_ms,
		.looks = copy_state(keeper.copy)->looks + 1,
		.fresh_ms = l->began_ms,
		.lost_base = lost};
	/* A reader whose position is from before gets a gap, as if the rows had been taken back. */
	const struct change mark = {.kind = CHANGE_PRUNED, .channel = {"*", 1}, .last = lost};
	int64_t took_ms = progress_end();
	enum copy_status s;

	if (!l->has_log) {
		keeper_begin_again(
			"events_log is empty: run schema/postgresql.sql", "trying again");
		return;
	}
	if (lost > 0 && (s = copy_add(keeper.copy, &mark)) != COPY_OK) {
		keeper_copy_failed(s);
		return;
	}
	state.changed = state.cursor;
	snprintf(state.token, sizeof(state.token), "%s", l->token);
	snprintf(state.where, sizeof(state.where), "%s", source_where(keeper.source));
	keeper.phase = RESTING;
	if ((s = copy_replace(keeper.copy, &state)) != COPY_OK) {
		keeper_copy_failed(s);
		return;
	}
	keeper.rebuild = false;
	keeper.copying_ms = 0;
	keeper.lost = keeper.suspect = 0;
	keeper.counted.rebuilt_total++;
	keeper.counted.rows_total += (uint64_t)l->rows;
	log_info("%s is a copy of the log at %s: %" PRId64 " rows in %.1f s", keeper.config->db,
		source_where(keeper.source), l->rows, (double)took_ms / 1000);
	keeper_look();
}

void keeper_begin_copy(const struct change *size)
{
	enum copy_status s = copy_make(keeper.copy);
	int64_t total =
		size->first < 5000000 || size->last < size->first ? size->first : size->last;

	if (s != COPY_OK) {
		keeper_copy_failed(s);
		return;
	}
	keeper.look = (struct look){.began_ms = clock_unix_ms()};
	log_info("copying %" PRId64 " rows from %s", total, source_where(keeper.source));
	progress_begin(total);
	keeper.copying_ms = clock_ms();
	keeper_ask(COPYING, SOURCE_ALL, size->number, 0);
}
