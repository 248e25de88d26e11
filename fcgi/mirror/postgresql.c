/*
 * PostgreSQL as a source, by libpq's asynchronous functions.
 *
 * Source: https://www.postgresql.org/docs/current/libpq-async.html.
 */
#include "mirror/postgresql_impl.h"

#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/loop.h"

enum {
	CONNECT_MS = 5000, /* for one round over the hosts; a black hole among them costs this */
	SILENCE_MS = 10000, /* without a byte of an answer */
	SILENCE_LONG_MS = 600000, /* before the first row, for questions about the whole table */
	TURN_US = 10000, /* of rows; then others come */
	VERSION_LEAST = 140000,
	SENTENCE = 512,
};

enum state { CLOSED, CONNECTING, SETTING_UP, IDLE, PREPARING, ASKING };

/* A poll must outlive its end until the loop says so. */
struct watched {
	struct loop_poll poll; /* first */
	struct source *source;
};

struct source {
	const char *text;
	const struct source_calls *calls;
	void *context;
	PGconn *connection;
	struct watched *watched;
	struct loop_timer silence;
	struct loop_turn more; /* rows are left in libpq's buffer */
	enum state state;
	enum source_question question;
	int64_t parameters[PARAMETERS];
	unsigned prepared; /* bits by question */
	unsigned host; /* how many hosts to pass over */
	bool answers; /* a row of the answer has come */
	bool refused; /* the current question has failed with `sentence` */
	char sentence[SENTENCE];
	char where[256];
};

/* --- readiness --- */

static void ready(struct loop_poll *poll, int events, bool failed);

static void forget(struct loop_poll *poll)
{
	free(poll);
}

static void unwatch(struct source *s)
{
	if (!s->watched)
		return;
	s->watched->source = NULL;
	loop_poll_end(&s->watched->poll, forget);
	s->watched = NULL;
}

/* Watches libpq's socket, which may be another one after each of its steps while it connects. */
static bool watch(struct source *s, int events)
{
	if (!s->watched) {
		s->watched = calloc(1, sizeof(*s->watched));
		if (!s->watched)
			return false;
		if (!loop_poll_begin(&s->watched->poll, PQsocket(s->connection), 0, ready)) {
			free(s->watched);
			s->watched = NULL;
			return false;
		}
		s->watched->source = s;
	}
	loop_poll_set(&s->watched->poll, events);
	return true;
}

/* --- failures --- */

void source_close(struct source *s)
{
	unwatch(s);
	loop_timer_stop(&s->silence);
	PQfinish(s->connection);
	s->connection = NULL;
	s->state = CLOSED;
	s->prepared = 0;
}

static void lose(struct source *s, const char *message)
{
	postgresql_one_line(message, s->sentence, sizeof(s->sentence));
	source_close(s);
	s->calls->failed(s->context, SOURCE_LOST, s->sentence);
}

static void lose_connection(struct source *s)
{
	const char *message = PQerrorMessage(s->connection);

	lose(s, *message ? message : "the connection was closed");
}

static void expect(struct source *s);
static void go_on_reading(struct source *s);

/*
 * Has the server answered, and only this process did not read? It may have been stopped, or busy
 * with a row for longer than the server has time for its answer.
 */
static bool has_answered(const struct source *s)
{
	struct pollfd readable = {.fd = PQsocket(s->connection), .events = POLLIN};

	return poll(&readable, 1, 0) > 0 || (s->state > IDLE && !PQisBusy(s->connection));
}

static void is_silent(struct loop_timer *timer)
{
	struct source *s = timer->context;

	if (has_answered(s)) {
		expect(s);
		go_on_reading(s);
		return;
	}
	if (s->state == CONNECTING || s->state == SETTING_UP)
		source_pass_over_host(s);
	lose(s, s->state == CONNECTING ? "no server answered in time"
				       : "the server has not answered for some seconds");
}

static void expect(struct source *s)
{
	int64_t ms = s->state < IDLE ? CONNECT_MS : SILENCE_MS;

	if (s->state > IDLE && !s->answers &&
		(s->question == SOURCE_SIZE || s->question == SOURCE_ALL))
		ms = SILENCE_LONG_MS;
	loop_timer_start(&s->silence, ms, 0);
}

/* --- asking --- */

