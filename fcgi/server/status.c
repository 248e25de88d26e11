#include "server/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/token.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/metrics.h"
#include "log/gap.h"
#include "protocol/wire.h"
#include "server/crew.h"
#include "server/facts.h"
#include "server/refusal.h"
#include "server/vitals.h"
#include "stream/leave.h"

enum { CHANNELS_SHOWN = 10, CHANNEL_MAX = 256 };

/* The bytes of a file of this folder, as a text. */
#define INCLUDE(name, file)                                                                        \
	extern const char name[];                                                                  \
	__asm__(".pushsection .rodata\n" #name ":\n.incbin \"server/" file                         \
		"\"\n.byte 0\n.popsection\n")

INCLUDE(status_style, "status.css");
INCLUDE(status_script, "status.js");

/* The channels with most streams. */
struct top {
	size_t count;
	struct {
		char name[CHANNEL_MAX];
		size_t streams;
	} list[CHANNELS_SHOWN];
};

static void take_channel(void *context, const char *channel, size_t length, size_t streams)
{
	struct top *top = context;
	size_t i = top->count;

	while (i > 0 && top->list[i - 1].streams < streams)
		i--;
	if (i == CHANNELS_SHOWN || length >= CHANNEL_MAX)
		return;
	if (top->count < CHANNELS_SHOWN)
		top->count++;
	memmove(top->list + i + 1, top->list + i, (top->count - i - 1) * sizeof(top->list[0]));
	memcpy(top->list[i].name, channel, length);
	top->list[i].name[length] = '\0';
	top->list[i].streams = streams;
}

static int64_t known(int64_t value)
{
	return value < 0 ? FACTS_UNKNOWN : value;
}

/* Records per second, and the worst latency of a second, in the last minute. */
static void gather_minute(struct facts *f)
{
	const struct history *h = vitals_history();
	size_t count = history_count(h, HISTORY_MINUTE);
	double records = 0, worst_ms = 0;

	for (size_t i = 0; i < count; i++) {
		const struct history_point *p = history_at(h, HISTORY_MINUTE, i);

		records += p->known ? (double)p->records_per_s : 0;
		worst_ms = p->known && (double)p->p99_ms > worst_ms ? (double)p->p99_ms : worst_ms;
	}
	facts_number(f, "records_per_second", "deliveries per second, last minute",
		count ? (int64_t)(records / (double)count + 0.5) : 0);
	facts_ms(f, "delivery_worst_p99_ms", "latency, worst second of the last minute", worst_ms);
}

static void gather_streams(struct facts *f, const struct status *s)
{
	uint64_t open = crew_streams(), most = history_most_streams(vitals_history());

	facts_heading(f, "Streams");
	facts_number(f, "streams", "streams open", (int64_t)open);
	facts_number(f, "streams_hour_most", "most in the last hour",
		(int64_t)(most > open ? most : open));
	facts_number(f, "max_streams", "connection limit", s->max_streams);
	facts_number(f, "lag_rows", "slowest reader, ids behind", crew_lag());
	gather_minute(f);
	facts_ms(f, "delivery_p50_ms", "latency since the start, median",
		metrics_delivery_quantile(0.5) * 1000);
	facts_ms(f, "delivery_p99_ms", "99 of 100 within", metrics_delivery_quantile(0.99) * 1000);
}

