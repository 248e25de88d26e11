/*
 * FastCGI: collects the records of a request until it is complete, frames the answer, and handles
 * what the web server sends while a stream runs.
 */
#include "server/connection_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/logging.h"
#include "base/metrics.h"
#include "protocol/parse.h"
#include "stream/fanout.h"

#include <fastcgi.h>

enum {
	READ_CHUNK = 16384,
	MANAGED_MAX = 64, /* management records before a request; web servers send one or none */
	REPLIES_MAX = 64, /* replies to records that arrive together while a stream runs */
};

static void arriving_free(struct arriving *a)
{
	if (a)
		buffer_free(&a->bytes);
	free(a);
}

static void drop(struct connection *c)
{
	arriving_free(c->arriving);
	c->arriving = NULL;
}

/*
 * Sends CGI output (may be empty) as FCGI_STDOUT, then FCGI_END_REQUEST, and then ends the
 * connection. If c->hold is set, FCGI_END_REQUEST waits: see connection_held.c.
 */
static void answer(struct connection *c, uint16_t request_id, const struct buffer *bytes,
	uint8_t protocol_status)
{
	size_t length = bytes ? bytes->length : 0, framed = record_framed_size(length);

	drop(c);
	if ((bytes && bytes->failed) ||
		!(c->answer = malloc(framed + RECORD_HEADER + RECORD_END_SIZE))) {
		connection_end(c);
		return;
	}
	if (length > 0) {
		memcpy(c->answer + RECORD_HEADER, bytes->data, length);
		framed = record_frame(c->answer, length, request_id);
	}
	framed += record_end(c->answer + framed, request_id, protocol_status);
	c->answer_length = (uint32_t)framed;
	c->answer_end = RECORD_END_SIZE;
	record_scanner_init(&c->scanner, request_id);
	connection_begin_answering(c);
}

/*
 * Sends a reply while a stream runs, but only between two of the stream's records. Sends nothing if
 * a record is half written or the peer takes no bytes. False if only part of the reply was sent:
 * then the stream is unreadable.
 */
static bool reply_between(struct connection *c, const uint8_t *bytes, size_t length)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, length};
	ssize_t sent;

	if (c->subscriber.cut || c->subscriber.pending)
		return true;
	sent = c->sink.operations->write(&c->sink, &iov, 1);
	return sent == 0 || sent == (ssize_t)length;
}

/* Handles what a web server sends after a request, while its stream runs. */
static void hear(struct connection *c, const uint8_t *bytes, size_t length)
{
	struct fanout *f = connections.responder->fanout;
	uint8_t out[RECORD_VALUES_MAX];
	size_t at = 0, used, replies = 0;
	bool whole = true;

	/* Limits the replies, because each is a write. Web servers ask for fewer. */
	while (at < length && c->phase == PHASE_STREAMING && whole) {
		switch (record_scan(&c->scanner, bytes + at, length - at, &used)) {
		case RECORD_MORE:
			return;
		case RECORD_ABORT:
			fanout_end(f, &c->subscriber, LEAVE_ABORT);
			break;
		case RECORD_BEGIN:
			if (replies++ >= REPLIES_MAX)
				break;
			whole = reply_between(
				c, out, record_end(out, c->scanner.id, FCGI_CANT_MPX_CONN));
			break;
		case RECORD_MANAGEMENT:
			if (replies++ >= REPLIES_MAX)
				break;
			/* The record's body is skipped, so FCGI_GET_VALUES gets an empty answer. */
			whole = reply_between(c, out,
				c->scanner.type == FCGI_GET_VALUES
					? record_values_result(
						  out, c->scanner.header, RECORD_HEADER, 0)
					: record_unknown_type(out, c->scanner.type));
			break;
		case RECORD_INVALID:
			fanout_gone(f, &c->subscriber, LEAVE_PROTOCOL);
			return;
		}
		at += used;
	}
	if (!whole)
		fanout_gone(f, &c->subscriber, LEAVE_CLIENT);
}

