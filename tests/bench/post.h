/*
 * post: publishes to a peer that takes events by HTTP POST, on one connection that stays open where
 * the peer lets it.
 *
 * nchan takes the payload as the body. Pushpin's control port takes JSON that holds the event as it
 * goes to the clients, and takes one POST on a connection. Waits for each answer. A payload has no
 * character that JSON escapes.
 */
#ifndef BENCH_POST_H
#define BENCH_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct post {
	int fd; /* -1: not connected */
	uint16_t port;
	const char *path;
	bool pushpin; /* else nchan */
};

/* Connects to a port of the loopback; exits if it cannot. path: borrowed. */
void post_open(struct post *p, uint16_t port, const char *path, bool pushpin);

/* Posts one payload and waits for the answer; exits if it is not 2xx. */
void post_send(struct post *p, const char *data, size_t length);

#endif