static void gather_log(struct facts *f, const struct status *s)
{
	bool well = !s->trouble;

	facts_heading(f, "Event log");
	facts_text(f, "db", "event log", s->config->db);
	facts_text(f, "table", "table", s->config->table);
	facts_text(f, "trouble", NULL, s->trouble);
	facts_text(f, "state", "state", well ? "can be read" : s->trouble);
	facts_number(f, "log_newest_id", "newest id", well ? s->newest_id : FACTS_UNKNOWN);
	facts_number(f, "log_newest_age_seconds", "its age, seconds", known(s->newest_age_s));
	facts_number(f, "log_oldest_id", "oldest id", well ? s->oldest_id : FACTS_UNKNOWN);
	facts_number(f, "log_oldest_age_seconds", "its age, seconds", known(s->oldest_age_s));
	facts_bytes(f, "wal_bytes", "write-ahead log", known(vitals_wal(s->config->db)));
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

static void gather_process(struct facts *f, const struct status *s)
{
	facts_heading(f, "Process");
	facts_text(f, "version", "version", ROWTAIL_VERSION);
	facts_number(f, "pid", "process", getpid());
	facts_number(f, "processes", "processes", (int64_t)crew_size());
	facts_number(f, "uptime_seconds", "uptime, seconds", (clock_ms() - s->started_ms) / 1000);
	facts_bytes(f, "resident_memory_bytes", "memory", known(vitals_memory()));
	facts_number(f, "open_descriptors", "descriptors open", known(vitals_descriptors()));
	facts_number(f, "max_descriptors", "descriptor limit", known(vitals_max_descriptors()));
	facts_number(f, "loop_stalls_total", "stalls of more than 100 ms",
		(int64_t)metrics_get(METRIC_LOOP_STALLS));
}

/* Everything on the page, in its order, except for the lists. */
static void gather(struct facts *f, const struct status *s)
{
	f->count = 0;
	gather_streams(f, s);
	gather_log(f, s);
	gather_copy(f, s->copied);
	gather_process(f, s);
	facts_heading(f, "Since the start");
	facts_number(
		f, "streams_total", "streams opened", (int64_t)metrics_get(METRIC_STREAMS_TOTAL));
	facts_number(
		f, "records_sent_total", "records sent", (int64_t)metrics_get(METRIC_RECORDS_SENT));
	facts_bytes(f, "bytes_sent_total", "bytes sent", (int64_t)metrics_get(METRIC_BYTES_SENT));
	facts_reasons(f, "gaps_total", "gaps", METRIC_GAPS, gap_names);
	facts_reasons(f, "refused_total", "refused", METRIC_REFUSED, refusal_names);
	facts_reasons(f, "streams_ended_total", "streams ended", METRIC_ENDED, leave_names);
}

static void html_channels(struct buffer *out, const struct fanout *fanout)
{
	struct top top = {0};

	fanout_channels(fanout, take_channel, &top);
	buffer_printf(out, "<section><h2>Channels with most streams%s</h2><table id=channels>\n",
		crew_size() > 1 ? ", in this process" : "");
	for (size_t i = 0; i < top.count; i++) {
		buffer_text(out, "<tr><th scope=row>");
		facts_escape(out, top.list[i].name);
		buffer_printf(out, "<td>%zu\n", top.list[i].streams);
	}
	buffer_text(out, "</table></section>\n");
}

static void html_line(void *context, const char *line)
{
	facts_escape(context, line);
	buffer_text(context, "\n");
}

void status_html(struct buffer *out, const struct status *s)
{
	struct facts facts;

	gather(&facts, s);
	buffer_printf(out,
		"<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
		"<meta name=viewport content='width=device-width, initial-scale=1'>\n"
		"<meta name=color-scheme content='light dark'><title>rowtail</title>\n"
		"<noscript><meta http-equiv=refresh content=5></noscript>\n"
		"<style>%s</style></head>\n<body><header><h1>rowtail</h1><p id=state class=%s "
		"role=status>",
		status_style, s->trouble ? "bad" : "good");
	facts_escape(out, s->trouble ? s->trouble : "The event log can be read");
	buffer_text(out, "</p></header>\n<main><div id=charts hidden></div>\n<div id=facts>\n");
	facts_html(out, &facts);
	html_channels(out, s->fanout);
	buffer_printf(out,
		"</div>\n<section><h2>Last lines of the log%s</h2>"
		"<pre id=log tabindex=0 aria-label='Last lines of the log'>",
		crew_size() > 1 ? " of this process" : "");
	log_recent(html_line, out);
	buffer_printf(out,
		"</pre></section></main>\n<footer>This page is for administrators: it names "
		"channels, and addresses and users in the log. Let the web server decide who may "
		"see it.</footer>\n<script>%s</script></body></html>\n",
		status_script);
}

static void json_channels(struct buffer *out, const struct fanout *fanout)
{
	struct top top = {0};

	fanout_channels(fanout, take_channel, &top);
	buffer_text(out, ",\"channels\":[");
	for (size_t i = 0; i < top.count; i++) {
		buffer_printf(out, "%s{\"channel\":", i ? "," : "");
		wire_json_string(out, top.list[i].name, strlen(top.list[i].name));
		buffer_printf(out, ",\"streams\":%zu}", top.list[i].streams);
	}
	buffer_text(out, "]");
}

struct lines {
	struct buffer *out;
	const char *comma;
};

static void json_line(void *context, const char *line)
{
	struct lines *lines = context;

	buffer_text(lines->out, lines->comma);
	wire_json_string(lines->out, line, strlen(line));
	lines->comma = ",";
}

static double streams_of(const struct history_point *p)
{
	return p->streams;
}

static double records_of(const struct history_point *p)
{
	return (double)p->records_per_s;
}

static double p50_of(const struct history_point *p)
{
	return (double)p->p50_ms;
}

static double p99_of(const struct history_point *p)
{
	return (double)p->p99_ms;
}

static double lag_of(const struct history_point *p)
{
	return p->lag;
}

static void json_series(struct buffer *out, enum history_span span)
{
	static const struct {
		const char *name;
		double (*value)(const struct history_point *p); /* below 0: none */
	} all[] = {{"streams", streams_of}, {"records_per_second", records_of}, {"p50_ms", p50_of},
		{"p99_ms", p99_of}, {"lag_rows", lag_of}};
	const struct history *h = vitals_history();

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		buffer_printf(out, ",\"%s\":[", all[i].name);
		for (size_t j = 0; j < history_count(h, span); j++) {
			const struct history_point *p = history_at(h, span, j);
			double value = p->known ? all[i].value(p) : -1;

			buffer_text(out, j ? "," : "");
			if (value < 0)
				buffer_text(out, "null");
			else
				buffer_printf(out, "%.6g", value);
		}
		buffer_text(out, "]");
	}
}

