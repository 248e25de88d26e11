#include "server/connection_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "stream/fanout.h"

#include <fastcgi.h>

enum {
	ARRIVAL_MS = 10000, /* time for a whole request to arrive */
	ANSWER_MS = 10000, /* time for the peer to take an answer */
	LINGER_MS = 2000, /* time for the peer to stop sending and close */
	GRACE_MS = 1000, /* time for a request to arrive when there are no descriptors for others */
	REPLIES_MAX = 64, /* replies to records that arrive together while a stream runs */
	DEADLINE_SWEEP_MS = 250,
};

struct connections connections;

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

/* Agrees with epoll: a socket that has room for only a byte or so is not ready. */
static bool sink_would_take(struct sink *sink)
{
	struct pollfd p = {.fd = ((struct connection *)sink)->fd, .events = POLLOUT};

	return poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
}

static void sink_finished(struct sink *sink)
{
	connection_end((struct connection *)sink);
}

static const struct sink_operations operations = {.write = sink_write,
	.want_write = sink_want_write,
	.would_take = sink_would_take,
	.finished = sink_finished};

void connection_set_deadline(struct connection *c, int64_t after_ms)
{
	if (c->deadline_ms)
		connections.timed--;
	c->deadline_ms = after_ms ? clock_awake_ms() + after_ms : 0;
	if (c->deadline_ms && connections.timed++ == 0)
		loop_timer_start(&connections.deadlines, DEADLINE_SWEEP_MS, DEADLINE_SWEEP_MS);
	if (connections.timed == 0)
		loop_timer_stop(&connections.deadlines);
}

static void handle_ended(struct loop_poll *p)
{
	free((char *)p - offsetof(struct connection, poll));
}

/* Its memory is freed when libuv lets go of its handle. */
void connection_end(struct connection *c)
{
	if (c->phase == PHASE_ENDED)
		return;
	connection_held_drop(c);
	c->phase = PHASE_ENDED;
	connection_set_deadline(c, 0);
	connection_arriving_drop(c);
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
 * If the connection were closed while the peer is still sending, the peer would lose the answer. So
 * this reads and discards what it sends until it closes, for a limited time.
 */
static void linger(struct connection *c)
{
	if (c->whole) {
		connection_end(c);
		return;
	}
	shutdown(c->fd, SHUT_WR);
	c->phase = PHASE_LINGERING;
	connection_set_deadline(c, LINGER_MS);
	loop_poll_set(&c->poll, LOOP_READ);
}

static void write_answer(struct connection *c)
{
	uint32_t until = c->answer_length - (c->hold ? RECORD_END_SIZE : 0);
	struct iovec iov = {c->answer + c->answer_sent, until - c->answer_sent};
	ssize_t sent = sink_write(&c->sink, &iov, 1);

	if (sent < 0) {
		connection_end(c);
		return;
	}
	c->answer_sent += (uint32_t)sent;
	if (c->answer_sent < until)
		loop_poll_set(&c->poll, LOOP_WRITE);
	else if (c->hold)
		connection_held_begin(c);
	else
		linger(c);
}

void connection_answer(struct connection *c, uint16_t request_id, const struct buffer *bytes,
	uint8_t protocol_status)
{
	size_t length = bytes ? bytes->length : 0, framed = record_framed_size(length);

	connection_arriving_drop(c);
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
	record_scanner_init(&c->scanner, request_id);
	connection_begin_answering(c);
}

void connection_begin_answering(struct connection *c)
{
	c->phase = PHASE_ANSWERING;
	connection_set_deadline(c, ANSWER_MS);
	write_answer(c);
}

ssize_t connection_receive(struct connection *c, uint8_t *bytes, size_t size)
{
	ssize_t got;

	do
		got = recv(c->fd, bytes, size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}

bool connection_reply(struct connection *c, const uint8_t *bytes, size_t length)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, length};

	return sink_write(&c->sink, &iov, 1) == (ssize_t)length;
}

/*
 * Sends a reply while a stream runs, but only between two of the stream's records. A peer that asks
 * within a record, or takes no bytes, gets no reply. False if only part of it was sent: then the
 * stream is unreadable.
 */
static bool reply_between(struct connection *c, const uint8_t *bytes, size_t length)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, length};
	ssize_t sent;

	if (c->subscriber.cut || c->subscriber.pending)
		return true;
	sent = sink_write(&c->sink, &iov, 1);
	return sent == 0 || sent == (ssize_t)length;
}

