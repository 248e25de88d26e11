/*
 * request: from the parameters and the body of a FastCGI or CGI request to what is asked for, or
 * to a status and a sentence that says what would be right.
 *
 * Pure. Owns the parsing of methods, query strings, bodies, headers and positions (interface,
 * section 3); never looks anything up: whether a position holds, or a channel is granted, is not
 * its question. Only parameters that a web server sets are trusted; HTTP_* come from the client.
 */
#ifndef ROWTAIL_REQUEST_H
#define ROWTAIL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REQUEST_CHANNELS_MAX = 100,
	REQUEST_EVENTS_MAX = 100,
	REQUEST_EVENT_MAX = 255, /* bytes of an event type asked for */
	REQUEST_SIZE_MAX = 65536, /* parameters and body */
	REQUEST_ID_TEXT_MAX = 64, /* bytes of a position that cannot be honoured, for `gap` */
	REQUEST_SENTENCE_MAX = 400,
};

enum request_method { REQUEST_GET, REQUEST_HEAD, REQUEST_POST, REQUEST_OPTIONS };

/* The FastCGI parameter ROWTAIL_PAGE, which only a web server can set. */
enum request_page { REQUEST_STREAM, REQUEST_METRICS, REQUEST_STATUS, REQUEST_HEALTH };

enum request_position {
	REQUEST_POSITION_NONE, /* none given (an empty one counts as none) */
	REQUEST_POSITION_AT, /* `position`: the largest of the valid ones */
	REQUEST_POSITION_MALFORMED, /* given, and none is a number; `position_text` */
	REQUEST_POSITION_BEYOND, /* no valid one, but one above INT64_MAX; `position_text` */
};

/* Texts in ascending order of their bytes, each once. */
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
	enum request_position position_kind;
	int64_t position; /* >= 0 */
	char position_text[REQUEST_ID_TEXT_MAX + 1]; /* valid UTF-8, cut between characters */
	int64_t tail; /* -1: not asked for */
	bool envelope;
	bool positions; /* position records; default: not for POST */
	bool accepts_stream; /* Accept names text/event-stream */

	/* As they came, or NULL; all live as long as the request. */
	const char *origin;
	const char *requested_headers; /* of a CORS preflight */
	const char *remote_user; /* NULL when empty */
	const char *remote_addr; /* "" when unknown */
	const char *authorization;
	const char *cookie;
	const char *access_token; /* of the query string or the body */

	void *memory; /* owned: everything that the pointers above point to */
};

/* Why a request gets no stream. */
struct request_problem {
	int status; /* 400, 405, 413, 415, 500; 503 without memory */
	char sentence[REQUEST_SENTENCE_MAX]; /* UTF-8, one line: which parameter, what is right */
};

/*
 * Parses. params: "NAME=value" strings, NULL at the end (libfcgi's and CGI's environment alike);
 * the first of two equal names counts, but every Last-Event-ID is read. body: of a POST, read to its end; may be NULL when empty.
 * Copies what it keeps. Returns 0 and fills *r, to be given to request_free(); or -1 and fills
 * *problem, and then in *r only method, origin, requested_headers, accepts_stream, remote_addr are
 * of use (for the CORS headers and the kind of the answer), and it must be freed as well.
 * For OPTIONS and for pages other than the stream, neither query nor body is looked at, and the
 * lists stay empty. An empty ROWTAIL_PAGE counts as none.
 */
int request_parse(struct request *r, char *const *params, const void *body, size_t body_length,
	struct request_problem *problem);

/* Gives back what request_parse() took; harmless for a zeroed request. */
void request_free(struct request *r);

/*
 * The value of a parameter in a "NAME=value" list, or NULL; the first of equal names. Borrowed.
 */
const char *request_param(char *const *params, const char *name);

#endif
