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

/* What is done with a request. */
struct response {
	bool is_stream;
	bool hold; /* all of the answer may go out, but its end waits for RESPONDER_HOLD_MS */
	struct buffer bytes; /* a finished answer, or the head of the stream */
	/* Of a stream only. */
	struct filter *filter;
	struct opening opening;
	struct access_session *session;
	struct tally_entry *client; /* counted already; NULL without a limit */
	bool envelope, bare;
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
 * Opens the stream of a response in *s; request_id 0 for CGI. What the stream needs is taken out of
 * the response. False without memory: then nothing was written.
 */
bool responder_open(struct responder *r, struct response *response, struct subscriber *s,
	struct sink *sink, uint16_t request_id);

/* A stream has left: gives its place back. */
void responder_left(struct responder *r, struct subscriber *s);

/* Gives back what was not taken out. */
void response_free(struct responder *r, struct response *response);

#endif
