#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arrival.h"
#include "clock.h"
#include "fanout.h"
#include "logging.h"
#include "loop.h"
#include "metrics.h"
#include "parse.h"
#include "record.h"

#include <fastcgi.h>

enum {
	ARRIVAL_MS = 10000, /* for a whole request to arrive */
	ANSWER_MS = 10000, /* for an answer to be taken */
	LINGER_MS = 2000, /* for the peer to stop sending and close */
	DEADLINE_SWEEP_MS = 250,
	READ_CHUNK = 16384,
};

enum phase { PHASE_ARRIVING, PHASE_STREAMING, PHASE_ANSWERING, PHASE_LINGERING, PHASE_ENDED };

/* A request in the making: only until it is whole. */
struct arriving {
	struct arrival scan;
	struct buffer bytes;
};

struct connection {
	struct sink sink; /* first: a sink is its connection */
	struct loop_poll poll;
	struct connection *previous, *next; /* all */
	struct subscriber subscriber;
	struct arriving *arriving;
	uint8_t *answer; /* framed, with FCGI_END_REQUEST */
	uint32_t answer_length, answer_sent;
	int64_t deadline_ms; /* 0: none (a stream has its own clocks) */
	struct record_scanner scanner; /* of what comes while a stream runs */
	int fd;
	uint8_t phase;
	bool waits; /* the request is whole; there were no descriptors to parse it with */
	bool whole; /* all that came was the request: nothing need be lingered for */
};

static struct {
	struct responder *responder;
	struct connection *all;
	size_t count, timed; /* timed: with a deadline */
	struct loop_timer deadlines;
	void (*ended)(void);
} connections;

static ssize_t sink_write(struct sink *sink, const struct iovec *iov, int count)
{
	struct connection *c = (struct connection *)sink;
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
	ssize_t sent;

	do
		sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		metrics_add(METRIC_BYTES_SENT, (uint64_t)sent);
		return sent;
	}
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
}

static void sink_want_write(struct sink *sink, bool want)
{
	struct connection *c = (struct connection *)sink;

	loop_poll_set(&c->poll, want ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void end(struct connection *c);

static void sink_finished(struct sink *sink)
{
	end((struct connection *)sink);
}

static const struct sink_operations operations = {
	.write = sink_write, .want_write = sink_want_write, .finished = sink_finished};

static void set_deadline(struct connection *c, int64_t after_ms)
{
	if (c->deadline_ms)
		connections.timed--;
	c->deadline_ms = after_ms ? clock_ms() + after_ms : 0;
	if (c->deadline_ms && connections.timed++ == 0)
		loop_timer_start(&connections.deadlines, DEADLINE_SWEEP_MS, DEADLINE_SWEEP_MS);
	if (connections.timed == 0)
		loop_timer_stop(&connections.deadlines);
}

static void drop(struct arriving *a)
{
	if (a)
		buffer_free(&a->bytes);
	free(a);
}

static void drop_arriving(struct connection *c)
{
	drop(c->arriving);
	c->arriving = NULL;
}

static void handle_ended(struct loop_poll *p)
{
	free((char *)p - offsetof(struct connection, poll));
}

/* The connection is over. Its memory goes when libuv lets go of its handle. */
static void end(struct connection *c)
{
	if (c->phase == PHASE_ENDED)
		return;
	c->phase = PHASE_ENDED;
	set_deadline(c, 0);
	drop_arriving(c);
	free(c->answer);
	c->answer = NULL;
	if (c->previous)
		c->previous->next = c->next;
	else
		connections.all = c->next;
	if (c->next)
		c->next->previous = c->previous;
	connections.count--;
	loop_poll_end(&c->poll, handle_ended);
	close(c->fd);
	if (connections.ended)
		connections.ended();
}

/*
 * A peer that is still sending would lose the answer if the connection were closed under it: so its
 * bytes are read away until it closes, for a while.
 */
static void linger(struct connection *c)
{
	if (c->whole) {
		end(c);
		return;
	}
	shutdown(c->fd, SHUT_WR);
	c->phase = PHASE_LINGERING;
	set_deadline(c, LINGER_MS);
	loop_poll_set(&c->poll, LOOP_READ);
}

static void write_answer(struct connection *c)
{
	struct iovec iov = {c->answer + c->answer_sent, c->answer_length - c->answer_sent};
	ssize_t sent = sink_write(&c->sink, &iov, 1);

	if (sent < 0) {
		end(c);
		return;
	}
	c->answer_sent += (uint32_t)sent;
	if (c->answer_sent == c->answer_length)
		linger(c);
	else
		loop_poll_set(&c->poll, LOOP_WRITE);
}

/* Sends CGI output (may be empty) as FCGI_STDOUT, then FCGI_END_REQUEST. */
static void answer(struct connection *c, uint16_t request_id, const struct buffer *bytes,
	uint8_t protocol_status)
{
	size_t length = bytes ? bytes->length : 0, framed = record_framed_size(length);

	drop_arriving(c);
	if ((bytes && bytes->failed) ||
		!(c->answer = malloc(framed + RECORD_HEADER + RECORD_END_SIZE))) {
		end(c);
		return;
	}
	if (length > 0) {
		memcpy(c->answer + RECORD_HEADER, bytes->data, length);
		framed = record_frame(c->answer, length, request_id);
	}
	framed += record_end(c->answer + framed, request_id, protocol_status);
	c->answer_length = (uint32_t)framed;
	c->phase = PHASE_ANSWERING;
	set_deadline(c, ANSWER_MS);
	write_answer(c);
}

static void refuse(struct connection *c, int status, const char *sentence, char *const *params)
{
	struct response response;
	uint16_t id = c->arriving->scan.request_id;

	if (id == 0) {
		metrics_refused(REFUSED_PROTOCOL);
		end(c);
		return;
	}
	responder_refuse(connections.responder, &response, status, sentence, params);
	answer(c, id, &response.bytes, FCGI_REQUEST_COMPLETE);
	response_free(connections.responder, &response);
}

/* A refusal before the request was whole. */
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
 * Too large, or too slow: if it is the body, the parameters are there, and with an empty body in its
 * place they say which CORS fields the answer needs, without which a page of another origin could not
 * read it.
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
	refuse_early(
		c, 413, "a request, its parameters and its body, may have 65536 bytes at most");
}

/* A small record between those of the answer. Returns how much of it went. */
static ssize_t reply(struct connection *c, const uint8_t *bytes, size_t length)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, length};

	return sink_write(&c->sink, &iov, 1);
}

