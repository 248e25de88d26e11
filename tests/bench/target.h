/*
 * target: where a client connects, and the request that it sends.
 *
 * "unix:PATH" is a FastCGI responder: the request is as from a web server. "tcp:PORT" is a web
 * server on the loopback: the request is as from a browser's EventSource.
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct target {
	bool http;
	struct sockaddr_storage address;
	socklen_t address_length;
};

struct target_request {
	char bytes[2048];
	size_t length;
};

/* Reads the name. 0, or -1 for a bad one. */
int target_init(struct target *t, const char *name);

enum { TARGET_QUERY_MAX = 110 };

/* The request for a stream. query: up to TARGET_QUERY_MAX bytes; last_event_id: "" for none. */
void target_request(struct target_request *r, const struct target *t, const char *query,
	const char *last_event_id);

enum target_connect { TARGET_CONNECTED, TARGET_CONNECTING, TARGET_FULL, TARGET_FAILED };

/*
 * Starts a non-blocking connection, *fd. TARGET_FULL: the backlog is full; try again later.
 */
enum target_connect target_connect(const struct target *t, int *fd);

/* Sends the request on an established connection. 0, or -1. */
int target_ask(const struct target_request *r, int fd);

#endif
