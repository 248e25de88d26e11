/*
 * rowtail: follows a SQLite table and streams its rows as Server-Sent Events, as a FastCGI
 * responder, an HTTP server or a CGI program. This file only sets the order: options, log, signals,
 * sockets, loop, drain.
 */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "access/access.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "base/patience.h"
#include "base/signals.h"
#include "check/check.h"
#include "config/program.h"
#include "log/eventlog.h"
#include "protocol/parse.h"
#include "server/accept.h"
#include "server/cgi.h"
#include "server/connection.h"
#include "server/crew.h"
#include "server/follow.h"
#include "server/journal.h"
#include "server/listen.h"
#include "server/responder.h"
#include "server/slots.h"
#include "server/vitals.h"
#include "stream/fanout.h"
#include "stream/tail.h"
#include "track/track.h"

enum {
	DRAIN_MS = 4000, /* for streams to take their last record; 5 s in total are promised */
	SWEEP_LEAST_MS = 50,
	SWEEP_MOST_MS = 1000,
};

extern char **environ;

static struct config config;
static struct listeners listeners;
static struct responder responder;
static struct loop_turn turn;
static struct loop_timer sweep, drain, pulse;
static int64_t drained_ms; /* by clock_awake_ms(): when the time of the streams to end is over */

static void want_turn(void *context)
{
	loop_turn_want(&turn);
}

/*
 * Stops the loop if nothing is left: no stream, and no accepted connection that still waits for its
 * answer.
 */
static void stop_when_empty(void)
{
	if (responder.closing && fanout_count(responder.fanout) == 0 && connections_count() == 0)
		loop_stop();
}

static void connection_ended(void)
{
	crew_set_connections(connections_count());
	accept_go_on();
	stop_when_empty();
}

static void take_turn(struct loop_turn *t)
{
	fanout_turn(responder.fanout);
	stop_when_empty();
}

static int64_t sweep_ms(void)
{
	int64_t ms = config.heartbeat_ms / 8;

	return ms < SWEEP_LEAST_MS ? SWEEP_LEAST_MS : ms > SWEEP_MOST_MS ? SWEEP_MOST_MS : ms;
}

static void opened(void *context)
{
	crew_set_streams(fanout_count(responder.fanout));
	if (fanout_count(responder.fanout) > 1)
		return;
	loop_timer_start(&sweep, sweep_ms(), sweep_ms());
	loop_timer_start(&pulse, CLOCK_PULSE_MS, CLOCK_PULSE_MS);
}

static void waits(void *context)
{
	tail_set_pace();
}

static void left(void *context, struct subscriber *s)
{
	responder_left(&responder, s);
	crew_set_streams(fanout_count(responder.fanout));
	if (fanout_count(responder.fanout) == 0) {
		loop_timer_stop(&sweep);
		loop_timer_stop(&pulse);
	}
	stop_when_empty();
}

static bool recheck(
	void *context, struct subscriber *s, enum leave_reason *reason, int64_t *again_ms)
{
	return responder_recheck(&responder, s, reason, again_ms);
}

static void sweep_due(struct loop_timer *timer)
{
	access_recheck_begin(responder.access);
	fanout_sweep(responder.fanout);
	access_recheck_end(responder.access);
}

/* clock_awake_ms() must be called often. */
static void pulse_due(struct loop_timer *timer)
{
	clock_awake_ms();
}

static void drain_due(struct loop_timer *timer)
{
	if (clock_awake_ms() >= drained_ms)
		loop_stop();
}

static void stop(int signal)
{
	if (responder.closing)
		return;
	log_info("%s: ending %zu streams", signals_name(signal), fanout_count(responder.fanout));
	responder.closing = true;
	accept_stop();
	/* Frees our own sockets at once for the next process. */
	listen_close_own(&listeners);
	drained_ms = clock_awake_ms() + DRAIN_MS;
	loop_timer_start(&drain, CLOCK_PULSE_MS, CLOCK_PULSE_MS);
	fanout_shutdown(responder.fanout);
	connections_let_go();
	stop_when_empty();
}

static void tell_ways(void)
{
	errx(EX_USAGE,
		"there is nothing to serve. rowtail is started in one of these ways:\n"
		"  by a web server, spawn-fcgi or systemd, with a listening socket (FastCGI);\n"
		"  by hand or as a service, with --listen PATH, HOST:PORT or :PORT (FastCGI);\n"
		"  by hand or as a service, with --http HOST:PORT or :PORT (HTTP/1.1);\n"
		"  by a web server as a CGI program (GATEWAY_INTERFACE is set).\n"
		"Each needs --db PATH. See rowtail --help for the options.");
}

static void started_bare(void)
{
	if (!listen_is_served())
		tell_ways();
}

static void load_config(int argc, char **argv)
{
	char libraries[128];
	const struct program program = {&setting_rowtail, libraries, started_bare};

	snprintf(libraries, sizeof(libraries), "SQLite %s, libuv %s", database_version(),
		loop_version());
	program_begin(&program, &config, argc, argv);
	if (config.action == CONFIG_CHECK)
		exit(check_run(&config));
	if (config.action != CONFIG_SERVE)
		exit(track_run(&config));
}

static void open_sockets(void)
{
	char sentence[512];

	if (config.follow)
		return;
	if (!listen_open(&listeners, &config, sentence, sizeof(sentence)))
		errx(EX_CONFIG, "%s", sentence);
	if (listeners.kind == LISTEN_NOWHERE)
		tell_ways();
}

