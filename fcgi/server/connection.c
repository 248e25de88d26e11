#include "server/connection_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "config/setting.h"
#include "stream/fanout.h"

enum {
	ANSWER_MS = 10000, /* time for the peer to take an answer */
	LINGER_MS = 2000, /* time for the peer to stop sending and close */
	LAST_ARRIVAL_MS = 1500, /* time for a request to arrive at shutdown, which ends after 4 s */
	GRACE_MS = 1000, /* time for a request to arrive when other connections need descriptors */
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

/* Same answer as epoll: a socket with room for only a few bytes is not ready. */
static bool sink_would_take(struct sink *sink)
{
	struct pollfd p = {.fd = ((struct connection *)sink)->fd, .events = POLLOUT};

	return poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
}

static void sink_finished(struct sink *sink)
{
	struct connection *c = (struct connection *)sink;

	c->kind->finished(c);
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

/* The memory is freed later, once the poll has ended. */
void connection_end(struct connection *c)
{
	if (c->phase == PHASE_ENDED)
		return;
	connection_held_drop(c);
	c->phase = PHASE_ENDED;
	connection_set_deadline(c, 0);
	c->kind->drop(c);
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
 * Closing the connection while the peer is still sending would lose the answer. So this reads and
 * discards input until the peer closes, for at most LINGER_MS.
 */
void connection_linger(struct connection *c)
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
	uint32_t until = c->answer_length - (c->hold ? c->answer_end : 0);
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
		c->kind->answered(c);
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

/* Reads while streaming. Usually this means that the peer has closed. */
static void read_streaming(struct connection *c)
{
	uint8_t bytes[4096];
	ssize_t got = connection_receive(c, bytes, sizeof(bytes));

	if (got < 0)
		fanout_gone(connections.responder->fanout, &c->subscriber, LEAVE_CLIENT);
	else
		c->kind->hear(c, bytes, (size_t)got);
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
	/* Requests must not delay the streams. If the round is long, the next one reads this. */
	if (c->phase == PHASE_ARRIVING && !loop_round_is_long())
		c->kind->read(c);
	else if (c->phase == PHASE_STREAMING)
		read_streaming(c);
	else if (c->phase == PHASE_HELD)
		connection_held_read(c);
	else if (c->phase == PHASE_LINGERING)
		read_away(c);
}

/*
 * Handles a passed deadline. First handles input or writability that the loop has not reached yet.
 * If that changes nothing, answers an incomplete request, or closes a peer that took no answer.
 */
static void be_too_late(struct connection *c)
{
	int64_t deadline_ms = c->deadline_ms;
	uint8_t phase = c->phase;

	if (phase == PHASE_ANSWERING)
		write_answer(c);
	else if (phase == PHASE_ARRIVING)
		c->kind->read(c);
	if (c->phase != phase || c->deadline_ms != deadline_ms)
		return;
	if (phase == PHASE_ARRIVING)
		c->kind->late(c);
	else
		connection_end(c);
}

/* Also retries the requests that wait for descriptors. */
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
		else if (c->phase == PHASE_ARRIVING && c->kind->again)
			c->kind->again(c);
	}
}

/* config has already validated the texts. */
static void read_trusted(const char *const *texts)
{
	static struct network proxies[SETTING_LIST_MAX];

	connections.trust.proxies = proxies;
	for (; *texts; texts++)
		if (!strcmp(*texts, "unix"))
			connections.trust.trust_unix = true;
		else if (network_read(&proxies[connections.trust.count], *texts))
			connections.trust.count++;
}

void connections_init(struct responder *responder)
{
	read_trusted(responder->config->trusted_proxies);
	connections.responder = responder;
	loop_timer_init(&connections.deadlines, deadlines_due, NULL);
	connection_held_init();
}

static const struct connection_kind *kind_of(enum listen_protocol protocol)
{
	return protocol == LISTEN_FOR_FASTCGI ? &connection_fastcgi : &connection_http;
}

bool connection_begin(int fd, enum listen_protocol protocol)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c || !loop_poll_begin(&c->poll, fd, LOOP_READ, ready)) {
		free(c);
		close(fd);
		return false;
	}
	c->kind = kind_of(protocol);
	c->serves_pages = protocol == LISTEN_FOR_PAGES;
	c->sink.operations = &operations;
	c->fd = fd;
	c->next = connections.all;
	if (c->next)
		c->next->previous = c;
	connections.all = c;
	connections.count++;
	connection_set_deadline(c, CONNECTION_ARRIVAL_MS);
	/* The request has usually arrived already. Reading now saves a round of the loop. */
	c->kind->read(c);
	return true;
}

/* A slow body or a silent peer must not keep descriptors that other connections need. */
static bool may_go(const struct connection *c, int64_t now_ms)
{
	if (c->phase == PHASE_ARRIVING)
		return !c->waits &&
		       (c->idle || now_ms >= c->deadline_ms - CONNECTION_ARRIVAL_MS + GRACE_MS);
	return c->phase == PHASE_LINGERING;
}

bool connections_make_room(void)
{
	int64_t now_ms = clock_awake_ms();
	struct connection *oldest = NULL;

	/* The list begins with the newest. */
	for (struct connection *c = connections.all; c; c = c->next)
		if (may_go(c, now_ms))
			oldest = c;
	if (!oldest)
		return false;
	if (oldest->phase == PHASE_ARRIVING)
		oldest->kind->late(oldest);
	connection_end(oldest);
	return true;
}

size_t connections_count(void)
{
	return connections.count;
}

void connections_let_go(void)
{
	struct connection *c, *next;

	connection_held_let_go();
	for (c = connections.all; c; c = next) {
		next = c->next;
		if (c->phase != PHASE_ARRIVING)
			continue;
		if (c->idle)
			connection_end(c);
		else if (c->deadline_ms > clock_awake_ms() + LAST_ARRIVAL_MS)
			connection_set_deadline(c, LAST_ARRIVAL_MS);
	}
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
