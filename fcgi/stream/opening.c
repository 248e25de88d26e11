#include "stream/opening.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/copied.h"

enum {
	AHEAD_MS = 10000, /* how long to wait for a copy that is behind */
	LOOKS_AFTER = 2, /* see struct copied */
};

struct opening *opening_new(void)
{
	return calloc(1, sizeof(struct opening));
}

void opening_free(struct opening *o)
{
	if (o)
		buffer_free(&o->head);
	free(o);
}

static void begin_seek(struct opening *o, int64_t want, int64_t floor, int64_t last)
{
	o->seek = (struct eventlog_seek){.want = want, .floor = floor, .last = last};
}

bool opening_is_over(const struct opening *o)
{
	return o->done && !o->gap && o->ended && o->id >= o->ended;
}

/* Begins at the tail, with a gap if the client gave an invalid position. */
static enum eventlog_status begin_at_tail(
	struct opening *o, struct eventlog *log, const struct position *asked)
{
	enum eventlog_status e = eventlog_bounds(log, &o->bounds);

	if (e != EVENTLOG_OK)
		return e;
	o->id = o->bounds.newest;
	o->done = true;
	if (asked->kind == POSITION_NONE) {
		if (asked->tail > 0) {
			o->done = false;
			begin_seek(o,
				o->limit > 0 && asked->tail > o->limit ? o->limit : asked->tail, 0,
				asked->before > 0 ? asked->before - 1 : INT64_MAX);
		}
		return e;
	}
	o->gap = true;
	o->reason = asked->kind == POSITION_BEYOND ? GAP_FUTURE : GAP_MALFORMED;
	snprintf(o->requested, sizeof(o->requested), "%s", asked->text);
	return e;
}

/*
 * The position is above every id. If the log is a copy, the client may have come from another
 * machine, whose copy is ahead of this one. Then it waits, unless it has waited enough.
 */
static bool waits_for_copy(struct opening *o, const struct copied *copied)
{
	int64_t now_ms = clock_ms();

	if (!copied->is_copy)
		return false;
	if (o->waits_until_ms == 0) {
		o->waits_until_ms = now_ms + AHEAD_MS;
		o->looks = copied->looks + LOOKS_AFTER;
	}
	return now_ms < o->waits_until_ms && copied->looks < o->looks;
}

/* The position may be that of a row that a failover took back, on another machine. */
static enum eventlog_status check_taken_back(
	struct eventlog *log, int64_t position, struct eventlog_place *place)
{
	int64_t base;
	enum eventlog_status e;

	if (place->gap || place->bounds.newest >> COPIED_TIMELINE_BITS == 0)
		return EVENTLOG_OK;
	e = copied_was_lost(log, position, &base);
	if (e != EVENTLOG_OK || base == 0)
		return e;
	place->gap = true;
	place->reason = GAP_PRUNED;
	place->id = base <= place->bounds.newest ? base : position;
	return e;
}