static void give_up(int status, const char *sentence) __attribute__((noreturn));

static void give_up(int status, const char *sentence)
{
	listen_close(&listeners);
	errx(status, "%s", sentence);
}

static void fail(void) __attribute__((noreturn));

/* The system refuses something that rowtail needs to start. */
static void fail(void)
{
	int error = errno;

	listen_close(&listeners);
	errno = error;
	err(EX_OSERR, "starting");
}

/* Reports an unreadable database now, by the exit status, instead of later in a broken stream. */
static void open_log(void)
{
	char waiting[PATH_MAX + 128];
	enum eventlog_status e;

	if (!(responder.log = eventlog_new(config.db, config.table)))
		fail();
	snprintf(waiting, sizeof(waiting),
		"rowtail: waiting for %s: its file system does not answer, or the disk is slow\n",
		config.db);
	patience_begin(waiting, listen_path(&listeners));
	e = eventlog_open(responder.log);
	patience_end();
	/* A CGI program answers first, and logs the fault when it looks at the log again. */
	if (e == EVENTLOG_FAULT && (listeners.kind == LISTEN_SOCKETS || config.follow))
		give_up(access(config.db, R_OK) < 0 ? EX_NOINPUT : EX_CONFIG,
			eventlog_error(responder.log));
	if (e == EVENTLOG_BUSY)
		log_warn("%s; waiting for it", eventlog_error(responder.log));
}

static void open_access(void)
{
	char sentence[512];
	int status = EX_CONFIG;

	responder.access = access_new(
		&config, &access_reading, responder.log, &status, sentence, sizeof(sentence));
	if (!responder.access)
		give_up(status, sentence);
}

/* Streams with the same framing share the rows that were read. */
static void share_framings(struct fanout_limits *limits)
{
	bool fastcgi = false, http = false;
	size_t n = 0;

	for (size_t i = 0; i < listeners.count; i++) {
		fastcgi |= listeners.list[i].protocol == LISTEN_FOR_FASTCGI;
		http |= listeners.list[i].protocol == LISTEN_FOR_HTTP;
	}
	if (fastcgi)
		limits->shared[n++] = &framing_fastcgi;
	if (http) {
		limits->shared[n++] = &framing_chunked;
		limits->shared[n] = &framing_close;
	}
}

static void open_fanout(void)
{
	struct fanout_limits limits = {.heartbeat_ms = config.heartbeat_ms,
		.max_age_ms = config.max_stream_age_ms,
		.stall_ms = config.stall_timeout_ms,
		.sweep_ms = sweep_ms(),
		.retry_ms = config.retry_ms,
		.retry_jitter_ms = config.retry_jitter_ms};
	const struct fanout_calls calls = {.want_turn = want_turn,
		.recheck = recheck,
		.waits = waits,
		.left = left,
		.opened = opened};

	share_framings(&limits);
	responder.fanout = fanout_new(responder.log, &limits, &calls);
	if (!responder.fanout)
		fail();
	if (!loop_init() || !signals_begin(stop) || !parse_init() ||
		!tail_init(responder.log, responder.fanout, config.db, config.poll_ms,
			config.polls_always))
		fail();
	loop_turn_init(&turn, take_turn, NULL);
	loop_timer_init(&sweep, sweep_due, NULL);
	loop_timer_init(&drain, drain_due, NULL);
	loop_timer_init(&pulse, pulse_due, NULL);
}

static void serve_sockets(void)
{
	responder.max_streams = accept_raise_limit(config.max_streams);
	if (responder.max_streams * (int64_t)crew_size() < config.max_streams)
		log_warn("the open-files limit allows %lld streams, not %lld: raise it (ulimit "
			 "-n, LimitNOFILE=) or lower --max-streams",
			(long long)(responder.max_streams * (int64_t)crew_size()),
			(long long)config.max_streams);
	connections_init(&responder);
	connections_on_end(connection_ended);
	connections_hold_at_most(accept_spare(responder.max_streams));
	if (!accept_start(&listeners))
		fail();
	vitals_begin(responder.fanout);
	log_info("rowtail %s follows %s of %s", ROWTAIL_VERSION, config.table, config.db);
	loop_run();
	connections_close_all();
}

static void serve_cgi(void)
{
	slots_begin(config.db, config.max_streams);
	if (cgi_begin(&responder, environ))
		loop_run();
	cgi_close();
}

/* Returns the exit status. */
static int print_stream(void)
{
	int status = 0;

	if (follow_begin(&responder, config.follow, &status))
		loop_run();
	follow_close();
	return status;
}

int main(int argc, char **argv)
{
	int status = 0;

	load_config(argc, argv);
	/* Whoever can read the database may see all of it. */
	config.public_ |= config.follow != NULL;
	signals_hold();
	open_sockets();
	if (!crew_begin(&listeners, &config))
		fail();
	open_log();
	open_access();
	srandom((unsigned)(clock_us() ^ (int64_t)getpid() << 16));
	responder.config = &config;
	responder.max_streams = config.max_streams;
	responder.started_ms = clock_ms();
	open_fanout();
	if (config.follow)
		status = print_stream();
	else if (listeners.kind == LISTEN_SOCKETS)
		serve_sockets();
	else
		serve_cgi();
	journal_settle();
	log_settle(true);
	listen_close(&listeners);
	fanout_free(responder.fanout);
	access_free(responder.access);
	eventlog_free(responder.log);
	config_free(&config);
	return status;
}