static void flush(struct source *s)
{
	int left = PQflush(s->connection);

	if (left < 0)
		lose_connection(s);
	else if (!watch(s, left ? LOOP_READ | LOOP_WRITE : LOOP_READ))
		lose(s, "the system refuses to watch the connection");
}

static const char *name_of(enum source_question question)
{
	static char name[16];

	snprintf(name, sizeof(name), "mirror%d", (int)question);
	return name;
}

static int send_prepared(struct source *s)
{
	int64_t big[PARAMETERS];
	const char *values[PARAMETERS];
	int lengths[PARAMETERS], formats[PARAMETERS];

	for (int i = 0; i < PARAMETERS; i++) {
		big[i] = (int64_t)htobe64((uint64_t)s->parameters[i]);
		values[i] = (const char *)&big[i];
		lengths[i] = sizeof(big[i]);
		formats[i] = 1;
	}
	return PQsendQueryPrepared(s->connection, name_of(s->question),
		       postgresql_parameters(s->question), values, lengths, formats, 1) &&
	       PQsetSingleRowMode(s->connection);
}

static int send_prepare(struct source *s)
{
	static const Oid types[PARAMETERS] = {20, 20}; /* int8 */

	return PQsendPrepare(s->connection, name_of(s->question), postgresql_question(s->question),
		postgresql_parameters(s->question), types);
}

static void send_question(struct source *s)
{
	bool known = s->prepared & 1U << s->question;

	s->state = known ? ASKING : PREPARING;
	if (!(known ? send_prepared(s) : send_prepare(s))) {
		lose_connection(s);
		return;
	}
	flush(s);
}

void source_ask(struct source *s, enum source_question question, int64_t a, int64_t b)
{
	if (s->state != IDLE)
		return;
	s->question = question;
	s->parameters[0] = a;
	s->parameters[1] = b;
	s->refused = s->answers = false;
	if (question == SOURCE_LISTEN) {
		s->state = ASKING;
		if (!PQsendQuery(s->connection, postgresql_question(question))) {
			lose_connection(s);
			return;
		}
		expect(s);
		flush(s);
		return;
	}
	s->state = ASKING;
	expect(s);
	send_question(s);
}

/* --- answers --- */

static void take_row(struct source *s, const PGresult *result)
{
	struct change change;

	s->answers = true;
	switch (postgresql_read(result, &change)) {
	case POSTGRESQL_CHANGE:
		s->calls->change(s->context, &change);
		break;
	case POSTGRESQL_NOTHING:
		break;
	case POSTGRESQL_UNKNOWN:
		s->refused = true;
		snprintf(s->sentence, sizeof(s->sentence),
			"the log has changes that this version does not know; install a newer "
			"rowtail-mirror");
		break;
	}
}

static void take_result(struct source *s, const PGresult *result)
{
	char message[SENTENCE];

	switch (PQresultStatus(result)) {
	case PGRES_SINGLE_TUPLE:
		take_row(s, result);
		break;
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
		break;
	default:
		s->refused = true;
		postgresql_explain(result, message, sizeof(message));
		postgresql_one_line(message, s->sentence, sizeof(s->sentence));
	}
}

static void set_where(struct source *s)
{
	const char *host = PQhost(s->connection), *port = PQport(s->connection);

	snprintf(s->where, sizeof(s->where), "%s:%s/%s", host ? host : "", port ? port : "",
		PQdb(s->connection));
}

/* The server has said all it has to say to what was sent. */
static void finish(struct source *s)
{
	enum state state = s->state;

	loop_timer_stop(&s->silence);
	s->state = IDLE;
	if (PQstatus(s->connection) == CONNECTION_BAD) {
		lose(s, s->refused ? s->sentence : "the connection was closed");
	} else if (s->refused) {
		s->calls->failed(s->context, SOURCE_REFUSED, s->sentence);
	} else if (state == SETTING_UP) {
		s->calls->ready(s->context);
	} else if (state == PREPARING) {
		s->prepared |= 1U << s->question;
		expect(s);
		send_question(s);
	} else {
		s->calls->answered(s->context);
	}
}