/* Opens the stream of a response. behind[0..length): bytes that arrived after the request. */
static void open_stream(struct connection *c, struct response *response, uint16_t request_id,
	const uint8_t *behind, size_t length)
{
	c->phase = PHASE_STREAMING;
	connection_set_deadline(c, 0);
	record_scanner_init(&c->scanner, request_id);
	loop_poll_set(&c->poll, LOOP_READ);
	if (responder_open(connections.responder, response, &c->subscriber, &c->sink,
		    &framing_fastcgi, request_id))
		hear(c, behind, length);
	else
		connection_end(c);
}

static void refuse(struct connection *c, int status, const char *sentence, char *const *params)
{
	struct response response;
	uint16_t id = c->arriving->scan.request_id;

	if (id == 0) {
		refusal_count(REFUSED_PROTOCOL);
		connection_end(c);
		return;
	}
	responder_refuse(connections.responder, &response, status, sentence, params);
	answer(c, id, &response.bytes, FCGI_REQUEST_COMPLETE);
	response_free(connections.responder, &response);
}

/* The refusal of an incomplete request. */
struct refusing {
	struct connection *connection;
	int status;
	const char *sentence;
};

static void refuse_by_params(
	void *context, char *const *params, const uint8_t *body, size_t body_length)
{
	const struct refusing *r = context;

	refuse(r->connection, r->status, r->sentence, params);
}

/*
 * Refuses a request that is too large or too slow. If only the body is incomplete, this parses the
 * parameters with an empty body, to find the CORS fields that the answer needs. Without them, a
 * page of another origin could not read it.
 */
static void refuse_early(struct connection *c, int status, const char *sentence)
{
	const struct arrival *scan = &c->arriving->scan;
	struct refusing refusing = {c, status, sentence};
	uint8_t *bytes = scan->params_length ? malloc(scan->params_length + RECORD_HEADER) : NULL;
	enum parse_result result = PARSE_FAILED;

	if (bytes) {
		const uint8_t no_body[RECORD_HEADER] = {FCGI_VERSION_1, FCGI_STDIN,
			(uint8_t)(scan->request_id >> 8), (uint8_t)scan->request_id};

		memcpy(bytes, c->arriving->bytes.data, scan->params_length);
		memcpy(bytes + scan->params_length, no_body, sizeof(no_body));
		result = parse_request(
			bytes, scan->params_length + sizeof(no_body), refuse_by_params, &refusing);
		free(bytes);
	}
	if (result != PARSE_USED)
		refuse(c, status, sentence, NULL);
}

static void refuse_large(struct connection *c)
{
	char sentence[100];

	snprintf(sentence, sizeof(sentence),
		"a request, with its parameters and body, can have at most %zu bytes",
		arrival_content_max());
	refuse_early(c, 413, sentence);
}

static void begin_stream(struct connection *c, struct response *response)
{
	struct arriving *a = c->arriving;

	c->arriving = NULL;
	open_stream(c, response, a->scan.request_id, a->bytes.data + a->scan.length,
		a->bytes.length - a->scan.length);
	arriving_free(a);
}

static void use_request(void *context, char *const *params, const uint8_t *body, size_t body_length)
{
	struct connection *c = context;
	uint16_t id = c->arriving->scan.request_id;
	struct response response;

	c->whole = c->arriving->scan.length == c->arriving->bytes.length;
	responder_decide(connections.responder, params, body, body_length, &response);
	/* Input after the request may mean that the web server has given up already. */
	c->hold = response.hold && c->whole;
	if (response.is_stream)
		begin_stream(c, &response);
	else
		answer(c, id, &response.bytes, FCGI_REQUEST_COMPLETE);
	response_free(connections.responder, &response);
}

/* Answers a management record that came before any request, and continues after it. */
static bool manage(struct connection *c)
{
	struct arriving *a = c->arriving;
	size_t length = a->scan.length;
	uint8_t out[RECORD_VALUES_MAX];
	size_t out_length;

	if (a->managed++ == MANAGED_MAX) {
		refusal_count(REFUSED_PROTOCOL);
		return false;
	}
	if (a->scan.type == FCGI_GET_VALUES)
		out_length = record_values_result(
			out, a->bytes.data, length, (long)connections.responder->max_streams);
	else
		out_length = record_unknown_type(out, a->scan.type);
	memmove(a->bytes.data, a->bytes.data + length, a->bytes.length - length);
	a->bytes.length -= length;
	arrival_init(&a->scan);
	return connection_reply(c, out, out_length);
}

