#include "server/responder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/token.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "server/answer.h"
#include "server/crew.h"
#include "server/journal.h"
#include "server/page.h"
#include "server/slots.h"
#include "stream/groups.h"
#include "stream/poll.h"
#include "stream/tail.h"

enum {
	RESPONSE_MAX = 1 << 20,
	RETRY_CROWDED_S = 5,
	LOCK_US = 20000, /* how long one request may wait for a locked database */
	LOCK_ALONE_US = 1000000,
	LOCK_PART = 2, /* pause after such a wait, as a multiple of it */
};

static const char no_memory[] = "there is no memory for this request; try again later";
static const char full[] = "this server's connection limit is reached; try again later";
static const char restarting[] = "rowtail is restarting; reconnect in a moment";

/* Stops watching the log, because no clients are left. */
static void rest(struct responder *r)
{
	if (r->fanout && fanout_count(r->fanout) == 0)
		tail_sleep();
}

/* A reconnection time; 0 where there are only pages. */
static uint32_t retry_ms(const struct responder *r)
{
	return r->fanout ? fanout_retry(r->fanout) : 0;
}

/* A request that is being decided. */
struct deciding {
	struct responder *r;
	struct request request;
	struct answer_cors cors;
	struct response *response;
	bool crowded; /* a poll may not wait, because that would take the place of a stream */
};

static void refuse(struct deciding *d, enum refusal reason, int status, const char *sentence)
{
	refusal_count(reason);
	journal_refused(reason, status, sentence);
	answer_sentence(
		&d->response->bytes, status, sentence, d->request.method == REQUEST_HEAD, &d->cors);
}

/*
 * Asks the client to reconnect. Some clients reconnect as soon as a stream ends. The end of the
 * answer is held to slow them down, but not on shutdown, because the next rowtail takes over.
 */
static void come_back(struct deciding *d, enum refusal reason, const char *sentence)
{
	refusal_count(reason);
	journal_refused(reason, d->request.accepts_stream ? 200 : 503, sentence);
	d->response->hold = d->request.accepts_stream && d->request.method != REQUEST_HEAD &&
			    reason != REFUSED_SHUTDOWN;
	answer_later(&d->response->bytes, sentence, retry_ms(d->r), d->request.accepts_stream,
		d->request.method == REQUEST_HEAD, &d->cors);
}

static bool is_full(struct deciding *d)
{
	struct responder *r = d->r;

	/* A request for rows is still answered: its client may not expect to ask again. */
	if (r->closing && !d->request.json)
		come_back(d, REFUSED_SHUTDOWN, restarting);
	else if (fanout_count(r->fanout) >= (size_t)r->max_streams ||
		 crew_streams() >= (size_t)r->config->max_streams)
		come_back(d, REFUSED_FULL, full);
	else
		return false;
	return true;
}

static bool log_is_ready(struct deciding *d)
{
	if (tail_wake() == EVENTLOG_OK)
		return true;
	come_back(
		d, REFUSED_DATABASE, "the event log cannot be read at the moment; try again later");
	return false;
}

static bool is_admitted(struct deciding *d)
{
	char sentence[REQUEST_SENTENCE_MAX];

	switch (access_admit(
		d->r->access, &d->request, &d->response->session, sentence, sizeof(sentence))) {
	case ACCESS_GRANTED:
		return true;
	case ACCESS_UNAUTHORIZED:
		refuse(d, REFUSED_UNAUTHORIZED, 401, sentence);
		return false;
	case ACCESS_FORBIDDEN:
		refuse(d, REFUSED_FORBIDDEN, 403, sentence);
		return false;
	case ACCESS_TOO_MANY:
		/* This is temporary, so an EventSource must not treat it as final. */
		if (d->request.accepts_stream)
			come_back(d, REFUSED_TOO_MANY_ATTEMPTS, sentence);
		else
			refuse(d, REFUSED_TOO_MANY_ATTEMPTS, 429, sentence);
		return false;
	case ACCESS_BAD_REQUEST:
		refuse(d, REFUSED_BAD_REQUEST, 400, sentence);
		return false;
	case ACCESS_LATER:
		break;
	}
	come_back(d, REFUSED_DATABASE, "the grants cannot be read at the moment; try again later");
	return false;
}

/* Whom the web server or a JWT names; NULL: nobody. */
static const char *user_of(const struct deciding *d)
{
	const char *user = d->response->session ? access_session_user(d->response->session) : NULL;

	return user ? user : d->request.remote_user;
}

