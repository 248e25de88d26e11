/*
 * What these files share, and nobody else uses: connection.c (the connection, its phases and
 * deadlines), connection_fastcgi.c and connection_http.c (what a request and an answer look like)
 * and connection_held.c (an answer whose end waits).
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

/* An incomplete request; freed when it is whole. */
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
	/* ARRIVING: bytes have arrived. Reads them, and acts when the request is whole. */
	void (*read)(struct connection *c);
	/* ARRIVING: tries again what had to wait; may be NULL. */
	void (*again)(struct connection *c);
	/* ARRIVING: the request was not whole in time. */
	void (*late)(struct connection *c);
	/* Frees the memory of an incomplete request, if there is any. */
	void (*drop)(struct connection *c);
	/* STREAMING: the peer has sent something. */
	void (*hear)(struct connection *c, const uint8_t *bytes, size_t length);
	/* HELD: does it mean that the answer should end now? */
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
		struct held held; /* of an answer whose end waits */
	};
	const struct connection_kind *kind;
	union {
		struct arriving *arriving; /* FastCGI */
		struct http_reader *reader; /* HTTP */
	};
	uint8_t *answer; /* framed, with its end (FCGI_END_REQUEST, the last chunk) */
	uint32_t answer_length, answer_sent;
	uint8_t answer_end; /* bytes at the end of the answer that a held one keeps back */
	int64_t deadline_ms; /* by clock_awake_ms(); 0: none (a stream has its own clocks) */
	struct record_scanner scanner; /* of input during a stream or a held answer */
	int fd;
	uint8_t phase;
	bool waits; /* the request is whole, but there were no descriptors to parse it with */
	bool whole; /* the peer sent only the request: no need to linger */
	bool hold; /* the end of the answer must wait */
	/* HTTP. */
	bool serves_pages; /* accepted on --pages */
	bool idle; /* nothing of the next request has arrived */
	bool last; /* no further request is read: the connection ends after this answer */
	uint16_t requests; /* that were read on this connection */
};

struct connections {
	struct responder *responder;
	struct connection *all;
	size_t count, timed; /* timed: with a deadline */
	struct loop_timer deadlines;
	struct http_trust trust;
	void (*ended)(void);
};

enum { CONNECTION_ARRIVAL_MS = 10000 }; /* time for a whole request to arrive */

extern struct connections connections;

/* Ends the connection after this time; 0: no deadline. */
void connection_set_deadline(struct connection *c, int64_t after_ms);

/* Reads what is there. -1: the peer is gone; 0: nothing now. */
ssize_t connection_receive(struct connection *c, uint8_t *bytes, size_t size);

/* Writes all bytes. False if that failed, and the connection is no longer usable. */
bool connection_reply(struct connection *c, const uint8_t *bytes, size_t length);

/* Ends the connection. Its memory stays until the loop lets go of it. */
void connection_end(struct connection *c);

/* Gives the peer time to take the answer, or the rest of it. */
void connection_begin_answering(struct connection *c);

/* Discards what the peer still sends, and closes; at once if the peer sends nothing more. */
void connection_linger(struct connection *c);

/* Sets up the timer of held answers, once. */
void connection_held_init(void);

/* All of an answer but its end has been sent: holds the rest. */
void connection_held_begin(struct connection *c);

/* Bytes have arrived, or the peer has closed. */
void connection_held_read(struct connection *c);

/* Ends all held answers, and holds none from now on. */
void connection_held_let_go(void);

/* The connection ends: takes it off the list. */
void connection_held_drop(struct connection *c);

#endif
