#include "server/cgi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "base/metrics.h"

enum {
	BODY_MS = 10000,
	LOOK_MS = 100, /* how often signals and the clock are checked while reading a body */
	HANGUP_MS = 500, /* how often a pipe that can't be watched is checked */
};

static struct {
	struct sink sink;
	struct subscriber subscriber;
	struct loop_poll out;
	struct loop_timer hangup, held;
	bool polled; /* standard output can be watched by the loop */
	bool running;
	bool said; /* something has been written */
	struct responder *responder;
} cgi;

static ssize_t write_out(struct sink *sink, const struct iovec *iov, int count)
{
	ssize_t sent;

	do
		sent = writev(STDOUT_FILENO, iov, count);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		cgi.said = true;
		metrics_add(METRIC_BYTES_SENT, (uint64_t)sent);
		return sent;
	}
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

static void want_write(struct sink *sink, bool want)
{
	if (cgi.polled)
		loop_poll_set(&cgi.out, want ? LOOP_WRITE : 0);
}

static void finished(struct sink *sink)
{
	cgi.running = false;
	loop_stop();
}

static bool would_take(struct sink *sink)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
}

static const struct sink_operations operations = {.write = write_out,
	.want_write = want_write,
	.would_take = would_take,
	.finished = finished};

/*
 * Only HUP and ERR mean that the reader is gone. Under Apache's mod_cgid, standard input and output
 * are one socket, whose other half is closed from the start.
 */
static bool is_hung_up(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void out_ready(struct loop_poll *p, int events, bool failed)
{
	if (failed)
		fanout_gone(cgi.responder->fanout, &cgi.subscriber, LEAVE_CLIENT);
	else if (events & LOOP_WRITE)
		fanout_writable(cgi.responder->fanout, &cgi.subscriber);
}

static void end_held(struct loop_timer *timer)
{
	loop_stop();
}

static void look_for_held_hangup(struct loop_timer *timer)
{
	if (is_hung_up())
		loop_stop();
}

/* The answer is written; this process waits before it ends. */
static void begin_hold(void)
{
	loop_timer_init(&cgi.held, end_held, NULL);
	loop_timer_start(&cgi.held, RESPONDER_HOLD_MS, 0);
	loop_timer_init(&cgi.hangup, look_for_held_hangup, NULL);
	loop_timer_start(&cgi.hangup, HANGUP_MS, HANGUP_MS);
}

static void look_for_hangup(struct loop_timer *timer)
{
	if (cgi.running && is_hung_up()) {
		fanout_gone(cgi.responder->fanout, &cgi.subscriber, LEAVE_CLIENT);
		return;
	}
	/* epoll cannot watch a regular file or a terminal; these always accept bytes. */
	if (cgi.running && !cgi.polled)
		fanout_writable(cgi.responder->fanout, &cgi.subscriber);
}

/* The extra byte shows that a body is too large. */
static size_t body_max(void)
{
	return (cgi.responder->body_max ? cgi.responder->body_max : REQUEST_SIZE_MAX) + 1;
}

/* Waits a moment for bytes; returns how many came. *ended: no more will come. */
static size_t read_some(uint8_t *bytes, size_t size, bool *ended)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	int count = poll(&p, 1, LOOK_MS);
	ssize_t got = count > 0 ? read(STDIN_FILENO, bytes, size) : -1;

	*ended = count != 0 && (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN));
	return got > 0 ? (size_t)got : 0;
}

/*
 * Reads and discards the rest of a body that is too large. Apache's mod_cgid writes the whole
 * body before it reads the answer, and closes the client's connection without one if the program
 * has ended.
 */
static void read_away(unsigned long long left, int64_t until_ms)
{
	static uint8_t bytes[32768];
	bool ended = false;

	while (left > 0 && !ended && clock_awake_ms() < until_ms && !cgi.responder->closing) {
		left -= read_some(bytes, left < sizeof(bytes) ? left : sizeof(bytes), &ended);
		loop_look();
	}
}

/*
 * Reads the body up to its announced length, or to the end if no length is announced (chunked
 * bodies). *whole: all of it came. If no length is announced and nothing comes, there is no body.
 * Handles signals meanwhile, and stops waiting when rowtail is to end.
 */
