/*
 * HTTP: reads requests one after the other, frames answers, and keeps the connection open for the
 * next request where that is safe.
 */
#include "server/connection_impl.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/logging.h"
#include "protocol/framing.h"
#include "server/http_answer.h"
#include "server/http_params.h"
#include "stream/fanout.h"
#include "stream/poll.h"

enum {
	READ_CHUNK = 16384,
	IDLE_MS = 75000, /* for the next request; longer than the 60 s of most load balancers */
	REQUESTS_MAX = 1000, /* on one connection */
	TOGETHER_MAX = 16, /* pipelined requests answered in one round */
	ANSWER_MAX = 2 << 20,
};

static const char end_of_chunks[] = "0\r\n\r\n";

static void drop(struct connection *c)
{
	http_free(c->reader);
	c->reader = NULL;
}

/* The address of the peer. False for a unix socket. */
static bool peer_of(const struct connection *c, struct network *peer)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	const struct sockaddr_in6 *v6 = (const void *)&address;
	const struct sockaddr_in *v4 = (const void *)&address;

	if (getpeername(c->fd, (struct sockaddr *)&address, &length) < 0)
		return false;
	*peer = (struct network){.bytes = {[10] = 0xff, [11] = 0xff}, .bits = 128};
	if (address.ss_family == AF_INET)
		memcpy(peer->bytes + 12, &v4->sin_addr, 4);
	else if (address.ss_family == AF_INET6)
		memcpy(peer->bytes, &v6->sin6_addr, 16);
	else
		return false;
	return true;
}

/* The parameters of the request. False if there is no memory. */
static bool make_params(
	struct connection *c, const struct http_request *q, struct http_params *params)
{
	char client[NETWORK_TEXT];
	struct network peer;
	bool known = peer_of(c, &peer);
	struct http_place place = {.mount = connections.responder->config->http_path,
		.page = c->serves_pages ? http_params_page(q->target) : NULL,
		.remote_addr = client};

	http_params_client(client, known ? &peer : NULL, &connections.trust, q);
	return http_params_make(params, q, &place);
}

static bool is_head(const struct connection *c)
{
	const struct http_request *q = c->reader ? http_request(c->reader) : NULL;

	return q && !strcmp(q->method, "HEAD");
}

static bool is_1_0(const struct connection *c)
{
	const struct http_request *q = c->reader ? http_request(c->reader) : NULL;

	return q && q->is_1_0;
}

/* Appends the answer to out: head and body. A held answer in chunks also gets its last chunk. */
static void write_answer(struct connection *c, struct buffer *out, const struct buffer *cgi)
{
	struct http_frame frame = {.body = HTTP_BODY_LENGTH, .close = c->last, .now = time(NULL)};
	size_t head, body;

	/* A held answer is an event stream. */
	if (is_head(c))
		frame.body = HTTP_BODY_NONE;
	else if (c->hold)
		frame.body = is_1_0(c) ? HTTP_BODY_CLOSE : HTTP_BODY_CHUNKED;
	head = http_answer_head(out, cgi->data, cgi->length, &frame);
	body = cgi->length - head;
	c->answer_end = 0;
	if (frame.body == HTTP_BODY_CHUNKED) {
		buffer_printf(out, "%zx\r\n", body);
		buffer_append(out, cgi->data + head, body);
		buffer_printf(out, "\r\n%s", end_of_chunks);
		c->answer_end = sizeof(end_of_chunks) - 1;
	} else if (frame.body != HTTP_BODY_NONE) {
		buffer_append(out, cgi->data + head, body);
	}
}

static void answer(struct connection *c, const struct buffer *cgi)
{
	struct buffer out;

	buffer_init(&out, ANSWER_MAX);
	if (!cgi->failed)
		write_answer(c, &out, cgi);
	drop(c);
	if (cgi->failed || out.failed || out.length == 0) {
		buffer_free(&out);
		connection_end(c);
		return;
	}
	c->answer = out.data;
	c->answer_length = (uint32_t)out.length;
	c->answer_sent = 0;
	connection_begin_answering(c);
}