/* Handles what a web server sends after a request, while its stream runs. */
static void hear(struct connection *c, const uint8_t *bytes, size_t length)
{
	struct fanout *f = connections.responder->fanout;
	uint8_t out[RECORD_VALUES_MAX];
	size_t at = 0, used, replies = 0;
	bool whole = true;

	/* Limits the replies, since each is a write. Web servers ask for fewer. */
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
			/* Its body is skipped, so FCGI_GET_VALUES gets an empty answer. */
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

/* Reads while streaming. Usually this means that the peer has closed. */
static void read_streaming(struct connection *c)
{
	uint8_t bytes[4096];
	ssize_t got = connection_receive(c, bytes, sizeof(bytes));

	if (got < 0)
		fanout_gone(connections.responder->fanout, &c->subscriber, LEAVE_CLIENT);
	else
		hear(c, bytes, (size_t)got);
}

void connection_stream(struct connection *c, struct response *response, uint16_t request_id,
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

static void read_away(struct connection *c)
{
	uint8_t bytes[4096];

	if (connection_receive(c, bytes, sizeof(bytes)) < 0)
		connection_end(c);
}

static void ready(struct loop_poll *p, int events, bool failed)
{
	struct connection *c =
		(struct connection *)(void *)((char *)p - offsetof(struct connection, poll));

	if (failed) {
		if (c->phase == PHASE_STREAMING)
			fanout_gone(connections.responder->fanout, &c->subscriber, LEAVE_CLIENT);
		else
			connection_end(c);
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
	/* Many requests must not delay the streams. The loop reports this connection again. */
	if (c->phase == PHASE_ARRIVING && !loop_round_is_long())
		connection_arriving_read(c);
	else if (c->phase == PHASE_STREAMING)
		read_streaming(c);
	else if (c->phase == PHASE_HELD)
		connection_held_read(c);
	else if (c->phase == PHASE_LINGERING)
		read_away(c);
}

/*
 * A deadline has passed. An incomplete request gets an answer; a peer that took no answer is
 * closed. But first handles what the peer did a moment ago and the loop has not reached yet.
 */
static void be_too_late(struct connection *c)
{
	uint8_t phase = c->phase;

	if (phase == PHASE_ANSWERING)
		write_answer(c);
	else if (phase == PHASE_ARRIVING)
		connection_arriving_read(c);
	if (c->phase != phase)
		return;
	if (phase == PHASE_ARRIVING)
		connection_arriving_late(c);
	else
		connection_end(c);
}

/* Also tries again the requests that wait for descriptors. */
static void deadlines_due(struct loop_timer *timer)
{
	int64_t now_ms = clock_awake_ms();
	struct connection *c, *next;

	for (c = connections.all; c && connections.timed > 0; c = next) {
		next = c->next;
		if (!c->deadline_ms)
			continue;
		if (now_ms >= c->deadline_ms)
			be_too_late(c);
		else if (c->phase == PHASE_ARRIVING)
			connection_arriving_again(c);
	}
}

void connections_init(struct responder *responder)
{
	connections.responder = responder;
	loop_timer_init(&connections.deadlines, deadlines_due, NULL);
	connection_held_init();
}

bool connection_begin(int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c || !connection_arriving_begin(c) || !loop_poll_begin(&c->poll, fd, ready)) {
		if (c)
			connection_arriving_drop(c);
		free(c);
		close(fd);
		return false;
	}
	c->sink.operations = &operations;
	c->fd = fd;
	c->next = connections.all;
	if (c->next)
		c->next->previous = c;
	connections.all = c;
	connections.count++;
	connection_set_deadline(c, ARRIVAL_MS);
	/* The request has usually arrived already: this saves a round of the loop. */
	connection_arriving_read(c);
	if (c->phase == PHASE_ARRIVING)
		loop_poll_set(&c->poll, LOOP_READ);
	return true;
}

/* A slow body, or a silent peer, must not hold descriptors that others need. */
static bool may_go(const struct connection *c, int64_t now_ms)
{
	if (c->phase == PHASE_ARRIVING)
		return !c->waits && now_ms >= c->deadline_ms - ARRIVAL_MS + GRACE_MS;
	return c->phase == PHASE_LINGERING;
}

bool connections_make_room(void)
{
	int64_t now_ms = clock_awake_ms();
	struct connection *oldest = NULL;

	/* The newest comes first in the list. */
	for (struct connection *c = connections.all; c; c = c->next)
		if (may_go(c, now_ms))
			oldest = c;
	if (!oldest)
		return false;
	if (oldest->phase == PHASE_ARRIVING)
		connection_arriving_late(oldest);
	connection_end(oldest);
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
			connection_end(c);
	}
}