static size_t read_body(uint8_t *body, const char *content_length, bool *whole)
{
	bool announced = content_length && *content_length && *content_length != '-', ended = false;
	unsigned long long whole_length =
		announced ? strtoull(content_length, NULL, 10) : ULLONG_MAX;
	size_t length = 0, wanted = whole_length < body_max() ? whole_length : body_max();
	int64_t until_ms = clock_awake_ms() + BODY_MS;

	do {
		if (length == wanted || ended)
			break;
		length += read_some(body + length, wanted - length, &ended);
		loop_look();
	} while (clock_awake_ms() < until_ms && !cgi.responder->closing);
	*whole = length == wanted || (!announced && (ended || length == 0));
	if (length == body_max())
		read_away(whole_length - length, until_ms);
	return length;
}

/*
 * Needs no memory. Otherwise the server would send its own error, which would end an EventSource.
 */
static void write_excuse(void)
{
	static const char stream[] = "Status: 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
				     "retry: 5000\n: there is no memory; try again later\n";
	static const char other[] = "Status: 503 Service Unavailable\r\nRetry-After: 5\r\n"
				    "Content-Type: text/plain\r\n\r\n"
				    "there is no memory; try again later\n";
	const char *text =
		!cgi.responder->respond && request_accepts_stream(environ) ? stream : other;

	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		log_warn("there was no memory for an answer, and standard output is closed");
}

/* Writes a finite answer completely; nobody else is waiting. */
static void write_whole(const struct buffer *bytes)
{
	size_t at = 0;

	while (at < bytes->length) {
		ssize_t sent = write(STDOUT_FILENO, bytes->data + at, bytes->length - at);

		cgi.said = true;
		if (sent > 0)
			at += (size_t)sent;
		else if (sent < 0 && errno != EINTR)
			return;
	}
}

/*
 * Only POST can have a body of unknown length. With other methods, waiting for the end of standard
 * input could take for ever if the server leaves it open.
 */
static bool may_have_body(const char *method, const char *content_length)
{
	if (!method || !strcmp(method, "GET") || !strcmp(method, "HEAD"))
		return false;
	return !strcmp(method, "POST") || (content_length && *content_length);
}

static bool begin_stream(struct response *response)
{
	fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
	cgi.polled = loop_poll_begin(&cgi.out, STDOUT_FILENO, 0, out_ready);
	cgi.sink.operations = &operations;
	cgi.running = true;
	loop_timer_init(&cgi.hangup, look_for_hangup, NULL);
	loop_timer_start(&cgi.hangup, HANGUP_MS, HANGUP_MS);
	if (!responder_open(cgi.responder, response, &cgi.subscriber, &cgi.sink, &framing_none, 0))
		cgi.running = false;
	return cgi.running;
}

bool cgi_begin(struct responder *responder, char *const *environment)
{
	const char *method = request_param(environment, "REQUEST_METHOD");
	const char *content_length = request_param(environment, "CONTENT_LENGTH");
	struct response response;
	uint8_t *body;
	size_t length = 0;
	bool whole = true, runs = false;

	cgi.responder = responder;
	if (!(body = malloc(body_max())))
		return false;
	responder->alone = true;
	/* Some servers report an error if a script does not read the body, so it is always read. */
	if (may_have_body(method, content_length))
		length = read_body(body, content_length, &whole);
	if (whole)
		responder_decide(responder, environment, body, length, &response);
	else
		responder_refuse(responder, &response, 408,
			"the body of the request did not arrive completely; send it again",
			environment);
	if (response.is_stream)
		runs = begin_stream(&response);
	else
		write_whole(&response.bytes);
	if (response.hold && !response.bytes.failed) {
		begin_hold();
		runs = true;
	}
	response_free(responder, &response);
	free(body);
	return runs;
}

void cgi_close(void)
{
	if (cgi.running)
		fanout_gone(cgi.responder->fanout, &cgi.subscriber, LEAVE_SHUTDOWN);
	if (!cgi.said)
		write_excuse();
}