/* Refuses the request and ends the connection. params may be NULL. */
static void refuse(struct connection *c, int status, const char *sentence, char *const *params)
{
	struct response response;

	responder_refuse(connections.responder, &response, status, sentence, params);
	c->hold = false;
	answer(c, &response.bytes);
	response_free(connections.responder, &response);
}

/* Refuses a request that is malformed, too large or too slow. The rest may still arrive. */
static void refuse_early(struct connection *c, int status, const char *sentence)
{
	const struct http_request *q = http_request(c->reader);
	struct http_params params = {0};

	c->last = true;
	c->whole = false;
	log_debug("an HTTP request was refused: %s", sentence);
	refuse(c, status, sentence, q && make_params(c, q, &params) ? params.list : NULL);
	http_params_free(&params);
}

/* Writes cgi to *out with an HTTP head in place of its CGI head. A body is copied unchanged. */
static bool translate(
	const struct http_frame *frame, const uint8_t *cgi, size_t length, struct buffer *out)
{
	size_t head;

	buffer_init(out, ANSWER_MAX);
	head = http_answer_head(out, cgi, length, frame);
	buffer_append(out, cgi + head, length - head);
	return !out->failed;
}

/* Replaces the CGI heads in a response by HTTP heads. False if there is no memory. */
static bool translate_heads(struct response *response, const struct http_frame *frame)
{
	struct buffer head = {0}, later = {0};
	bool done;

	if (!response->poll) {
		done = !response->bytes.failed &&
		       translate(frame, response->bytes.data, response->bytes.length, &head);
		buffer_free(&response->bytes);
		response->bytes = head;
		return done;
	}
	done = translate(frame, poll_head(response->poll), response->poll->head_length, &head) &&
	       translate(frame, poll_later(response->poll), response->poll->later_length, &later);
	done = done && poll_set_texts(&response->poll, &head, &later);
	buffer_free(&head);
	buffer_free(&later);
	return done;
}

/* Opens a stream or a poll. While it runs, no further request is read. */
static void open_stream(struct connection *c, struct response *response)
{
	bool chunked = !is_1_0(c);
	struct http_frame frame = {.body = chunked ? HTTP_BODY_CHUNKED : HTTP_BODY_CLOSE,
		.close = c->last,
		.now = time(NULL)};

	drop(c);
	if (!translate_heads(response, &frame)) {
		connection_end(c);
		return;
	}
	c->phase = PHASE_STREAMING;
	connection_set_deadline(c, 0);
	loop_poll_set(&c->poll, LOOP_READ);
	if (!responder_open(connections.responder, response, &c->subscriber, &c->sink,
		    chunked ? &framing_chunked : &framing_close, 0))
		connection_end(c);
}

static void decide(struct connection *c, const struct http_request *q, char *const *params)
{
	struct response response;

	responder_decide(connections.responder, params, q->body, q->body_length, &response);
	/* An EventSource closes the connection after its stream. */
	c->last |= (response.is_stream && !response.poll) || connections.responder->closing;
	c->hold = response.hold;
	if (response.is_stream)
		open_stream(c, &response);
	else
		answer(c, &response.bytes);
	response_free(connections.responder, &response);
}

/* Is there anything at this URL? */
static bool is_served(const struct connection *c, const struct http_request *q)
{
	if (!strcmp(q->target, "*"))
		return !strcmp(q->method, "OPTIONS");
	if (!strcmp(q->method, "CONNECT"))
		return true; /* refused later, because of its method */
	if (c->serves_pages)
		return http_params_page(q->target);
	return http_params_is_below(q->target, connections.responder->config->http_path);
}

static void refuse_place(struct connection *c, char *const *params)
{
	const char *mount = connections.responder->config->http_path;
	char sentence[512];

	if (c->serves_pages)
		snprintf(sentence, sizeof(sentence),
			"there is nothing here; the pages are /metrics, /status, /status.json "
			"and /health");
	else
		snprintf(sentence, sizeof(sentence),
			"there is nothing here; the streams are at %.400s (--http-path)", mount);
	refuse(c, 404, sentence, params);
}

