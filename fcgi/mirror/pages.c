#include "mirror/pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "mirror/keeper.h"
#include "server/accept.h"
#include "server/connection.h"
#include "server/listen.h"
#include "server/responder.h"

enum { BODY_MAX = 64 * 1024, CONNECTIONS = 100 };

static struct responder responder;
static struct listeners listeners;
static const char *none[] = {NULL};
static struct config served; /* the mirror's, with what the HTTP server asks for */

static void number(
	struct buffer *out, const char *name, const char *type, const char *help, double value)
{
	buffer_printf(out,
		"# HELP rowtail_mirror_%s %s\n# TYPE rowtail_mirror_%s %s\n"
		"rowtail_mirror_%s %.15g\n",
		name, help, name, type, name, value);
}

static void metrics(struct buffer *out, const struct keeper_view *v)
{
	number(out, "connected", "gauge", "1 while there is a connection to PostgreSQL.",
		v->connected);
	number(out, "standby", "gauge", "1 if that server is a standby.",
		v->connected && v->standby);
	number(out, "since_seconds", "gauge",
		"When it was last connected or disconnected, in seconds since 1970.",
		(double)v->since_ms / 1000);
	number(out, "lag_seconds", "gauge",
		"Age of the copy: how long ago it was complete; -1: never.",
		v->lag_ms < 0 ? -1 : (double)v->lag_ms / 1000);
	number(out, "lag_rows", "gauge", "Rows that were found and are not in the copy yet.",
		(double)v->lag_rows);
	number(out, "stale", "gauge", "1 while the copy is older than --max-stale.", v->stale);
	number(out, "copying", "gauge", "1 while a whole new copy is being made.", v->copying);
	number(out, "rows", "gauge", "Rows in the copy.", (double)v->rows);
	number(out, "position", "gauge", "The copy has everything up to this number.",
		(double)v->cursor);
	number(out, "rows_total", "counter", "Rows copied.", (double)v->rows_total);
	number(out, "looks_total", "counter", "Looks at PostgreSQL.", (double)v->looks_total);
	number(out, "connects_total", "counter", "Connections made.", (double)v->connects_total);
	number(out, "copies_total", "counter", "Whole new copies made.", (double)v->rebuilt_total);
	number(out, "taken_back_total", "counter",
		"How often rows were taken back that a failover lost.",
		(double)v->taken_back_total);
	number(out, "uptime_seconds", "gauge", "Seconds since the process started.",
		(double)(clock_ms() - responder.started_ms) / 1000);
}

/* Returns the status. */
static int health(struct buffer *out, const struct keeper_view *v)
{
	if (responder.closing)
		buffer_text(out, "rowtail-mirror is shutting down\n");
	else if (v->lag_ms < 0)
		buffer_printf(out, "there is no copy yet%s%s\n", *v->fault ? ": " : "", v->fault);
	else if (v->stale)
		buffer_printf(out, "the copy is %.1f s old%s%s\n", (double)v->lag_ms / 1000,
			*v->fault ? ": " : "", v->fault);
	else {
		buffer_text(out, "ok\n");
		return 200;
	}
	return 503;
}

static void status(struct buffer *out, const struct keeper_view *v)
{
	char since[32];
	time_t seconds = (time_t)(v->since_ms / 1000);
	struct tm utc;

	strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
	buffer_printf(out, "rowtail-mirror %s, process %ld\n", ROWTAIL_VERSION, (long)getpid());
	buffer_printf(out, "copy: %s, %" PRId64 " rows, up to number %" PRId64 "\n", served.db,
		v->rows, v->cursor);
	if (v->connected)
		buffer_printf(out, "PostgreSQL: %s (%s) since %s\n", v->where,
			v->standby ? "standby" : "primary", since);
	else
		buffer_printf(out, "PostgreSQL: not connected since %s: %s\n", since, v->fault);
	if (v->lag_ms < 0)
		buffer_text(out, "lag: there is no copy yet\n");
	else
		buffer_printf(out, "lag: %.1f s, %" PRId64 " rows%s\n", (double)v->lag_ms / 1000,
			v->lag_rows, v->stale ? "; stale" : "");
}

static void write_page(
	struct buffer *out, enum request_page which, bool head_only, const struct answer_cors *cors)
{
	struct answer answer = {.status = 200, .head_only = head_only};
	struct keeper_view view;
	struct buffer body;

	buffer_init(&body, BODY_MAX);
	keeper_show(&view);
	if (which == REQUEST_METRICS) {
		metrics(&body, &view);
		answer.type = "text/plain; version=0.0.4; charset=utf-8";
	} else if (which == REQUEST_STATUS) {
		status(&body, &view);
	} else {
		answer.status = health(&body, &view);
	}
	answer.body = (const char *)body.data;
	answer.body_length = body.length;
	answer_write(out, &answer, cors);
	buffer_free(&body);
}

bool pages_begin(const struct config *config, char *sentence, size_t size)
{
	served = *config;
	if (!config->pages)
		return true;
	served.http = served.trusted_proxies = served.allow_origins = none;
	served.http_path = "/";
	responder.config = &served;
	responder.page = write_page;
	responder.started_ms = clock_ms();
	if (!listen_open(&listeners, &served, sentence, size))
		return false;
	connections_init(&responder);
	connections_hold_at_most(CONNECTIONS);
	if (accept_start(&listeners))
		return true;
	snprintf(sentence, size, "the system refuses to watch the socket of --pages");
	return false;
}

void pages_end(void)
{
	responder.closing = true;
	if (!served.pages)
		return;
	accept_stop();
	connections_close_all();
	listen_close(&listeners);
}