/* Counts the stream for its client; false if the client has reached its limit. */
static bool has_room_for_client(struct deciding *d)
{
	struct responder *r = d->r;
	const char *user = user_of(d);
	char name[512], address[ADDRESS_NAME], hex[TOKEN_HEX + 1];

	if (!r->config->max_streams_per_client)
		return true;
	address_name(address, d->request.remote_addr);
	snprintf(name, sizeof(name), "%s%s", user ? "user:" : "address:", user ? user : address);
	token_hash(name, strlen(name), hex);
	d->response->client = crew_take(hex, r->config->max_streams_per_client);
	if (d->response->client)
		return true;
	come_back(d, REFUSED_CLIENT_FULL,
		"you have reached this server's connection limit for one client; close a stream "
		"first");
	return false;
}

static bool find_place(struct deciding *d)
{
	const struct request *q = &d->request;
	struct response *response = d->response;
	struct position position = q->position;

	/* A page of older rows has the newest rows below an id. No id is below 1. */
	if (q->json && q->before >= 0) {
		position.before = q->before > 0 ? q->before : 1;
		position.tail = q->limit;
	}
	response->filter = filter_new(q->channels.text, q->channels.length, q->channels.count,
		q->events.text, q->events.length, q->events.count);
	if (response->filter && eventlog_has_ends(d->r->log))
		filter_follow_ends(response->filter);
	response->opening = opening_new();
	if (!response->filter || !response->opening) {
		come_back(d, REFUSED_DATABASE, no_memory);
		return false;
	}
	if (fanout_begin_opening(d->r->fanout, response->opening, response->filter, &position,
		    d->r->config->max_replay) == EVENTLOG_OK)
		return true;
	come_back(
		d, REFUSED_DATABASE, "the event log cannot be read at the moment; try again later");
	return false;
}

static void write_stream_head(struct deciding *d)
{
	if (d->request.json)
		answer_json_head(&d->response->bytes, d->crowded ? RETRY_CROWDED_S : 0, &d->cors);
	else
		answer_stream_head(&d->response->bytes, &d->cors);
}

/* --max-stream-age limits a poll too: a web server or a host may end what takes longer. */
static int64_t longest_wait_ms(const struct deciding *d)
{
	int64_t wait_ms = d->request.wait_s * 1000, age_ms = d->r->config->max_stream_age_ms;

	if (d->crowded || d->r->closing)
		return 0;
	return age_ms > 0 && age_ms < wait_ms ? age_ms : wait_ms;
}

/* Moves the head into the poll, which writes it with the answer. */
static bool make_poll(struct deciding *d)
{
	const struct request *q = &d->request;
	struct buffer *head = &d->response->bytes, later;
	struct poll_ask ask = {.limit = q->limit,
		.wait_ms = longest_wait_ms(d),
		.before = q->before,
		.at_once =
			q->position.kind == POSITION_NONE && q->position.tail < 0 && q->before < 0};
	bool made;

	buffer_init(&later, RESPONSE_MAX);
	answer_later(&later, "the rows could not be read in time; try again later",
		fanout_retry(d->r->fanout), false, false, &d->cors);
	write_stream_head(d);
	d->response->poll = poll_new(&ask);
	made = d->response->poll && !head->failed && !later.failed &&
	       poll_set_texts(&d->response->poll, head, &later);
	buffer_free(&later);
	buffer_clear(head);
	if (!made)
		come_back(d, REFUSED_DATABASE, no_memory);
	return made;
}

static void decide_stream(struct deciding *d)
{
	struct response *response = d->response;

	if (is_full(d) || !log_is_ready(d) || !is_admitted(d))
		return;
	if (d->request.method != REQUEST_HEAD && !has_room_for_client(d))
		return;
	if (!find_place(d))
		return;
	if (!d->request.json && opening_is_over(response->opening)) {
		/* An EventSource stops for good. */
		refusal_count(REFUSED_ENDED);
		answer_write(&response->bytes, &(struct answer){.status = 204}, &d->cors);
		return;
	}
	if (d->request.method == REQUEST_HEAD) {
		write_stream_head(d);
		return;
	}
	response->who = journal_who(d->request.remote_addr, user_of(d));
	if (d->request.json) {
		d->crowded = d->request.wait_s > 0 && !slots_take();
		response->is_stream = make_poll(d);
		return;
	}
	if (!slots_take()) {
		come_back(d, REFUSED_FULL, full);
		return;
	}
	response->is_stream = true;
	response->encoding = d->request.envelope ? LANE_ENVELOPE : LANE_PLAIN;
	response->bare = !d->request.positions;
	write_stream_head(d);
}

/*
 * In rollback mode each commit locks the database for some milliseconds. Without a wait, a busy
 * writer would keep nearly all clients out. Waits take at most a third of the time.
 */
static void decide_with_patience(struct deciding *d)
{
	struct responder *r = d->r;
	int64_t now_us = clock_us(), waited_us;

	if (now_us >= r->impatient_us)
		database_wait_until(now_us + (r->alone ? LOCK_ALONE_US : LOCK_US));
	decide_stream(d);
	if ((waited_us = database_wait_until(0)) > 0)
		r->impatient_us = clock_us() + LOCK_PART * waited_us;
}