/* Handles a complete request. Retries it later if there are no descriptors now. */
static void take_request(struct connection *c)
{
	struct arriving *a = c->arriving;
	enum parse_result result = parse_request(a->bytes.data, a->scan.length, use_request, c);

	c->waits = result == PARSE_LATER;
	if (result == PARSE_FAILED) {
		refusal_count(REFUSED_PROTOCOL);
		connection_end(c);
	}
}

/* Examines the bytes that have arrived, and acts on them. */
static void look(struct connection *c)
{
	struct arriving *a = c->arriving;
	enum arrival_state state;

	while ((state = arrival_scan(&a->scan, a->bytes.data, a->bytes.length)) ==
		ARRIVAL_MANAGEMENT)
		if (!manage(c)) {
			connection_end(c);
			return;
		}
	switch (state) {
	case ARRIVAL_WHOLE:
		take_request(c);
		break;
	case ARRIVAL_TOO_LARGE:
		refuse_large(c);
		break;
	case ARRIVAL_BAD_ROLE:
		answer(c, a->scan.request_id, NULL, FCGI_UNKNOWN_ROLE);
		break;
	case ARRIVAL_ABORTED:
		answer(c, a->scan.request_id, NULL, FCGI_REQUEST_COMPLETE);
		break;
	case ARRIVAL_NOT_FASTCGI:
		refusal_count(REFUSED_PROTOCOL);
		log_debug("a peer sent data that is not FastCGI");
		connection_end(c);
		break;
	default:
		break;
	}
}

static bool begin_arriving(struct connection *c)
{
	if (!(c->arriving = calloc(1, sizeof(*c->arriving))))
		return false;
	arrival_init(&c->arriving->scan);
	buffer_init(&c->arriving->bytes, arrival_bytes_max());
	return true;
}

/* Reads once. True if more may have arrived already. */
static bool read_some(struct connection *c)
{
	struct buffer *b = c->arriving || begin_arriving(c) ? &c->arriving->bytes : NULL;
	/* Most requests are small: the first read is small, later ones are larger. */
	size_t size = b && b->length ? READ_CHUNK : 2048;
	uint8_t *room;
	ssize_t got;

	if (!b) {
		connection_end(c);
		return false;
	}
	if (size > b->max - b->length)
		size = b->max - b->length;
	if (size == 0) {
		refuse_large(c);
		return false;
	}
	/* Out of memory: sends no answer, because 413 would be wrong, and final. */
	room = buffer_reserve(b, size);
	got = room ? connection_receive(c, room, size) : -1;
	if (got < 0) {
		connection_end(c);
	} else if (got > 0) {
		b->length += (size_t)got;
		look(c);
	}
	return got == (ssize_t)size && c->phase == PHASE_ARRIVING;
}

/* Reads a large request at once: in a crowd, no others are kept in memory beside it. */
static void read_request(struct connection *c)
{
	while (read_some(c) && !c->waits)
		;
}

/* Retries a request that waits for descriptors. */
static void again(struct connection *c)
{
	if (c->waits)
		take_request(c);
}

/* The request was not complete in time, or got no descriptors in time. */
static void late(struct connection *c)
{
	if (c->waits)
		connection_end(c);
	else
		refuse_early(c, 408, "the request did not arrive completely in 10 seconds");
}

/* FCGI_ABORT_REQUEST and invalid records end a held answer. Other records can wait. */
static bool hears_end(struct connection *c, const uint8_t *bytes, size_t length)
{
	enum record_event event = RECORD_MORE;
	size_t at = 0, used;

	for (; at < length && event != RECORD_ABORT && event != RECORD_INVALID; at += used)
		event = record_scan(&c->scanner, bytes + at, length - at, &used);
	return event == RECORD_ABORT || event == RECORD_INVALID;
}

const struct connection_kind connection_fastcgi = {.read = read_request,
	.again = again,
	.late = late,
	.drop = drop,
	.hear = hear,
	.hears_end = hears_end,
	.answered = connection_linger,
	.finished = connection_end};