/* The same on a stream, which it must not break: a peer that asks within a record of ours must wait. */
static void reply_between(struct connection *c, const uint8_t *bytes, size_t length)
{
	ssize_t sent = 0;

	if (!c->subscriber.cut && !c->subscriber.pending)
		sent = reply(c, bytes, length);
	if (sent > 0 && (size_t)sent < length)
		fanout_gone(connections.responder->fanout, &c->subscriber, LEAVE_CLIENT);
}

/* What a web server says while a stream runs, be it in one piece with the request. */
static void hear(struct connection *c, const uint8_t *bytes, size_t length)
{
	struct fanout *f = connections.responder->fanout;
	uint8_t out[RECORD_VALUES_MAX];
	size_t at = 0, used;

	while (at < length && c->phase == PHASE_STREAMING) {
		switch (record_scan(&c->scanner, bytes + at, length - at, &used)) {
		case RECORD_MORE:
			return;
		case RECORD_ABORT:
			fanout_end(f, &c->subscriber, LEAVE_ABORT);
			break;
		case RECORD_BEGIN:
			reply_between(c, out, record_end(out, c->scanner.id, FCGI_CANT_MPX_CONN));
			break;
		case RECORD_MANAGEMENT:
			/* Its body is passed over: FCGI_GET_VALUES gets an empty answer. */
			reply_between(c, out,
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
}

static void begin_stream(struct connection *c, struct response *response, uint16_t request_id)
{
	struct arriving *a = c->arriving;

	/* Bytes behind the request are kept until the stream is open. */
	c->arriving = NULL;
	c->phase = PHASE_STREAMING;
	set_deadline(c, 0);
	record_scanner_init(&c->scanner, request_id);
	loop_poll_set(&c->poll, LOOP_READ);
	if (responder_open(connections.responder, response, &c->subscriber, &c->sink, request_id))
		hear(c, a->bytes.data + a->scan.length, a->bytes.length - a->scan.length);
	else
		end(c);
	drop(a);
}

static void use_request(void *context, char *const *params, const uint8_t *body, size_t body_length)
{
	struct connection *c = context;
	uint16_t id = c->arriving->scan.request_id;
	struct response response;

	c->whole = c->arriving->scan.length == c->arriving->bytes.length;
	responder_decide(connections.responder, params, body, body_length, &response);
	if (response.is_stream)
		begin_stream(c, &response, id);
	else
		answer(c, id, &response.bytes, FCGI_REQUEST_COMPLETE);
	response_free(connections.responder, &response);
}

/* Answers a management record that came before any request, and goes on behind it. */
static bool manage(struct connection *c)
{
	struct arriving *a = c->arriving;
	size_t length = a->scan.length;
	uint8_t out[RECORD_VALUES_MAX];
	size_t out_length;

	if (a->scan.type == FCGI_GET_VALUES)
		out_length = record_values_result(
			out, a->bytes.data, length, (long)connections.responder->max_streams);
	else
		out_length = record_unknown_type(out, a->scan.type);
	memmove(a->bytes.data, a->bytes.data + length, a->bytes.length - length);
	a->bytes.length -= length;
	arrival_init(&a->scan);
	/* A peer that does not take it at once is none. */
	return reply(c, out, out_length) == (ssize_t)out_length;
}

/* A whole request: if there are no descriptors at the moment, it is looked at again by and by. */
static void take_request(struct connection *c)
{
	struct arriving *a = c->arriving;
	enum parse_result result = parse_request(a->bytes.data, a->scan.length, use_request, c);

	c->waits = result == PARSE_LATER;
	if (result == PARSE_FAILED) {
		metrics_refused(REFUSED_PROTOCOL);
		end(c);
	}
}

/* Looks at what has arrived, and does what it calls for. */
static void look(struct connection *c)
{
	struct arriving *a = c->arriving;
	enum arrival_state state;

	while ((state = arrival_scan(&a->scan, a->bytes.data, a->bytes.length)) ==
		ARRIVAL_MANAGEMENT)
		if (!manage(c)) {
			end(c);
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
		metrics_refused(REFUSED_PROTOCOL);
		log_debug("a peer sent what is not FastCGI");
		end(c);
		break;
	default:
		break;
	}
}

/* Reads what is there. -1: the peer is gone; 0: nothing now. */
static ssize_t receive(struct connection *c, uint8_t *bytes, size_t size)
{
	ssize_t got;

	do
		got = recv(c->fd, bytes, size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}

static void read_arriving(struct connection *c)
{
	struct buffer *b = &c->arriving->bytes;
	/* Most requests are small: a first bite that holds them, then more. */
	size_t size = b->length ? READ_CHUNK : 2048;
	uint8_t *room;
	ssize_t got;

	if (size > b->max - b->length)
		size = b->max - b->length;
	if (size == 0 || !(room = buffer_reserve(b, size))) {
		refuse_large(c);
		return;
	}
	got = receive(c, room, size);
	if (got < 0) {
		end(c);
	} else if (got > 0) {
		b->length += (size_t)got;
		look(c);
	}
}

/* That it is gone, most often. */
static void read_streaming(struct connection *c)
{
	uint8_t bytes[4096];
	ssize_t got = receive(c, bytes, sizeof(bytes));

	if (got < 0)
		fanout_gone(connections.responder->fanout, &c->subscriber, LEAVE_CLIENT);
	else
		hear(c, bytes, (size_t)got);
}

static void read_away(struct connection *c)
{
	uint8_t bytes[4096];

	if (receive(c, bytes, sizeof(bytes)) < 0)
		end(c);
}

static void ready(struct loop_poll *p, int events, bool failed)
{
	struct connection *c =
		(struct connection *)(void *)((char *)p - offsetof(struct connection, poll));

	if (failed) {
		if (c->phase == PHASE_STREAMING)
			fanout_gone(connections.responder->fanout, &c->subscriber, LEAVE_CLIENT);
		else
			end(c);
		return;
	}
	if (events & LOOP_WRITE) {
		if (c->phase == PHASE_STREAMING)
			fanout_writable(connections.responder->fanout, &c->subscriber);
		else if (c->phase == PHASE_ANSWERING)
			write_answer(c);
	}
	if (!(events & LOOP_READ))
		return;
	if (c->phase == PHASE_ARRIVING)
		read_arriving(c);
	else if (c->phase == PHASE_STREAMING)
		read_streaming(c);
	else if (c->phase == PHASE_LINGERING)
		read_away(c);
}

/*
 * Too slow: a request that never became whole gets an answer, what took no answer is closed. A request
 * that waits for descriptors is looked at again.
 */
static void deadlines_due(struct loop_timer *timer)
{
	int64_t now_ms = clock_ms();
	struct connection *c, *next;

	for (c = connections.all; c && connections.timed > 0; c = next) {
		next = c->next;
		if (c->deadline_ms && now_ms < c->deadline_ms && c->waits)
			look(c);
		if (!c->deadline_ms || now_ms < c->deadline_ms)
			continue;
		if (c->phase == PHASE_ARRIVING && !c->waits)
			refuse_early(c, 408, "the request did not arrive whole in 10 seconds");
		else
			end(c);
	}
}

void connections_init(struct responder *responder)
{
	connections.responder = responder;
	loop_timer_init(&connections.deadlines, deadlines_due, NULL);
}

bool connection_begin(int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c)
		c->arriving = calloc(1, sizeof(*c->arriving));
	if (!c || !c->arriving || !loop_poll_begin(&c->poll, fd, ready)) {
		if (c)
			free(c->arriving);
		free(c);
		close(fd);
		return false;
	}
	c->sink.operations = &operations;
	c->fd = fd;
	arrival_init(&c->arriving->scan);
	buffer_init(&c->arriving->bytes, ARRIVAL_BYTES_MAX);
	c->next = connections.all;
	if (c->next)
		c->next->previous = c;
	connections.all = c;
	connections.count++;
	set_deadline(c, ARRIVAL_MS);
	/* The request is most often there already: this saves a round of the loop. */
	read_arriving(c);
	if (c->phase == PHASE_ARRIVING)
		loop_poll_set(&c->poll, LOOP_READ);
	return true;
}

size_t connections_count(void)
{
	return connections.count;
}

void connections_on_end(void (*ended)(void))
{
	connections.ended = ended;
}

void connections_close_all(void)
{
	while (connections.all) {
		struct connection *c = connections.all;

		if (c->phase == PHASE_STREAMING)
			fanout_gone(connections.responder->fanout, &c->subscriber, LEAVE_SHUTDOWN);
		else
			end(c);
	}
}