static void json_history(struct buffer *out)
{
	static const char *const names[] = {"minute", "hour", "day"};

	buffer_text(out, ",\"history\":{");
	for (int span = 0; span < HISTORY_SPANS; span++) {
		buffer_printf(out, "%s\"%s\":{\"step_seconds\":%" PRId64, span ? "," : "",
			names[span], history_step_ms(span) / 1000);
		json_series(out, span);
		buffer_text(out, "}");
	}
	buffer_text(out, "}");
}

void status_json(struct buffer *out, const struct status *s)
{
	struct lines lines = {out, ""};
	struct facts facts;

	gather(&facts, s);
	buffer_text(out, "{");
	facts_json(out, &facts);
	json_channels(out, s->fanout);
	json_history(out);
	buffer_text(out, ",\"log\":[");
	log_recent(json_line, &lines);
	buffer_text(out, "]}\n");
}

static unsigned hex_value(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The SHA-256 of a text in base64 (RFC 4648, section 4). 32 bytes: so it ends in one '='. */
static void add_hash(struct buffer *out, const char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char hex[TOKEN_HEX + 3];
	unsigned bits;

	token_hash(text, strlen(text), hex);
	hex[TOKEN_HEX] = hex[TOKEN_HEX + 1] = '0';
	for (size_t i = 0; i < TOKEN_HEX; i += 3) {
		bits = hex_value(hex[i]) << 8 | hex_value(hex[i + 1]) << 4 | hex_value(hex[i + 2]);
		buffer_append(out, &digits[bits >> 6], 1);
		if (i + 1 < TOKEN_HEX)
			buffer_append(out, &digits[bits & 63], 1);
	}
	buffer_text(out, "=");
}

const char *status_policy(void)
{
	static char policy[512];
	struct buffer out;

	if (*policy)
		return policy;
	buffer_init(&out, sizeof(policy) - 1);
	buffer_text(&out, "default-src 'none'; connect-src 'self'; script-src 'sha256-");
	add_hash(&out, status_script);
	buffer_text(&out, "'; style-src 'sha256-");
	add_hash(&out, status_style);
	buffer_text(&out, "'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'");
	/* Without memory, nothing at all may run. */
	if (out.failed)
		return "default-src 'none'";
	memcpy(policy, out.data, out.length);
	buffer_free(&out);
	return policy;
}
