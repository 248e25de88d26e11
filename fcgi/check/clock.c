/* Do the clocks of this machine and of the writers agree? */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "check/query.h"

enum {
	TOLERATED_S = 60,
	ROWS = 1000, /* the newest */
	/* 2024-01-01: older than this program, so a clock before it was never set. */
	BUILT_S = 1704067200,
};

/* A duration for people. */
static const char *tell_seconds(char *out, size_t size, int64_t seconds)
{
	if (seconds < 120)
		snprintf(out, size, "%lld seconds", (long long)seconds);
	else if (seconds < 7200)
		snprintf(out, size, "%lld minutes", (long long)seconds / 60);
	else if (seconds < INT64_C(172800))
		snprintf(out, size, "%lld hours", (long long)seconds / 3600);
	else
		snprintf(out, size, "%lld days", (long long)seconds / 86400);
	return out;
}

/* What the newest rows tell. */
struct seen {
	int64_t ahead_s, ahead_id, ahead_count; /* the one that is furthest in the future */
	int64_t back_s, back_id; /* the one that is furthest before the row below it */
	int64_t newest_s; /* the age of the newest; it may be negative */
	bool any;
};

/* Columns: id, seconds since 1970. The newest row comes first. */
static void look(struct seen *seen, struct checking *c, int64_t now_s)
{
	struct statement *st;
	int64_t id, at_s, later_id = 0, later_s = INT64_MAX;

	if (database_prepare(c->db, &st,
		    "SELECT id, CAST(strftime('%s', created_at) AS INTEGER) FROM events WHERE "
		    "strftime('%s', created_at) IS NOT NULL ORDER BY id DESC LIMIT 1000") !=
		DATABASE_OK)
		return;
	while (query_next(c, st)) {
		id = database_int(st, 0);
		at_s = database_int(st, 1);
		if (!seen->any)
			seen->newest_s = now_s - at_s;
		if (at_s - now_s > TOLERATED_S && at_s - now_s > seen->ahead_s) {
			seen->ahead_s = at_s - now_s;
			seen->ahead_id = id;
		}
		seen->ahead_count += at_s - now_s > TOLERATED_S;
		if (seen->any && at_s - later_s > TOLERATED_S && at_s - later_s > seen->back_s) {
			seen->back_s = at_s - later_s;
			seen->back_id = later_id;
		}
		seen->any = true;
		later_id = id;
		later_s = at_s;
	}
	database_finalize(st);
}

static void tell(struct checking *c, const struct seen *seen)
{
	char duration[64];

	if (seen->ahead_count)
		report_note(c->report, NULL,
			"%lld of the newest rows are from the future (id %lld by %s): the clock of "
			"a "
			"writer or of this machine is wrong, or a writer sets created_at to local "
			"time; check both with timedatectl. keep_seconds of retention keeps such "
			"rows "
			"longer, and all rows behind them",
			(long long)seen->ahead_count, (long long)seen->ahead_id,
			tell_seconds(duration, sizeof(duration), seen->ahead_s));
	if (seen->back_id)
		report_note(c->report, NULL,
			"row %lld was created %s before the row below it: a clock was set back, or "
			"the "
			"writers' clocks differ, or a writer sets created_at; check each with "
			"timedatectl",
			(long long)seen->back_id,
			tell_seconds(duration, sizeof(duration), seen->back_s));
	if (!seen->ahead_count && !seen->back_id && seen->any)
		report_ok(c->report, "the newest row was created %s ago",
			tell_seconds(duration, sizeof(duration),
				seen->newest_s > 0 ? seen->newest_s : 0));
}

void section_clock(struct checking *c)
{
	struct seen seen = {0};
	int64_t now_s = (int64_t)time(NULL);

	if (now_s < BUILT_S) {
		report_wrong(c->report, EX_CONFIG, "timedatectl set-ntp true",
			"this machine's clock was never set: the end of grants and JWTs depends on "
			"it");
		return;
	}
	/* In a table that is not ours, created_at is only for the envelope. */
	if (!c->ours)
		return;
	look(&seen, c, now_s);
	tell(c, &seen);
}