static void decide_page(struct deciding *d)
{
	struct page page = {.request = d->request.page,
		.head_only = d->request.method == REQUEST_HEAD,
		.fanout = d->r->fanout,
		.log = d->r->log,
		.config = d->r->config,
		.max_streams = d->r->max_streams,
		.started_ms = d->r->started_ms,
		.closing = d->r->closing};

	page_write(&d->response->bytes, &page, &d->cors);
}

void responder_decide(struct responder *r, char *const *params, const void *body,
	size_t body_length, struct response *response)
{
	struct deciding d = {.r = r, .response = response};
	struct request_problem problem;
	int parsed;

	memset(response, 0, sizeof(*response));
	buffer_init(&response->bytes, RESPONSE_MAX);
	metrics_add(METRIC_REQUESTS, 1);
	if (r->respond) {
		r->respond(&response->bytes, params, body, body_length);
		return;
	}
	parsed = request_parse(&d.request, params, body, body_length, &problem);
	d.cors = answer_cors_of(d.request.origin, r->config->allow_origins);
	if (parsed == 0)
		journal_asked(&d.request);
	if (parsed < 0 && problem.status == 503)
		come_back(&d, REFUSED_DATABASE, problem.sentence);
	else if (parsed < 0)
		refuse(&d, REFUSED_BAD_REQUEST, problem.status, problem.sentence);
	else if (r->page)
		r->page(&response->bytes, d.request.page, d.request.method == REQUEST_HEAD,
			&d.cors);
	else if (d.request.page != REQUEST_STREAM)
		decide_page(&d);
	else if (d.request.method == REQUEST_OPTIONS)
		answer_preflight(&response->bytes, d.request.requested_headers, &d.cors);
	else
		decide_with_patience(&d);
	request_free(&d.request);
	if (!response->is_stream)
		rest(r);
}

void responder_refuse(struct responder *r, struct response *response, int status,
	const char *sentence, char *const *params)
{
	const char *origin = params ? request_param(params, "HTTP_ORIGIN") : NULL;
	const struct answer_cors cors = answer_cors_of(origin, r->config->allow_origins);

	memset(response, 0, sizeof(*response));
	buffer_init(&response->bytes, RESPONSE_MAX);
	/* Our shutdown cut the request short. An EventSource must not treat that as final. */
	if (r->closing && status == 408) {
		refusal_count(REFUSED_SHUTDOWN);
		answer_later(&response->bytes, restarting, retry_ms(r),
			params && !r->respond && request_accepts_stream(params), false, &cors);
		return;
	}
	refusal_count(status == 413 || status == 404 ? REFUSED_BAD_REQUEST : REFUSED_PROTOCOL);
	answer_sentence(&response->bytes, status, sentence, false, &cors);
}

bool responder_open(struct responder *r, struct response *response, struct subscriber *s,
	struct sink *sink, const struct framing *framing, uint16_t request_id)
{
	struct fanout_stream stream = {.sink = sink,
		.filter = response->filter,
		.lane = {framing, request_id, (uint8_t)response->encoding},
		.bare = response->bare,
		.opening = response->opening,
		.session = response->session,
		.client = response->client,
		.who = response->who,
		.retry_ms = fanout_retry(r->fanout),
		.poll = response->poll};

	if (response->bytes.failed)
		return false;
	response->opening->head = response->bytes;
	buffer_init(&response->bytes, RESPONSE_MAX);
	response->filter = NULL;
	response->opening = NULL;
	response->poll = NULL;
	if (!fanout_open(r->fanout, s, &stream)) {
		rest(r);
		return false;
	}
	/* The stream owns these now. It may already have ended. */
	response->session = NULL;
	response->client = NULL;
	response->who = NULL;
	return true;
}

bool responder_recheck(
	struct responder *r, struct subscriber *s, enum leave_reason *reason, int64_t *again_ms)
{
	switch (access_recheck(r->access, s->session, s->group->filter, clock_ms(), again_ms)) {
	case ACCESS_REVOKED:
		*reason = LEAVE_REVOKED;
		return false;
	case ACCESS_EXPIRED:
		*reason = LEAVE_EXPIRED;
		return false;
	case ACCESS_GOES_ON:
		break;
	}
	return true;
}

void responder_left(struct responder *r, struct subscriber *s)
{
	if (s->client)
		crew_give(s->client);
	access_session_free(s->session);
	s->client = NULL;
	s->session = NULL;
	journal_ended(s);
	free(s->who);
	s->who = NULL;
	rest(r);
}

void response_free(struct responder *r, struct response *response)
{
	if (response->client)
		crew_give(response->client);
	access_session_free(response->session);
	free(response->who);
	free(response->filter);
	opening_free(response->opening);
	poll_free(response->poll);
	buffer_free(&response->bytes);
}
