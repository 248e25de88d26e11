/*
 * What connection.c (the connection, its streams and answers), connection_arriving.c (a request in the
 * making) and connection_held.c (an answer whose end waits) share. For nobody else.
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

/* A request in the making: only until it is whole. */
struct arriving {
	struct arrival scan;
	struct buffer bytes;
	unsigned managed; /* management records that came before the request */
};

/* In the list of those that are held, oldest first. */
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
	struct record_scanner scanner; /* of what comes while a stream runs, or an answer is held */
	int fd;
	uint8_t phase;
	bool waits; /* the request is whole; there were no descriptors to parse it with */
	bool whole; /* all that came was the request: nothing need be lingered for */
	bool hold; /* the end of the answer is to wait */
};

struct connections {
	struct responder *responder;
	struct connection *all;
	size_t count, timed; /* timed: with a deadline */
	struct loop_timer deadlines;
	void (*ended)(void);
};

extern struct connections connections;

/* It is ended when this time is over; 0: whenever it likes. */
void connection_set_deadline(struct connection *c, int64_t after_ms);

/* Reads what is there. -1: the peer is gone; 0: nothing now. */
ssize_t connection_receive(struct connection *c, uint8_t *bytes, size_t size);

/* Writes all of it, or it is of no use to go on: false. */
bool connection_reply(struct connection *c, const uint8_t *bytes, size_t length);

/*
 * Sends CGI output (may be empty) as FCGI_STDOUT, then FCGI_END_REQUEST, and sees to the end. Where c->hold
 * is set, the latter waits: see connection_held.c.
 */
void connection_answer(struct connection *c, uint16_t request_id, const struct buffer *bytes,
	uint8_t protocol_status);

/* Opens the stream of a response. behind[0..length): what came with the request, and is not of it. */
void connection_stream(struct connection *c, struct response *response, uint16_t request_id,
	const uint8_t *behind, size_t length);

/* The connection is over; it stays in memory until the loop lets go of it. */
void connection_end(struct connection *c);

/* Gives the peer a while for the answer, or for what is left of it. */
void connection_begin_answering(struct connection *c);

/* Sets up what is needed for a request to arrive. False without memory. */
bool connection_arriving_begin(struct connection *c);

/* Bytes have come: reads them, and acts when they are a request. */
void connection_arriving_read(struct connection *c);

/* A request that waits for descriptors: looks for them again. */
void connection_arriving_again(struct connection *c);

/* The request has not become whole in its time, or has found no descriptors. */
void connection_arriving_late(struct connection *c);

/* Gives back its memory, if there is any. */
void connection_arriving_drop(struct connection *c);

/* Sets up the timer of those that are held; once. */
void connection_held_init(void);

/* All of an answer but FCGI_END_REQUEST has gone out: the rest waits. */
void connection_held_begin(struct connection *c);

/* Bytes have come, or the peer has left. */
void connection_held_read(struct connection *c);

/* It ends: it is held no longer. */
void connection_held_drop(struct connection *c);

#endif