/* Handles a complete request. `more`: the client has sent bytes after it. */
static void take_request(struct connection *c, bool more)
{
	const struct http_request *q = http_request(c->reader);
	struct http_params params;

	c->whole = !more;
	c->last = !q->keep_alive || ++c->requests >= REQUESTS_MAX || connections.responder->closing;
	if (!make_params(c, q, &params))
		connection_end(c);
	else if (is_served(c, q))
		decide(c, q, params.list);
	else
		refuse_place(c, params.list);
	http_params_free(&params);
}

/* Reads at most one request, and answers it. Returns how many bytes it used. */
static size_t read_one(struct connection *c, const uint8_t *bytes, size_t length)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	size_t used = 0;

	if (!c->reader && !(c->reader = http_new())) {
		connection_end(c);
		return length;
	}
	switch (http_read(c->reader, bytes, length, &used)) {
	case HTTP_WHOLE:
		c->idle = false;
		take_request(c, used < length);
		break;
	case HTTP_BAD:
		c->idle = false;
		refuse_early(c, http_problem(c->reader)->status, http_problem(c->reader)->sentence);
		break;
	case HTTP_NO_MEMORY:
		connection_end(c);
		break;
	case HTTP_MORE:
		if (c->idle && http_has_begun(c->reader)) {
			c->idle = false;
			connection_set_deadline(c, CONNECTION_ARRIVAL_MS);
		}
		if (http_wants_continue(c->reader) &&
			!connection_reply(c, (const uint8_t *)go_on, sizeof(go_on) - 1))
			connection_end(c);
		break;
	}
	return used;
}

static void read_requests(struct connection *c)
{
	uint8_t bytes[READ_CHUNK];
	ssize_t got = connection_receive(c, bytes, sizeof(bytes));
	size_t at = 0;

	if (got < 0) {
		connection_end(c);
		return;
	}
	for (int n = 1; at < (size_t)got && c->phase == PHASE_ARRIVING; n++) {
		size_t before = at;

		/* The last answer of a round tells the client that the connection closes. */
		if (n == TOGETHER_MAX)
			c->requests = REQUESTS_MAX - 1;
		at += read_one(c, bytes + at, (size_t)got - at);
		if (at == before && c->phase == PHASE_ARRIVING)
			break;
	}
	/* If an answer takes time, input after its request is dropped: the client retries. */
	if (at < (size_t)got && c->phase != PHASE_ENDED) {
		c->last = true;
		c->whole = false;
	}
}

/* Closes a silent connection without an answer, because browsers open some in advance. */
static void late(struct connection *c)
{
	if (!c->reader || !http_has_begun(c->reader))
		connection_end(c);
	else
		refuse_early(c, 408, "the request did not arrive completely in 10 seconds");
}

/* Does not answer a request that arrives while a stream runs. */
static void hear(struct connection *c, const uint8_t *bytes, size_t length)
{
	if (length > 0) {
		c->last = true;
		c->whole = false;
	}
}

static bool hears_end(struct connection *c, const uint8_t *bytes, size_t length)
{
	hear(c, bytes, length);
	return false;
}

/* The whole answer was sent. Waits for the next request. */
static void answered(struct connection *c)
{
	free(c->answer);
	c->answer = NULL;
	if (c->last || connections.responder->closing) {
		connection_linger(c);
		return;
	}
	c->phase = PHASE_ARRIVING;
	c->idle = true;
	connection_set_deadline(c, IDLE_MS);
	loop_poll_set(&c->poll, LOOP_READ);
}

static void finished(struct connection *c)
{
	if (c->subscriber.complete)
		answered(c);
	else
		connection_end(c);
}

const struct connection_kind connection_http = {.read = read_requests,
	.late = late,
	.drop = drop,
	.hear = hear,
	.hears_end = hears_end,
	.answered = answered,
	.finished = finished};
