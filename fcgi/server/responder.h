/*
 * responder: from a parsed request to a stream that is to be opened, or a finished answer.
 *
 * Owns the order in which a request is looked at: shape, page, limits, log, access, position. The
 * same for FastCGI and CGI: does no I/O with the client itself. Owns the limits on streams.
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
	int64_t max_streams; /* config's, or fewer where the limit of open files allows fewer */
	int64_t started_ms;
	bool closing; /* no new streams */
};

/* How long an answer is held that asks the client to come back. */
enum { RESPONDER_HOLD_MS = 1000 };

/*
 * What is done with a request: a finished answer, or a stream that is to be opened. The names under which
 * a request becomes a stream are three, one for each owner: a response is the responder's until the
 * connection has used it; an opening is the place that is looked for, and goes with the stream until it is
 * found; a subscriber is the stream, for as long as it runs, and its memory is the connection's.
 */
struct response {
	bool is_stream;
	bool hold; /* all of the answer may go out, but its end waits for RESPONDER_HOLD_MS */
	struct buffer bytes; /* a finished answer, or the head of the stream */
	/* Of a stream only. */
	struct filter *filter;
	struct opening *opening;
	struct access_session *session;
	struct tally_entry *client; /* counted already; NULL without a limit */
	enum lane_encoding encoding;
	struct poll *poll; /* the stream is the answer to a poll; NULL: it is not */
	bool bare;
};

/* params and body are borrowed. The response is to be given to response_free(). */
void responder_decide(struct responder *r, char *const *params, const void *body,
	size_t body_length, struct response *response);

/*
 * An answer to what is not a whole request: 408, 413. params: as far as they are known, for the CORS
 * fields; or NULL.
 */
void responder_refuse(struct responder *r, struct response *response, int status,
	const char *sentence, char *const *params);

/*
 * Opens the stream of a response in *s, framed as its sink has it; request_id 0 where the framing has
 * none. What the stream needs is taken out of the response. False without memory: then nothing was
 * written.
 */
bool responder_open(struct responder *r, struct response *response, struct subscriber *s,
	struct sink *sink, const struct framing *framing, uint16_t request_id);

/* May this stream go on? If not, *reason says why. Between access_recheck_begin() and _end(). */
bool responder_recheck(struct responder *r, struct subscriber *s, enum leave_reason *reason);

/* A stream has left: gives its place back. */
void responder_left(struct responder *r, struct subscriber *s);

/* Gives back what was not taken out. */
void response_free(struct responder *r, struct response *response);

#endif
