/*
 * responder: turns a parsed request into a stream to open, or a finished answer.
 *
 * Owns the order of the checks: shape, page, limits, log, access, position. The same for FastCGI
 * and CGI: it does no I/O with the client itself. Owns the limits on streams.
 */
#ifndef ROWTAIL_RESPONDER_H
#define ROWTAIL_RESPONDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access/access.h"
#include "base/tally.h"
#include "config/config.h"
#include "log/eventlog.h"
#include "server/refusal.h"
#include "stream/fanout.h"
#include "stream/opening.h"

/* What one process serves; made once. */
struct responder {
	const struct config *config;
	struct eventlog *log;
	struct fanout *fanout;
	struct access *access;
	struct tally *clients; /* open streams of each client; NULL without a limit */
	int64_t max_streams; /* from config, or lower to fit the open-files limit */
	int64_t started_ms;
	bool closing; /* no new streams */
	bool alone; /* CGI: nobody else waits while a request waits for a lock */
	int64_t impatient_us; /* until this clock_us(), no request waits for a lock */
};

/* How long to hold an answer that asks the client to reconnect. */
enum { RESPONDER_HOLD_MS = 1000 };

/*
 * What becomes of a request: a finished answer, or a stream to open. While a request becomes a
 * stream it has three names, one per owner. A response belongs to the responder until the
 * connection has used it. An opening is the search for the stream's position; it stays with the
 * stream until that is found. A subscriber is the stream while it runs; its memory belongs to the
 * connection.
 */
struct response {
	bool is_stream;
	bool hold; /* all of the answer can be sent, but its end waits for RESPONDER_HOLD_MS */
	struct buffer bytes; /* a finished answer, or the head of the stream */
	/* Only for a stream. */
	struct filter *filter;
	struct opening *opening;
	struct access_session *session;
	struct tally_entry *client; /* counted already; NULL without a limit */
	enum lane_encoding encoding;
	struct poll *poll; /* the stream is the answer to a poll; NULL: it is not */
	bool bare;
};

/* Borrows params and body. The caller frees the response with response_free(). */
void responder_decide(struct responder *r, char *const *params, const void *body,
	size_t body_length, struct response *response);

/*
 * Makes an answer to an incomplete request: 408, 413. params: those that are known, for the CORS
 * fields; or NULL.
 */
void responder_refuse(struct responder *r, struct response *response, int status,
	const char *sentence, char *const *params);

/*
 * Opens the stream of a response in *s, framed for its sink; request_id is 0 if the framing has
 * none. Takes what the stream needs out of the response. False if there is no memory; then nothing
 * was written.
 */
bool responder_open(struct responder *r, struct response *response, struct subscriber *s,
	struct sink *sink, const struct framing *framing, uint16_t request_id);

/*
 * May this stream go on? If not, *reason says why. Call between access_recheck_begin() and _end().
 */
bool responder_recheck(struct responder *r, struct subscriber *s, enum leave_reason *reason);

/* A stream has ended: frees its place. */
void responder_left(struct responder *r, struct subscriber *s);

/* Frees what was not taken out. */
void response_free(struct responder *r, struct response *response);

#endif
