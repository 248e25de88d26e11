/*
 * target: where the load generator connects to, and the request that it sends there.
 *
 * "unix:PATH" is a FastCGI responder: the request is what a web server would send it. "tcp:PORT" is
 * a web server on the loopback: the request is what a browser's EventSource would send.
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
	char request[2048];
	size_t request_length;
};

/* Reads the name and makes the request; from_id < 0: no position. 0, or -1 for a bad name. */
int target_init(struct target *t, const char *name, int64_t from_id);

enum target_connect { TARGET_CONNECTED, TARGET_CONNECTING, TARGET_FULL, TARGET_FAILED };

/*
 * Begins a connection, non-blocking, *fd. TARGET_FULL: the backlog is full; try again later.
 */
enum target_connect target_connect(const struct target *t, int *fd);

/* Sends the request on a connection that stands. 0, or -1. */
int target_ask(const struct target *t, int fd);

#endif
