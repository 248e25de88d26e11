#include "server/page.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "log/copied.h"
#include "log/gap.h"
#include "server/crew.h"
#include "server/refusal.h"
#include "server/status.h"
#include "server/vitals.h"
#include "stream/leave.h"
#include "stream/tail.h"

enum { BODY_MAX = 256 * 1024 };

/*
 * Reads the log's bounds now, so that the pages are right even when nobody is connected. Returns
 * NULL, or why the log can't be read.
 */
static const char *look_at_log(const struct page *p, struct eventlog_bounds *bounds)
{
	enum eventlog_file file = eventlog_file(p->log, true);

	/* While clients are connected, the tail handles a replaced file and logs it. */
	if ((file == EVENTLOG_REPLACED || file == EVENTLOG_STALE) && fanout_count(p->fanout) == 0)
		eventlog_close(p->log);
	if (file == EVENTLOG_GONE)
		return "its file is gone; put it back, or create a new one";
	if (eventlog_open(p->log) == EVENTLOG_OK && eventlog_bounds(p->log, bounds) == EVENTLOG_OK)
		return tail_trouble();
	return eventlog_error(p->log);
}

/* Seconds since a row was created; -1: unknown. */
static int64_t age_s_of(const struct page *p, int64_t id)
{
	int64_t created_s;

	if (id <= 0 || eventlog_created(p->log, id, &created_s) != EVENTLOG_OK || created_s < 0)
		return -1;
	return clock_unix() > created_s ? clock_unix() - created_s : 0;
}

static void status_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds = {0};
	const char *trouble = look_at_log(p, &bounds);
	struct copied copied;
	struct status status = {.config = p->config,
		.fanout = p->fanout,
		.trouble = trouble,
		.copied = &copied,
		.oldest_id = bounds.oldest,
		.newest_id = bounds.newest,
		.oldest_age_s = trouble ? -1 : age_s_of(p, bounds.oldest),
		.newest_age_s = trouble ? -1 : age_s_of(p, bounds.newest),
		.max_streams = p->max_streams,
		.started_ms = p->started_ms};

	copied_read(p->log, &copied);
	if (p->request == REQUEST_STATUS_JSON)
		status_json(out, &status);
	else
		status_html(out, &status);
}

static void metrics_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds = {0};
	struct copied copied;
	struct metrics_now now = {.streams = crew_streams(),
		.max_streams = p->max_streams,
		.oldest_age_s = -1,
		.newest_age_s = -1,
		.lag_rows = crew_lag(),
		.wal_bytes = vitals_wal(p->config->db),
		.memory_bytes = vitals_memory(),
		.descriptors = vitals_descriptors(),
		.max_descriptors = vitals_max_descriptors(),
		.uptime_s = (clock_ms() - p->started_ms) / 1000,
		.reasons = {[METRIC_GAPS] = gap_names,
			[METRIC_REFUSED] = refusal_names,
			[METRIC_ENDED] = leave_names}};

	now.database_ok = !look_at_log(p, &bounds);
	now.newest_id = now.database_ok ? bounds.newest : fanout_newest(p->fanout);
	now.oldest_id = now.database_ok ? bounds.oldest : now.newest_id + 1;
	if (now.database_ok) {
		now.oldest_age_s = age_s_of(p, bounds.oldest);
		now.newest_age_s = age_s_of(p, bounds.newest);
	}
	metrics_text(out, &now);
	if (copied_read(p->log, &copied) != EVENTLOG_OK || !copied.is_copy)
		return;
	buffer_printf(out,
		"# HELP rowtail_copy_age_seconds How long ago rowtail-mirror's copy was complete; "
		"-1: "
		"never.\n# TYPE rowtail_copy_age_seconds gauge\nrowtail_copy_age_seconds %.3f\n"
		"# HELP rowtail_copy_stale 1 while the copy is older than --max-stale.\n"
		"# TYPE rowtail_copy_stale gauge\nrowtail_copy_stale %d\n",
		copied.age_ms < 0 ? -1 : (double)copied.age_ms / 1000, copied.stale);
}

static int health_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds;
	struct copied copied;
	const char *trouble;

	if (p->closing) {
		buffer_text(out, "rowtail is shutting down\n");
		return 503;
	}
	trouble = look_at_log(p, &bounds);
	if (!trouble && copied_read(p->log, &copied) == EVENTLOG_OK && copied.stale) {
		buffer_printf(out,
			"the copy of the log in PostgreSQL is %.1f s old: rowtail-mirror does not "
			"run, "
			"or cannot reach it\n",
			(double)copied.age_ms / 1000);
		return 503;
	}
	if (!trouble) {
		buffer_text(out, "ok\n");
		return 200;
	}
	buffer_printf(out, "the event log cannot be read: %s\n", trouble);
	return 503;
}

void page_write(struct buffer *out, const struct page *p, const struct answer_cors *cors)
{
	static const char no_memory[] = "rowtail has no memory for this page; try again later\n";
	struct buffer body;
	struct answer answer = {.status = 200, .head_only = p->head_only};

	buffer_init(&body, BODY_MAX);
	if (p->request == REQUEST_METRICS) {
		metrics_page(&body, p);
		answer.type = "text/plain; version=0.0.4; charset=utf-8";
	} else if (p->request == REQUEST_STATUS || p->request == REQUEST_STATUS_JSON) {
		status_page(&body, p);
		answer.type = p->request == REQUEST_STATUS ? "text/html; charset=utf-8"
							   : "application/json";
		answer.policy = p->request == REQUEST_STATUS ? status_policy() : NULL;
	} else {
		answer.status = health_page(&body, p);
	}
	answer.body = (const char *)body.data;
	answer.body_length = body.length;
	if (body.failed)
		answer = (struct answer){.status = 503,
			.retry_after_s = 1,
			.head_only = p->head_only,
			.body = no_memory,
			.body_length = sizeof(no_memory) - 1};
	answer_write(out, &answer, cors);
	buffer_free(&body);
}
