/* An incomplete request: collects its bytes until they are whole, then passes it on. */
#include "server/connection_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/logging.h"
#include "base/metrics.h"
#include "protocol/parse.h"

#include <fastcgi.h>

enum {
	READ_CHUNK = 16384,
	MANAGED_MAX = 64, /* before a request; a web server sends one or none */
};

static void arriving_free(struct arriving *a)
{
	if (a)
		buffer_free(&a->bytes);
	free(a);
}

void connection_arriving_drop(struct connection *c)
{
	arriving_free(c->arriving);
	c->arriving = NULL;
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
	connection_answer(c, id, &response.bytes, FCGI_REQUEST_COMPLETE);
	response_free(connections.responder, &response);
}

/* A refusal of an incomplete request. */
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
 * Refuses a request that is too large or too slow. If only the body is incomplete, the parameters
 * are there. Parsed with an empty body, they tell which CORS fields the answer needs; without
 * these, a page of another origin could not read it.
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
		c, 413, "a request, with its parameters and body, can have at most 65536 bytes");
}

static void begin_stream(struct connection *c, struct response *response)
{
	struct arriving *a = c->arriving;

	c->arriving = NULL;
	connection_stream(c, response, a->scan.request_id, a->bytes.data + a->scan.length,
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
	/* If more than the request arrived, the web server may have given up already. */
	c->hold = response.hold && c->whole;
	if (response.is_stream)
		begin_stream(c, &response);
	else
		connection_answer(c, id, &response.bytes, FCGI_REQUEST_COMPLETE);
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

/* Handles a whole request. If there are no descriptors now, it is tried again later. */
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

/* Examines what has arrived, and acts on it. */
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
		connection_answer(c, a->scan.request_id, NULL, FCGI_UNKNOWN_ROLE);
		break;
	case ARRIVAL_ABORTED:
		connection_answer(c, a->scan.request_id, NULL, FCGI_REQUEST_COMPLETE);
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

void connection_arriving_read(struct connection *c)
{
	struct buffer *b = &c->arriving->bytes;
	/* Most requests are small: first read enough for those, then more. */
	size_t size = b->length ? READ_CHUNK : 2048;
	uint8_t *room;
	ssize_t got;

	if (size > b->max - b->length)
		size = b->max - b->length;
	if (size == 0) {
		refuse_large(c);
		return;
	}
	/* Without memory, send no answer: 413 would be wrong, and final. */
	room = buffer_reserve(b, size);
	got = room ? connection_receive(c, room, size) : -1;
	if (got < 0) {
		connection_end(c);
	} else if (got > 0) {
		b->length += (size_t)got;
		look(c);
	}
}

void connection_arriving_again(struct connection *c)
{
	if (c->waits)
		take_request(c);
}

void connection_arriving_late(struct connection *c)
{
	if (c->waits)
		connection_end(c);
	else
		refuse_early(c, 408, "the request did not arrive whole in 10 seconds");
}

bool connection_arriving_begin(struct connection *c)
{
	if (!(c->arriving = calloc(1, sizeof(*c->arriving))))
		return false;
	arrival_init(&c->arriving->scan);
	buffer_init(&c->arriving->bytes, ARRIVAL_BYTES_MAX);
	return true;
}
