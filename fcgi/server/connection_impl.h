/*
 * Declarations that only these files share: connection.c (the connection, its phases and
 * deadlines), connection_fastcgi.c and connection_http.c (the format of requests and answers) and
 * connection_held.c (held answers).
 */
#ifndef ROWTAIL_CONNECTION_IMPL_H
#define ROWTAIL_CONNECTION_IMPL_H

#include <sys/types.h>

#include "base/loop.h"
#include "protocol/arrival.h"
#include "protocol/http.h"
#include "protocol/record.h"
#include "server/connection.h"
#include "server/http_params.h"

enum phase {
	PHASE_ARRIVING,
	PHASE_STREAMING,
	PHASE_ANSWERING,
	PHASE_HELD,
	PHASE_LINGERING,
	PHASE_ENDED,
};

/* An incomplete request. Freed when the request is complete. */
struct arriving {
	struct arrival scan;
	struct buffer bytes;
	unsigned managed; /* management records that came before the request */
};

/* An entry in the list of held answers, oldest first. */
struct held {
	struct connection *previous, *next;
	int64_t until_ms;
};

/* What differs between FastCGI and HTTP. */
struct connection_kind {
	/* ARRIVING: reads the bytes that have arrived, and acts when the request is complete. */
	void (*read)(struct connection *c);
	/* ARRIVING: retries a request that had to wait; may be NULL. */
	void (*again)(struct connection *c);
	/* ARRIVING: the request was not complete in time. */
	void (*late)(struct connection *c);
	/* Frees the memory of an incomplete request, if there is any. */
	void (*drop)(struct connection *c);
	/* STREAMING: the peer has sent something. */
	void (*hear)(struct connection *c, const uint8_t *bytes, size_t length);
	/* HELD: do the bytes mean that the answer should end now? */
	bool (*hears_end)(struct connection *c, const uint8_t *bytes, size_t length);
	/* ANSWERING: the whole answer was sent. */
	void (*answered)(struct connection *c);
	/* STREAMING: the subscriber has left. */
	void (*finished)(struct connection *c);
};
extern const struct connection_kind connection_fastcgi, connection_http;

struct connection {
	struct sink sink; /* first: a sink is its connection */
	struct loop_poll poll;
	struct connection *previous, *next; /* all */
	union {
		struct subscriber subscriber; /* of a stream */
		struct held held; /* of a held answer */
	};
	const struct connection_kind *kind;
	union {
		struct arriving *arriving; /* FastCGI */
		struct http_reader *reader; /* HTTP */
	};
	uint8_t *answer; /* framed, with its end (FCGI_END_REQUEST, the last chunk) */
	uint32_t answer_length, answer_sent;
	uint8_t answer_end; /* how many bytes at its end a held answer keeps back */
	int64_t deadline_ms; /* by clock_awake_ms(); 0: none (a stream has its own timers) */
	struct record_scanner scanner; /* of input during a stream or a held answer */
	int fd;
	uint8_t phase;
	bool waits; /* the request is complete, but there were no descriptors for it */
	bool whole; /* the peer sent nothing after the request: no need to linger */
	bool hold; /* delay the end of the answer */
	/* HTTP. */
	bool serves_pages; /* accepted on --pages */
	bool idle; /* nothing of the next request has arrived */
	bool last; /* the connection ends after this answer; reads no further request */
	uint16_t requests; /* read on this connection so far */
};

struct connections {
	struct responder *responder;
	struct connection *all;
	size_t count, timed; /* timed: with a deadline */
	struct loop_timer deadlines;
	struct http_trust trust;
	void (*ended)(void);
};

enum { CONNECTION_ARRIVAL_MS = 10000 }; /* time for a request to arrive */

extern struct connections connections;

/* Ends the connection after this time; 0: no deadline. */
void connection_set_deadline(struct connection *c, int64_t after_ms);

/* Reads the available bytes. -1: the peer is gone; 0: nothing now. */
ssize_t connection_receive(struct connection *c, uint8_t *bytes, size_t size);

/* Writes all bytes. False if that failed: then the connection is unusable. */
bool connection_reply(struct connection *c, const uint8_t *bytes, size_t length);

/* Ends the connection. Its memory stays valid until its poll has ended (loop.h). */
void connection_end(struct connection *c);

/* Gives the peer time to take the answer, or the rest of it. */
void connection_begin_answering(struct connection *c);

/* Discards further input, then closes. Closes at once if the peer sends nothing more. */
void connection_linger(struct connection *c);

/* Sets up the timer of held answers. Call once. */
void connection_held_init(void);

/* Holds the end of an answer. The rest has been sent. */
void connection_held_begin(struct connection *c);

/* Call when bytes have arrived or the peer has closed. */
void connection_held_read(struct connection *c);

/* Ends all held answers, and holds none from now on. */
void connection_held_let_go(void);

/* Removes a connection that ends from the list. */
void connection_held_drop(struct connection *c);

#endif
