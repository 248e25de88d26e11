/*
 * responder: turns a parsed request into a stream to open, or a finished answer.
 *
 * Owns the order of the checks (shape, page, limits, log, access, position) and the limits on
 * streams. Does no I/O with the client, so FastCGI, HTTP, CGI and --follow all use it.
 */
#ifndef ROWTAIL_RESPONDER_H
#define ROWTAIL_RESPONDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access/access.h"
#include "config/config.h"
#include "log/eventlog.h"
#include "request/asked.h"
#include "server/answer.h"
#include "server/refusal.h"
#include "stream/fanout.h"
#include "stream/opening.h"

/* What one process serves. Made once. */
struct responder {
	const struct config *config;
	struct eventlog *log;
	struct fanout *fanout;
	struct access *access;
	int64_t max_streams; /* from config, or lower to fit the open-files limit */
	int64_t started_ms;
	bool closing; /* no new streams */
	bool alone; /* CGI: a request that waits for a lock delays no other */
	int64_t impatient_us; /* until this clock_us(), no request waits for a lock */
	/*
	 * Writes the pages of a program that serves no streams (rowtail-mirror); only config and
	 * closing are needed then. NULL: rowtail's own pages.
	 */
	void (*page)(struct buffer *out, enum request_page which, bool head_only,
		const struct answer_cors *cors);
	/*
	 * Answers every request, in a program that serves no streams (rowtail-publish); only
	 * config, body_max and closing are needed then. NULL: rowtail's own answers.
	 */
	void (*respond)(
		struct buffer *out, char *const *params, const void *body, size_t body_length);
	size_t body_max; /* of a CGI request; 0: REQUEST_SIZE_MAX */
};

/* How long to hold an answer that asks the client to reconnect. */
enum { RESPONDER_HOLD_MS = 1000 };

/*
 * The result of a request: a finished answer, or a stream to open. A stream has three stages, each
 * with its own owner. A response belongs to the responder until the connection has used it. An
 * opening searches for the stream's position, and belongs to the stream until it has found it. A
 * subscriber is the running stream, and its memory belongs to the connection.
 */
struct response {
	bool is_stream;
	bool hold; /* send the answer at once, but its end only after RESPONDER_HOLD_MS */
	struct buffer bytes; /* a finished answer, or the head of the stream */
	/* Only for a stream. */
	struct filter *filter;
	struct opening *opening;
	struct access_session *session;
	char *who; /* see struct subscriber */
	struct census_entry *client; /* counted already; NULL without a limit */
	enum lane_encoding encoding;
	struct poll *poll; /* the poll that the stream answers; NULL: none */
	bool bare;
};

/* Borrows params and body. The caller frees the response with response_free(). */
void responder_decide(struct responder *r, char *const *params, const void *body,
	size_t body_length, struct response *response);

/*
 * Makes the answer to an incomplete request: 408, 413. params: the known parameters, for the CORS
 * fields, or NULL.
 */
void responder_refuse(struct responder *r, struct response *response, int status,
	const char *sentence, char *const *params);

/*
 * Opens the stream of a response in *s, framed for its sink. request_id is 0 if the framing has
 * none. Moves what the stream needs out of the response. If there is no memory, writes nothing and
 * returns false.
 */
bool responder_open(struct responder *r, struct response *response, struct subscriber *s,
	struct sink *sink, const struct framing *framing, uint16_t request_id);

/*
 * May this stream continue? If not, sets *reason. Call between access_recheck_begin() and _end().
 */
bool responder_recheck(
	struct responder *r, struct subscriber *s, enum leave_reason *reason, int64_t *again_ms);

/* Call when a stream has ended. Frees its place. */
void responder_left(struct responder *r, struct subscriber *s);

/* Frees what responder_open() has not moved out. */
void response_free(struct responder *r, struct response *response);

#endif
