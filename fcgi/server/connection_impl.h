/*
 * What these files share, and nobody else uses: connection.c (the connection, its streams and
 * answers), connection_arriving.c (an incomplete request) and connection_held.c (an answer whose
 * end waits).
 */
#ifndef ROWTAIL_CONNECTION_IMPL_H
#define ROWTAIL_CONNECTION_IMPL_H

#include <sys/types.h>

#include "base/loop.h"
#include "protocol/arrival.h"
#include "protocol/record.h"
#include "server/connection.h"

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

struct connection {
	struct sink sink; /* first: a sink is its connection */
	struct loop_poll poll;
	struct connection *previous, *next; /* all */
	union {
		struct subscriber subscriber; /* of a stream */
		struct held held; /* of an answer whose end waits */
	};
	struct arriving *arriving;
	uint8_t *answer; /* framed, with FCGI_END_REQUEST */
	uint32_t answer_length, answer_sent;
	int64_t deadline_ms; /* by clock_awake_ms(); 0: none (a stream has its own clocks) */
	struct record_scanner scanner; /* of input during a stream or a held answer */
	int fd;
	uint8_t phase;
	bool waits; /* the request is whole, but there were no descriptors to parse it with */
	bool whole; /* the peer sent only the request: no need to linger */
	bool hold; /* the end of the answer must wait */
};

struct connections {
	struct responder *responder;
	struct connection *all;
	size_t count, timed; /* timed: with a deadline */
	struct loop_timer deadlines;
	void (*ended)(void);
};

extern struct connections connections;

/* Ends the connection after this time; 0: no deadline. */
void connection_set_deadline(struct connection *c, int64_t after_ms);

/* Reads what is there. -1: the peer is gone; 0: nothing now. */
ssize_t connection_receive(struct connection *c, uint8_t *bytes, size_t size);

/* Writes all bytes. False if that failed, and the connection is no longer usable. */
bool connection_reply(struct connection *c, const uint8_t *bytes, size_t length);

/*
 * Sends CGI output (may be empty) as FCGI_STDOUT, then FCGI_END_REQUEST, and then ends the
 * connection. If c->hold is set, FCGI_END_REQUEST waits: see connection_held.c.
 */
void connection_answer(struct connection *c, uint16_t request_id, const struct buffer *bytes,
	uint8_t protocol_status);

/* Opens the stream of a response. behind[0..length): bytes that arrived after the request. */
void connection_stream(struct connection *c, struct response *response, uint16_t request_id,
	const uint8_t *behind, size_t length);

/* Ends the connection. Its memory stays until the loop lets go of it. */
void connection_end(struct connection *c);

/* Gives the peer time to take the answer, or the rest of it. */
void connection_begin_answering(struct connection *c);

/* Prepares for a request to arrive. False if there is no memory. */
bool connection_arriving_begin(struct connection *c);

/* Bytes have arrived: reads them, and acts when the request is whole. */
void connection_arriving_read(struct connection *c);

/* Tries again to parse a request that waits for descriptors. */
void connection_arriving_again(struct connection *c);

/* The request was not whole in time, or found no descriptors. */
void connection_arriving_late(struct connection *c);

/* Frees its memory, if there is any. */
void connection_arriving_drop(struct connection *c);

/* Sets up the timer of held answers, once. */
void connection_held_init(void);

/* All of an answer but FCGI_END_REQUEST has been sent: holds the rest. */
void connection_held_begin(struct connection *c);

/* Bytes have arrived, or the peer has closed. */
void connection_held_read(struct connection *c);

/* The connection ends: takes it off the list. */
void connection_held_drop(struct connection *c);

#endif