static enum eventlog_status begin_at_position(struct opening *o, struct eventlog *log,
	const struct filter *f, const struct position *asked)
{
	struct eventlog_place place;
	struct copied copied;
	enum eventlog_status e;

	/* Reads the copy's state first, so that the place is at least as new as that state. */
	if (o->waits_until_ms && (e = copied_read(log, &copied)) != EVENTLOG_OK)
		return e;
	e = eventlog_place(log, f, asked->id, &place);
	if (e != EVENTLOG_OK)
		return e;
	if (place.gap && place.reason == GAP_FUTURE) {
		if (!o->waits_until_ms && (e = copied_read(log, &copied)) != EVENTLOG_OK)
			return e;
		if (waits_for_copy(o, &copied)) {
			o->id = asked->id;
			return EVENTLOG_OK;
		}
	}
	o->waits_until_ms = 0;
	if ((e = check_taken_back(log, asked->id, &place)) != EVENTLOG_OK)
		return e;
	o->id = place.id;
	o->gap = place.gap;
	o->reason = place.reason;
	o->deletion = place.pruned.deletion;
	o->gone = place.pruned.id;
	o->bounds = place.bounds;
	o->done = true;
	snprintf(o->requested, sizeof(o->requested), "%" PRId64, asked->id);
	/* Ids grow by at least one per row. So only then can there be more rows than the limit. */
	if (o->limit > 0 && place.bounds.newest - place.id > o->limit && !opening_is_over(o)) {
		o->done = false;
		begin_seek(o, o->limit + 1, place.id, INT64_MAX);
	}
	return e;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * A client that asks for the newest rows misses none of those deleted before, so it gets no gap for
 * them. It must get none for its position either, when it reconnects. It is still told of rows that
 * arrive and are deleted while the seek runs.
 */
static void pass_over_pruned(struct opening *o)
{
	int64_t id = smaller(o->seek.pruned.id, o->bounds.newest);

	if (o->seek.pruned.id <= o->bounds.newest)
		o->deletion = o->seek.pruned.deletion;
	if (o->seek.found > 0)
		id = smaller(id, o->seek.first - 1);
	if (id > o->id)
		o->id = id;
}

/* Looks for a row before the page that `before` asked for. */
static void look_for_older(struct opening *o)
{
	o->id = o->seek.id;
	o->found = o->seek.found;
	o->looks_older = true;
	o->done = o->seek.found < o->seek.want;
	begin_seek(o, 1, 0, o->seek.first - 1);
}

/* Uses the result of the seek: the place before the newest rows that were wanted. */
static void take_seek(struct opening *o)
{
	if (o->looks_older) {
		o->older = o->seek.found > 0;
		o->done = true;
		return;
	}
	if (o->before > 0) {
		look_for_older(o);
		return;
	}
	/* First find out if there is one row more than the limit. Then find the limit. */
	if (o->seek.want == o->limit + 1 && *o->requested) {
		o->done = o->seek.found <= o->limit;
		if (!o->done)
			begin_seek(o, o->limit, o->id, INT64_MAX);
		return;
	}
	o->done = true;
	if (*o->requested && !o->gap) {
		o->gap = true;
		o->reason = GAP_LIMIT;
	}
	o->id = o->seek.id;
	o->gone = o->seek.pruned.id;
	if (!*o->requested)
		pass_over_pruned(o);
}

enum eventlog_status opening_begin(struct opening *o, struct eventlog *log, const struct filter *f,
	const struct position *asked, int64_t max_replay)
{
	enum eventlog_status e;

	memset(o, 0, sizeof(*o));
	o->limit = max_replay;
	o->before = asked->before;
	if ((e = eventlog_ended(log, f, &o->ended)) != EVENTLOG_OK)
		return e;
	if (asked->kind == POSITION_AT)
		e = begin_at_position(o, log, f, asked);
	else
		e = begin_at_tail(o, log, asked);
	return e == EVENTLOG_OK && !o->done && !o->waits_until_ms ? opening_continue(o, log, f) : e;
}

/* Looks whether the copy has reached the position, if there was a commit. */
static enum eventlog_status continue_waiting(
	struct opening *o, struct eventlog *log, const struct filter *f)
{
	const struct position asked = {.kind = POSITION_AT, .id = o->id};
	int64_t version;
	enum eventlog_status e = eventlog_version(log, &version);

	if (e != EVENTLOG_OK)
		return e;
	if (version == o->version && clock_ms() < o->waits_until_ms)
		return EVENTLOG_BUSY;
	o->version = version;
	e = begin_at_position(o, log, f, &asked);
	return e == EVENTLOG_OK && o->waits_until_ms ? EVENTLOG_BUSY : e;
}

enum eventlog_status opening_continue(
	struct opening *o, struct eventlog *log, const struct filter *f)
{
	enum eventlog_status e;

	if (o->waits_until_ms)
		return continue_waiting(o, log, f);
	e = eventlog_seek(log, f, &o->seek);
	if (e == EVENTLOG_OK && o->seek.done)
		take_seek(o);
	return e;
}
