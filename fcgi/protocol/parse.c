#include "protocol/parse.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "protocol/arrival.h"
#include "protocol/record.h"

/* What libfcgi may need for a request: a copy of its parameters, and buffers of three streams. */
static size_t libfcgi_memory(void)
{
	return 2 * arrival_bytes_max();
}

/*
 * Two descriptors that are kept for the pair: a connection that took the last one is answered all
 * the same, and the next ones wait.
 */
static int reserve[2] = {-1, -1};

static void fill_reserve(void)
{
	for (int i = 0; i < 2; i++)
		if (reserve[i] < 0)
			reserve[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void give_reserve(void)
{
	for (int i = 0; i < 2; i++) {
		if (reserve[i] >= 0)
			close(reserve[i]);
		reserve[i] = -1;
	}
}

static bool make_pair(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
		return true;
	if (errno != EMFILE && errno != ENFILE)
		return false;
	give_reserve();
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0;
}

bool parse_init(void)
{
	fill_reserve();
	/* Closing must not wait for a peer: there is none here. */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1);
	return FCGX_Init() == 0;
}

/* Writes the bytes and their end to one side of a pair; returns the other side, or -1. */
static int feed_socket(const int pair[2], const uint8_t *bytes, size_t length)
{
	int room = 2 * ARRIVAL_BYTES_MAX;
	ssize_t sent;

	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	sent = send(pair[1], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(pair[1]);
	if (sent == (ssize_t)length)
		return pair[0];
	close(pair[0]);
	return -1;
}

/* The same with a file in memory, for more than a socket takes. */
static int feed_file(const int pair[2], const uint8_t *bytes, size_t length)
{
	int fd = memfd_create("rowtail-request", MFD_CLOEXEC);

	close(pair[0]);
	close(pair[1]);
	if (fd >= 0 && write(fd, bytes, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int feed(const int pair[2], const uint8_t *bytes, size_t length)
{
	return length <= ARRIVAL_BYTES_MAX ? feed_socket(pair, bytes, length)
					   : feed_file(pair, bytes, length);
}

/* Reads the body to its end; its length is at most what `arrival` allows. NULL without memory. */
static uint8_t *read_body(FCGX_Stream *in, size_t *length)
{
	size_t most = arrival_content_max();
	uint8_t *body = malloc(most);
	int got;

	*length = 0;
	while (body && *length < most &&
		(got = FCGX_GetStr((char *)body + *length, (int)(most - *length), in)) > 0)
		*length += (size_t)got;
	return body;
}

enum parse_result parse_request(uint8_t *bytes, size_t length, parse_use use, void *context)
{
	FCGX_Request request;
	bool parsed = false;
	int pair[2], fd;

	/* Without memory libfcgi aborts. */
	if (!buffer_memory_is_there(libfcgi_memory()))
		return PARSE_FAILED;
	if (!make_pair(pair)) {
		fill_reserve();
		return PARSE_LATER;
	}
	if ((fd = feed(pair, bytes, record_unpad(bytes, length))) < 0)
		return PARSE_FAILED;
	FCGX_InitRequest(&request, -1, 0);
	request.ipcFd = fd;
	/* Otherwise it would close the descriptor as a leftover of an earlier request. */
	request.keepConnection = 1;
	if (FCGX_Accept_r(&request) == 0) {
		size_t body_length;
		uint8_t *body = read_body(request.in, &body_length);

		parsed = body != NULL;
		if (parsed)
			use(context, request.envp, body, body_length);
		free(body);
		FCGX_Free(&request, 0);
		close(fd);
	}
	/* It has closed the descriptor if it refused the request. */
	fill_reserve();
	return parsed ? PARSE_USED : PARSE_FAILED;
}
