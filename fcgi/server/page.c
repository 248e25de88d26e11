#include "server/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "log/gap.h"
#include "server/crew.h"
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
	enum eventlog_file file = eventlog_file(p->log);

	/* While clients are connected, the tail handles a replaced file and logs it. */
	if ((file == EVENTLOG_REPLACED || file == EVENTLOG_STALE) && fanout_count(p->fanout) == 0)
		eventlog_close(p->log);
	if (file == EVENTLOG_GONE)
		return "its file is gone; put it back, or create a new one";
	if (eventlog_open(p->log) == EVENTLOG_OK && eventlog_bounds(p->log, bounds) == EVENTLOG_OK)
		return tail_trouble();
	return eventlog_error(p->log);
}

static void html(struct buffer *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			buffer_text(out, "&lt;");
			break;
		case '>':
			buffer_text(out, "&gt;");
			break;
		case '&':
			buffer_text(out, "&amp;");
			break;
		case '"':
			buffer_text(out, "&quot;");
			break;
		default:
			buffer_append(out, text, 1);
		}
}

static void row_text(struct buffer *out, const char *name, const char *value)
{
	buffer_printf(out, "<tr><th scope=row>%s<td>", name);
	html(out, value);
	buffer_text(out, "\n");
}

static void row_number(struct buffer *out, const char *name, int64_t value)
{
	buffer_printf(out, "<tr><th scope=row>%s<td>%" PRId64 "\n", name, value);
}

static void row_ms(struct buffer *out, const char *name, double seconds)
{
	buffer_printf(out, "<tr><th scope=row>%s<td>%.3g ms\n", name, seconds * 1000);
}

static void reason_rows(
	struct buffer *out, enum metric_by_reason which, const char *what, const char *const *names)
{
	for (unsigned i = 0; names[i]; i++)
		if (metrics_get_reason(which, i))
			buffer_printf(out, "<tr><th scope=row>%s: %s<td>%" PRIu64 "\n", what,
				names[i], metrics_get_reason(which, i));
}

static void status_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds = {0};
	const char *trouble = look_at_log(p, &bounds);

	buffer_text(out,
		"<!doctype html><html lang=en><meta charset=utf-8>"
		"<meta name=viewport content='width=device-width'><meta name=color-scheme "
		"content='light dark'><meta http-equiv=refresh content=5><title>rowtail</title>"
		"<style>body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:40rem;"
		"padding:0 1rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;"
		"padding:.3rem 0;border-bottom:1px solid #8884;font-weight:400;"
		"overflow-wrap:anywhere}td{text-align:right;font-variant-numeric:tabular-nums}"
		"</style><h1>rowtail</h1><table>\n");
	row_text(out, "version", ROWTAIL_VERSION);
	row_number(out, "process", getpid());
	row_number(out, "uptime, seconds", (clock_ms() - p->started_ms) / 1000);
	row_text(out, "event log", p->config->db);
	row_text(out, "table", p->config->table);
	row_text(out, "state", trouble ? trouble : "can be read");
	if (!trouble) {
		row_number(out, "oldest id", bounds.oldest);
		row_number(out, "newest id", bounds.newest);
	}
	row_number(out, "processes", (int64_t)crew_size());
	row_number(out, "streams open", (int64_t)crew_streams());
	row_number(out, "connection limit", p->max_streams);
	row_number(out, "streams so far", (int64_t)metrics_get(METRIC_STREAMS_TOTAL));
	row_number(out, "records sent", (int64_t)metrics_get(METRIC_RECORDS_SENT));
	row_number(out, "bytes sent", (int64_t)metrics_get(METRIC_BYTES_SENT));
	row_ms(out, "row seen to bytes written, median", metrics_delivery_quantile(0.5));
	row_ms(out, "the same, 99 of 100 within", metrics_delivery_quantile(0.99));
	reason_rows(out, METRIC_REFUSED, "refused", refusal_names);
	reason_rows(out, METRIC_ENDED, "streams ended", leave_names);
	buffer_text(out, "</table></html>\n");
}

static void metrics_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds = {0};
	struct metrics_now now = {.streams = crew_streams(),
		.uptime_s = (clock_ms() - p->started_ms) / 1000,
		.reasons = {[METRIC_GAPS] = gap_names,
			[METRIC_REFUSED] = refusal_names,
			[METRIC_ENDED] = leave_names}};

	now.database_ok = !look_at_log(p, &bounds);
	now.newest_id = now.database_ok ? bounds.newest : fanout_newest(p->fanout);
	metrics_text(out, &now);
}

static int health_page(struct buffer *out, const struct page *p)
{
	struct eventlog_bounds bounds;
	const char *trouble;

	if (p->closing) {
		buffer_text(out, "rowtail is shutting down\n");
		return 503;
	}
	if (!(trouble = look_at_log(p, &bounds))) {
		buffer_text(out, "ok\n");
		return 200;
	}
	buffer_printf(out, "the event log cannot be read: %s\n", trouble);
	return 503;
}

void page_write(struct buffer *out, const struct page *p, const struct answer_cors *cors)
{
	struct buffer body;
	struct answer answer = {.status = 200, .head_only = p->head_only};

	buffer_init(&body, BODY_MAX);
	if (p->request == REQUEST_METRICS) {
		metrics_page(&body, p);
		answer.type = "text/plain; version=0.0.4; charset=utf-8";
	} else if (p->request == REQUEST_STATUS) {
		status_page(&body, p);
		answer.type = "text/html; charset=utf-8";
	} else {
		answer.status = health_page(&body, p);
	}
	answer.body = (const char *)body.data;
	answer.body_length = body.length;
	answer_write(out, &answer, cors);
	buffer_free(&body);
}
