/*
 * rowtail-publish: inserts what clients POST into the event log, as a FastCGI responder or a CGI
 * program. rowtail itself never writes. This file only sets the order: options, sockets, database,
 * loop, drain.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "access/access.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "base/report.h"
#include "base/signals.h"
#include "config/program.h"
#include "log/eventlog.h"
#include "protocol/arrival.h"
#include "protocol/parse.h"
#include "publish/publishing.h"
#include "publish/store.h"
#include "server/accept.h"
#include "server/cgi.h"
#include "server/connection.h"
#include "server/listen.h"
#include "server/responder.h"

enum {
	CONNECTIONS = 1000,
	DRAIN_MS = 4000, /* for requests that have arrived */
};

extern char **environ;

static struct config config;
static struct listeners listeners;
static struct responder responder;
static struct publishing publishing = {.config = &config, .closing = &responder.closing};
static struct loop_timer drain;

static void stop_when_empty(void)
{
	if (responder.closing && connections_count() == 0)
		loop_stop();
}

static void connection_ended(void)
{
	accept_go_on();
	stop_when_empty();
}

static void drain_due(struct loop_timer *timer)
{
	loop_stop();
}

static void stop(int signal)
{
	if (responder.closing)
		return;
	log_info("%s: ending", signals_name(signal));
	responder.closing = true;
	accept_stop();
	listen_close_own(&listeners);
	loop_timer_start(&drain, DRAIN_MS, 0);
	connections_let_go();
	stop_when_empty();
}

static void tell_ways(void) __attribute__((noreturn));

static void tell_ways(void)
{
	errx(EX_USAGE,
		"there is nothing to serve. rowtail-publish is started in one of these ways:\n"
		"  by a web server, spawn-fcgi or systemd, with a listening socket (FastCGI);\n"
		"  by hand or as a service, with --listen PATH, HOST:PORT or :PORT (FastCGI);\n"
		"  by a web server as a CGI program (GATEWAY_INTERFACE is set).\n"
		"Each needs --db PATH. See rowtail-publish --help for the options.");
}

/* The exit status for a database that cannot be used. */
static int unusable(void)
{
	return access(config.db, R_OK) < 0 ? EX_NOINPUT : EX_CONFIG;
}

/* Returns the exit status. */
static int check(void)
{
	struct report report = {
		.program = "rowtail-publish", .does = "publish", .json = config.json};
	char sentence[STORE_SENTENCE_MAX];
	bool writable;

	report_begin(&report, config.db);
	report_section(&report, "database", true);
	writable = store_try(publishing.store, sentence) == STORE_DONE;
	if (writable)
		report_ok(&report, "%s can be written, and has the tables of schema/rowtail.sql",
			config.db);
	else
		report_wrong(&report, unusable(), NULL, "%s: %s", config.db, sentence);
	report_section(&report, "publishers", writable);
	if (writable && store_try_publishers(publishing.store, sentence) != STORE_DONE) {
		if (config.jwt_key)
			report_note(&report, NULL, "%s: %s", config.db, sentence);
		else
			report_wrong(&report, EX_CONFIG, NULL, "%s: %s", config.db, sentence);
	} else if (writable) {
		report_ok(&report, "the table publishers, or a JWT, says who may publish");
	}
	report_end(&report);
	return report.status;
}

static void started_bare(void)
{
	if (!listen_is_served())
		tell_ways();
}

static void load_config(int argc, char **argv)
{
	char libraries[128];
	const struct program program = {&setting_publish, libraries, started_bare};

	snprintf(libraries, sizeof(libraries), "SQLite %s, libuv %s", database_version(),
		loop_version());
	program_begin(&program, &config, argc, argv);
	config.table = "events";
}

static void open_all(void)
{
	char sentence[STORE_SENTENCE_MAX];
	int status = EX_CONFIG;

	publishing.store = store_new(config.db, config.wait_ms);
	publishing.log = eventlog_new(config.db, config.table);
	if (!publishing.store || !publishing.log)
		err(EX_OSERR, "starting");
	if (config.action == CONFIG_CHECK)
		exit(check());
	/* A CGI process answers with a status instead. */
	if (listeners.kind == LISTEN_SOCKETS &&
		store_open(publishing.store, sentence) == STORE_FAULT) {
		listen_close(&listeners);
		errx(unusable(), "%s: %s", config.db, sentence);
	}
	publishing.access = access_new(
		&config, &access_publishing, publishing.log, &status, sentence, sizeof(sentence));
	if (!publishing.access) {
		listen_close(&listeners);
		errx(status, "%s", sentence);
	}
	publishing_init(&publishing);
}

static void serve_sockets(void)
{
	responder.max_streams = accept_raise_limit(CONNECTIONS);
	connections_init(&responder);
	connections_on_end(connection_ended);
	if (!accept_start(&listeners))
		err(EX_OSERR, "starting");
	log_info("rowtail-publish %s writes %s", ROWTAIL_VERSION, config.db);
	loop_run();
	connections_close_all();
}

static void serve_cgi(void)
{
	if (cgi_begin(&responder, environ))
		loop_run();
	cgi_close();
}

int main(int argc, char **argv)
{
	char sentence[512];

	load_config(argc, argv);
	signals_hold();
	if (config.action == CONFIG_SERVE &&
		!listen_open(&listeners, &config, sentence, sizeof(sentence)))
		errx(EX_CONFIG, "%s", sentence);
	if (config.action == CONFIG_SERVE && listeners.kind == LISTEN_NOWHERE)
		tell_ways();
	srandom((unsigned)(clock_us() ^ (int64_t)getpid() << 16));
	arrival_allow((size_t)config.max_request);
	responder.config = &config;
	responder.respond = publishing_respond;
	responder.body_max = (size_t)config.max_request;
	responder.started_ms = clock_ms();
	if (!loop_init() || !signals_begin(stop) || !parse_init())
		err(EX_OSERR, "starting");
	loop_timer_init(&drain, drain_due, NULL);
	open_all();
	if (listeners.kind == LISTEN_SOCKETS)
		serve_sockets();
	else
		serve_cgi();
	listen_close(&listeners);
	access_free(publishing.access);
	eventlog_free(publishing.log);
	store_free(publishing.store);
	config_free(&config);
	return 0;
}
