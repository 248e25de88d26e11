/*
 * oracle: what libfcgi makes of a request, for tests. Link record, buffer, libfcgi.
 *
 * libfcgi gets a socket with exactly the bytes of one request and nothing after them. If it waited
 * for more, that would be an error, so an answer without an error came at once.
 */
#ifndef ROWTAIL_TESTS_ORACLE_H
#define ROWTAIL_TESTS_ORACLE_H

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/record.h"
#include "wire.h"

/* Once per process. libfcgi handles SIGTERM; a test must still end on it. */
static inline void oracle_init(void)
{
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1);
	if (FCGX_Init() != 0)
		abort();
	signal(SIGTERM, SIG_DFL);
}

/* A socket that holds these bytes without their padding, then the end. *peer is its other end. -1:
 * they did not fit. */
static inline int oracle_socket(const uint8_t *bytes, size_t length, int *peer)
{
	int ends[2], size = 1024 * 1024;
	struct buffer unpadded;
	bool sent;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	buffer_init(&unpadded, WIRE_MAX);
	buffer_append(&unpadded, bytes, length);
	length = record_unpad(unpadded.data, length);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	sent = send(ends[1], unpadded.data, length, MSG_DONTWAIT | MSG_NOSIGNAL) ==
		       (ssize_t)length &&
	       shutdown(ends[1], SHUT_WR) == 0;
	buffer_free(&unpadded);
	if (!sent) {
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	*peer = ends[1];
	return ends[0];
}

/* Are these the parameters, "NAME=value", that the pairs of a PARAMS stream say? */
static inline const char *oracle_judge_params(char *const *envp, const struct buffer *pairs)
{
	const uint8_t *p = pairs->data, *end = p + pairs->length;

	if (!*envp || strcmp(*envp++, "FCGI_ROLE=RESPONDER") != 0)
		return "libfcgi read another role";
	for (; p < end; envp++) {
		size_t name = wire_take_length(&p), value = wire_take_length(&p);
		if (!*envp)
			return "libfcgi read too few parameters";
		if (memcmp(*envp, p, name) != 0 || (*envp)[name] != '=')
			return "libfcgi read another name";
		if (memcmp(*envp + name + 1, p + name, value) != 0 ||
			(*envp)[name + 1 + value] != '\0')
			return "libfcgi read another value";
		p += name + value;
	}
	return *envp ? "libfcgi read too many parameters" : NULL;
}

/* Reads the body from libfcgi to the end. */
static inline const char *oracle_judge_body(FCGX_Stream *in, const struct buffer *content)
{
	struct buffer got;
	const char *complaint = NULL;
	char part[4000];
	int length;

	buffer_init(&got, WIRE_MAX);
	while ((length = FCGX_GetStr(part, sizeof(part), in)) > 0)
		buffer_append(&got, part, (size_t)length);
	if (FCGX_GetError(in) != 0)
		complaint = "libfcgi found an error in the body";
	else if (got.length != content->length ||
		 (got.length && memcmp(got.data, content->data, got.length) != 0))
		complaint = "libfcgi read another body";
	buffer_free(&got);
	return complaint;
}

/* After a request, nothing may be left to read, and nothing may have been sent. */
static inline const char *oracle_judge_socket(int fd, int peer)
{
	char byte;

	if (recv(fd, &byte, 1, MSG_DONTWAIT) != 0)
		return "libfcgi left bytes unread";
	if (recv(peer, &byte, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
		return "libfcgi answered by itself";
	return NULL;
}

/*
 * Lets libfcgi parse one request, just as rowtail does. Returns NULL when it reads this id, these
 * parameters (the content of the PARAMS stream) and this body; otherwise says what went wrong.
 */
static inline const char *oracle_judge(const uint8_t *bytes, size_t length, int request_id,
	const struct buffer *pairs, const struct buffer *content)
{
	const char *complaint;
	FCGX_Request r;
	int peer, fd = oracle_socket(bytes, length, &peer);

	if (fd < 0)
		return "the request does not fit into a socket";
	FCGX_InitRequest(&r, -1, 0);
	r.ipcFd = fd;
	r.keepConnection = 1;
	if (FCGX_Accept_r(&r) != 0) { /* libfcgi has closed fd */
		close(peer);
		return "libfcgi refuses the request";
	}
	complaint = r.requestId == request_id ? NULL : "libfcgi read another request id";
	if (!complaint)
		complaint = oracle_judge_params(r.envp, pairs);
	if (!complaint)
		complaint = oracle_judge_body(r.in, content);
	if (!complaint)
		complaint = oracle_judge_socket(fd, peer);
	FCGX_Free(&r, 0);
	close(fd);
	close(peer);
	return complaint;
}

/* The same for a request of which only the bytes are known. It must be well formed. */
static inline const char *oracle_judge_bytes(const uint8_t *bytes, size_t length, int request_id)
{
	struct buffer pairs, content;
	const char *complaint;

	buffer_init(&pairs, length);
	buffer_init(&content, length);
	wire_contents(bytes, length, FCGI_PARAMS, &pairs);
	wire_contents(bytes, length, FCGI_STDIN, &content);
	complaint = oracle_judge(bytes, length, request_id, &pairs, &content);
	buffer_free(&pairs);
	buffer_free(&content);
	return complaint;
}

#endif
