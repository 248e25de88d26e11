#include "server/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "log/copied.h"
#include "log/gap.h"
#include "server/crew.h"
#include "server/facts.h"
#include "server/refusal.h"
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

/* About a copy that rowtail-mirror keeps. */
static void gather_copy(struct facts *f, const struct copied *copied)
{
	if (!copied->is_copy)
		return;
	facts_text(f, "copy_of", "copy of the log in PostgreSQL at",
		*copied->where ? copied->where : "not connected at the moment");
	facts_number(f, "copy_age_ms", "age of the copy, ms (-1: never complete)", copied->age_ms);
	facts_number(f, "copy_stale", "copy is older than --max-stale", copied->stale);
}

/* Everything on the status page, in its order. */
static void gather(struct facts *f, const struct page *p, const struct eventlog_bounds *bounds,
	const struct copied *copied, const char *trouble)
{
	f->count = 0;
	facts_text(f, "version", "version", ROWTAIL_VERSION);
	facts_number(f, "pid", "process", getpid());
	facts_number(f, "uptime_seconds", "uptime, seconds", (clock_ms() - p->started_ms) / 1000);
	facts_text(f, "db", "event log", p->config->db);
	facts_text(f, "table", "table", p->config->table);
	facts_text(f, "trouble", NULL, trouble);
	facts_text(f, "state", "state", trouble ? trouble : "can be read");
	if (trouble) {
		facts_text(f, "log_oldest_id", NULL, NULL);
		facts_text(f, "log_newest_id", NULL, NULL);
	} else {
		facts_number(f, "log_oldest_id", "oldest id", bounds->oldest);
		facts_number(f, "log_newest_id", "newest id", bounds->newest);
	}
	gather_copy(f, copied);
	facts_number(f, "processes", "processes", (int64_t)crew_size());
	facts_number(f, "streams", "streams open", (int64_t)crew_streams());
	facts_number(f, "max_streams", "connection limit", p->max_streams);
	facts_number(
		f, "streams_total", "streams so far", (int64_t)metrics_get(METRIC_STREAMS_TOTAL));
	facts_number(
		f, "records_sent_total", "records sent", (int64_t)metrics_get(METRIC_RECORDS_SENT));
	facts_number(f, "bytes_sent_total", "bytes sent", (int64_t)metrics_get(METRIC_BYTES_SENT));
	facts_ms(f, "delivery_p50_ms", "row seen to bytes written, median",
		metrics_delivery_quantile(0.5) * 1000);
	facts_ms(f, "delivery_p99_ms", "the same, 99 of 100 within",
		metrics_delivery_quantile(0.99) * 1000);
	facts_reasons(f, "gaps_total", "gaps", METRIC_GAPS, gap_names);
	facts_reasons(f, "refused_total", "refused", METRIC_REFUSED, refusal_names);
	facts_reasons(f, "streams_ended_total", "streams ended", METRIC_ENDED, leave_names);
}

static void status_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds = {0};
	const char *trouble = look_at_log(p, &bounds);
	struct copied copied;
	struct facts facts;

	copied_read(p->log, &copied);
	gather(&facts, p, &bounds, &copied, trouble);
	if (p->request == REQUEST_STATUS_JSON) {
		facts_json(out, &facts);
		return;
	}
	buffer_text(out,
		"<!doctype html><html lang=en><meta charset=utf-8>"
		"<meta name=viewport content='width=device-width'><meta name=color-scheme "
		"content='light dark'><meta http-equiv=refresh content=5><title>rowtail</title>"
		"<style>body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:40rem;"
		"padding:0 1rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;"
		"padding:.3rem 0;border-bottom:1px solid #8884;font-weight:400;"
		"overflow-wrap:anywhere}td{text-align:right;font-variant-numeric:tabular-nums}"
		"</style><h1>rowtail</h1><table>\n");
	facts_html(out, &facts);
	buffer_text(out, "</table></html>\n");
}

static void metrics_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds = {0};
	struct copied copied;
	struct metrics_now now = {.streams = crew_streams(),
		.uptime_s = (clock_ms() - p->started_ms) / 1000,
		.reasons = {[METRIC_GAPS] = gap_names,
			[METRIC_REFUSED] = refusal_names,
			[METRIC_ENDED] = leave_names}};

	now.database_ok = !look_at_log(p, &bounds);
	now.newest_id = now.database_ok ? bounds.newest : fanout_newest(p->fanout);
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
