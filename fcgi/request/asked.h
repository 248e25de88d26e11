/*
 * asked: the result of parsing a request: what it asks for, or why it gets no stream.
 */
#ifndef ROWTAIL_ASKED_H
#define ROWTAIL_ASKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/position.h"

enum {
	REQUEST_CHANNELS_MAX = 100,
	REQUEST_EVENTS_MAX = 100,
	REQUEST_EVENT_MAX = 255, /* bytes of a requested event type */
	REQUEST_SIZE_MAX = 65536, /* parameters and body */
	REQUEST_SENTENCE_MAX = 400,
	REQUEST_LIMIT_MAX = 1000, /* rows of a JSON answer */
	REQUEST_LIMIT = 100, /* the default */
	REQUEST_WAIT_MAX_S = 60,
};

enum request_method { REQUEST_GET, REQUEST_HEAD, REQUEST_POST, REQUEST_OPTIONS };

/* The FastCGI parameter ROWTAIL_PAGE, which only a web server can set. */
enum request_page {
	REQUEST_STREAM,
	REQUEST_METRICS,
	REQUEST_STATUS,
	REQUEST_STATUS_JSON, /* status.json, or status for who accepts application/json */
	REQUEST_HEALTH,
};

/* Texts in ascending order of their bytes, without duplicates. */
struct request_list {
	const char **text;
	size_t *length;
	size_t count;
};

struct request {
	enum request_method method;
	enum request_page page;

	struct request_list channels; /* valid patterns (channel.h); "default" if none was given */
	struct request_list events; /* empty: all types */
	struct position position;
	bool envelope;
	bool positions; /* position records; default: not for POST */
	bool accepts_stream; /* Accept names text/event-stream, and the client asks for a stream */

	bool json; /* format=json: rows instead of a stream; uses the next three */
	int64_t limit; /* 1 to REQUEST_LIMIT_MAX */
	int64_t wait_s; /* 0 to REQUEST_WAIT_MAX_S */
	int64_t before; /* >= 0; -1: not set */

	/* Unchanged from the client or web server, or NULL. Valid as long as the request. */
	const char *origin;
	const char *requested_headers; /* of a CORS preflight */
	const char *remote_user; /* NULL if empty */
	const char *remote_addr; /* "" if unknown */
	const char *authorization;
	const char *cookie;
	const char *access_token; /* from the query string or the body */

	void *memory; /* owned: everything that the pointers above point to */
};

/* Why a request gets no stream. */
struct request_problem {
	int status; /* 400, 405, 413, 415, 500; 503 without memory */
	char sentence[REQUEST_SENTENCE_MAX]; /* UTF-8, one line: the parameter, the valid values */
};

#endif
