/* Are old rows deleted? */
#include <stdio.h>
#include <string.h>

#include "check/query.h"

enum {
	GROWN_ROWS = 100000, /* without retention, from so many on */
	COUNTED_ROWS = 1000000, /* counting more takes long */
	DUE_MAX = 1000,
	TRIGGERS = 7, /* on events */
};

/* How many rows the table has at most. */
static int64_t rows(const struct checking *c)
{
	return c->bounds.newest - c->bounds.oldest + 1;
}

/* No rule deletes anything. Perhaps a program of the application's does. */
static void check_growth(struct checking *c)
{
	char cure[REPORT_CURE_MAX];

	if (rows(c) < GROWN_ROWS)
		report_ok(c->report, "no rule deletes old rows, and there are few");
	else if (query_any(c, "SELECT 1 FROM events_pruned", NULL))
		report_ok(c->report,
			"no rule deletes old rows, but somebody has deleted some: there are %lld "
			"ids",
			(long long)rows(c));
	else
		report_note(c->report, cure_schema(cure, c, "retention.sql"),
			"events has up to %lld rows, and nothing has ever deleted one; with "
			"retention.sql, "
			"INSERT INTO retention(keep_rows) VALUES (100000) keeps the newest",
			(long long)rows(c));
}

/* retention.sql has not run to its end, or somebody has dropped a trigger. */
static bool check_triggers(struct checking *c)
{
	char cure[REPORT_CURE_MAX];
	int64_t count;

	query_int(c,
		"SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = "
		"'events' AND name IN ('retention_whole', 'retention_quiet', 'retention_inserted', "
		"'retention_counted', 'retention_channel_counted', 'retention_deleted', "
		"'retention_channel_deleted')",
		&count);
	/* section_schema() reports a log of 0.1.0, which has other triggers. */
	if (count == TRIGGERS ||
		!query_any(c, "SELECT 1 FROM sqlite_master WHERE name = 'retention_counts'", NULL))
		return true;
	report_note(c->report, cure_schema(cure, c, "retention.sql"),
		"retention does not run: %lld of its %d triggers are missing",
		(long long)(TRIGGERS - count), TRIGGERS);
	return false;
}

/* Rows that were deleted without running the triggers are still counted. */
static void check_count(struct checking *c)
{
	char cure[REPORT_CURE_MAX];
	int64_t counted, there;

	if (rows(c) > COUNTED_ROWS ||
		!query_int(c,
			"SELECT CASE WHEN counted THEN (SELECT row_count FROM retention_counts "
			"WHERE number = 1) ELSE (SELECT sum(row_count) FROM retention_counts WHERE "
			"number > 1) END FROM retention_state WHERE counted OR channels",
			&counted) ||
		!query_int(c, "SELECT count(*) FROM events", &there) || counted == there)
		return;
	report_note(c->report, cure_schema(cure, c, "retention.sql"),
		"retention counts %lld rows, and there are %lld: somebody inserted or deleted "
		"without "
		"running the triggers; retention.sql counts again",
		(long long)counted, (long long)there);
}

/* Each INSERT deletes 8 rows of a rule. So only a new rule, or a log without INSERTs, has more. */
static void check_due(struct checking *c)
{
	char cure[REPORT_CURE_MAX];
	char first[256];
	int64_t due;

	query_int(c,
		"SELECT count(*) FROM (SELECT 1 FROM retention_due WHERE too_many > 8 OR "
		"julianday(not_before) - julianday(oldest) > 1.0 / 24 LIMIT 1000)",
		&due);
	if (!due) {
		report_ok(c->report, "the rules of retention hold");
		return;
	}
	query_text(c,
		"SELECT CASE channel WHEN '' THEN 'the log as a whole' ELSE 'channel ' || channel "
		"END "
		"|| CASE WHEN too_many > 8 THEN ': ' || too_many || ' rows too many' ELSE ': the "
		"oldest "
		"row is of ' || oldest END FROM retention_due WHERE too_many > 8 OR "
		"julianday(not_before) - julianday(oldest) > 1.0 / 24",
		first, sizeof(first));
	snprintf(cure, sizeof(cure),
		"until sqlite3 -cmd '.timeout 10000' %s 'INSERT INTO retention_step VALUES (1000); "
		"SELECT count(*) FROM retention_due;' | grep -qx 0; do sleep 0.1; done",
		c->word);
	report_note(c->report, cure,
		"the limits of retention are exceeded, in %lld%s cases (%s): each INSERT deletes a "
		"few "
		"rows, so run this once, or from cron if little is inserted",
		(long long)due, due == DUE_MAX ? " or more" : "", first);
}

void section_retention(struct checking *c)
{
	if (!c->ours || c->is_copy)
		return;
	if (!query_any(c, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'retention'",
		    NULL) ||
		!query_any(c, "SELECT 1 FROM retention", NULL)) {
		check_growth(c);
		return;
	}
	if (!check_triggers(c))
		return;
	check_count(c);
	check_due(c);
}