/* Takes what has arrived. Each call may close the connection, or ask again. */
static void drain(struct source *s)
{
	int64_t until_us = clock_us() + TURN_US;
	PGconn *connection = s->connection;
	PGresult *result;

	while (s->connection == connection && s->state > CONNECTING && s->state != IDLE &&
		!PQisBusy(connection)) {
		if ((result = PQgetResult(connection)))
			take_result(s, result);
		else
			finish(s);
		PQclear(result);
		if (clock_us() > until_us) {
			loop_turn_want(&s->more);
			return;
		}
	}
}

static void take_notices(struct source *s)
{
	PGnotify *notice;
	bool noticed = false;

	while (s->connection && (notice = PQnotifies(s->connection))) {
		noticed = true;
		PQfreemem(notice);
	}
	if (noticed)
		s->calls->noticed(s->context);
}

static void go_on(struct loop_turn *turn)
{
	struct source *s = turn->context;

	if (!s->connection || s->state == CONNECTING)
		return;
	drain(s);
	take_notices(s);
}

static void receive(struct source *s)
{
	if (!PQconsumeInput(s->connection)) {
		lose_connection(s);
		return;
	}
	if (s->state > IDLE)
		expect(s);
	drain(s);
	if (!s->connection)
		return;
	take_notices(s);
	/* A server that ends says so without a question. */
	if (s->state == IDLE && s->connection && PQstatus(s->connection) == CONNECTION_BAD)
		lose_connection(s);
}

/* --- connecting --- */

static void set_up(struct source *s)
{
	char message[SENTENCE];
	int version = PQserverVersion(s->connection);

	set_where(s);
	s->state = SETTING_UP;
	s->refused = false;
	if (version < VERSION_LEAST) {
		snprintf(message, sizeof(message), "%s is PostgreSQL %d; 14 or newer is needed",
			s->where, version / 10000);
		lose(s, message);
	} else if (PQsetnonblocking(s->connection, 1) < 0 ||
		   !PQsendQuery(s->connection, postgresql_setup(version))) {
		lose_connection(s);
	} else {
		expect(s);
		flush(s);
	}
}

static void step_connect(struct source *s)
{
	bool watched = true;

	/* libpq may close this socket now and open another one. */
	unwatch(s);
	switch (PQconnectPoll(s->connection)) {
	case PGRES_POLLING_READING:
		watched = watch(s, LOOP_READ);
		break;
	case PGRES_POLLING_WRITING:
		watched = watch(s, LOOP_WRITE);
		break;
	case PGRES_POLLING_OK:
		set_up(s);
		return;
	default:
		lose_connection(s);
		return;
	}
	if (!watched)
		lose(s, "the system refuses to watch the connection");
}

static void go_on_reading(struct source *s)
{
	if (s->state == CONNECTING)
		step_connect(s);
	else
		receive(s);
}

static void ready(struct loop_poll *poll, int events, bool failed)
{
	struct source *s = ((struct watched *)poll)->source;

	if (!s)
		return;
	/* A failure has paused the poll. Reads what the server said before it, then the end. */
	if (failed)
		loop_poll_set(poll, LOOP_READ);
	if (s->state > CONNECTING && events & LOOP_WRITE)
		flush(s);
	if (s->connection)
		go_on_reading(s);
}

void source_connect(struct source *s)
{
	if (s->state != CLOSED)
		return;
	s->state = CONNECTING;
	if (!(s->connection = postgresql_begin(s->text, s->host)) ||
		PQstatus(s->connection) == CONNECTION_BAD) {
		if (s->connection)
			lose_connection(s);
		else
			lose(s, "there is no memory to connect");
		return;
	}
	expect(s);
	/* libpq: the first PQconnectPoll() waits until the socket is writable. */
	if (!watch(s, LOOP_WRITE))
		lose(s, "the system refuses to watch the connection");
}

void source_pass_over_host(struct source *s)
{
	s->host++;
}

void source_first_host(struct source *s)
{
	s->host = 0;
}

bool source_is_asking(const struct source *s)
{
	return s->state > IDLE;
}

const char *source_where(const struct source *s)
{
	return s->where;
}

struct source *source_new(const char *text, const struct source_calls *calls, void *context)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->text = text;
	s->calls = calls;
	s->context = context;
	loop_timer_init(&s->silence, is_silent, s);
	loop_turn_init(&s->more, go_on, s);
	return s;
}

const char *source_version(void)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
	return text;
}
