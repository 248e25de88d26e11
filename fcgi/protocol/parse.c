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
 * libfcgi reads from pair[0] what is written to pair[1]. The pair serves one request after another,
 * as long as each is read to its end: making it anew costs as much as the rest of parsing. It is
 * there from the start. So a connection that took the last descriptor is answered all the same.
 */
static int pair[2] = {-1, -1};

static void drop_pair(void)
{
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
		pair[i] = -1;
	}
}

/* Where libfcgi would wait, it fails: the pair does not block. */
static bool make_pair(void)
{
	int room = 2 * ARRIVAL_BYTES_MAX;

	if (pair[0] >= 0)
		return true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return false;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return true;
}

bool parse_init(void)
{
	/* Closing must not wait for a peer: there is none here. */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1);
	return make_pair() && FCGX_Init() == 0;
}

/* What libfcgi reads so many bytes from: a file in memory if a socket takes fewer. -1: errno. */
static int begin_reading(size_t length)
{
	if (length <= ARRIVAL_BYTES_MAX)
		return make_pair() ? pair[0] : -1;
	/* The pair makes room for it. */
	drop_pair();
	return memfd_create("rowtail-request", MFD_CLOEXEC);
}

static bool feed(int fd, const uint8_t *bytes, size_t length)
{
	if (fd == pair[0])
		return send(pair[1], bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
	return write(fd, bytes, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0;
}

/* Has libfcgi taken everything? No byte of a request may be left for the next one. */
static bool is_empty(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* closed: libfcgi has closed the descriptor, as it does if it refuses a request. */
static void end_reading(int fd, bool closed)
{
	bool of_pair = fd == pair[0];

	if (of_pair && !closed && is_empty(fd))
		return;
	if (!closed)
		close(fd);
	if (of_pair)
		pair[0] = -1;
	drop_pair();
	make_pair();
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
	bool parsed = false, closed;
	int fd;

	/* Without memory libfcgi aborts. */
	if (!buffer_memory_is_there(libfcgi_memory()))
		return PARSE_FAILED;
	if ((fd = begin_reading(length)) < 0)
		return errno == EMFILE || errno == ENFILE ? PARSE_LATER : PARSE_FAILED;
	if (!feed(fd, bytes, record_unpad(bytes, length))) {
		end_reading(fd, false);
		return PARSE_FAILED;
	}
	FCGX_InitRequest(&request, -1, 0);
	request.ipcFd = fd;
	/* Otherwise it would close the descriptor as a leftover of an earlier request. */
	request.keepConnection = 1;
	closed = FCGX_Accept_r(&request) != 0;
	if (!closed) {
		size_t body_length;
		uint8_t *body = read_body(request.in, &body_length);

		parsed = body != NULL;
		if (parsed)
			use(context, request.envp, body, body_length);
		free(body);
		FCGX_Free(&request, 0);
	}
	end_reading(fd, closed);
	return parsed ? PARSE_USED : PARSE_FAILED;
}
