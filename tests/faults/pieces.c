/*
 * pieces: makes reads and writes on sockets, standard input and output partial or interrupted, for
 * a program started with this object in LD_PRELOAD.
 *
 * The file named by FAULT_PLAN contains one line, which may be rewritten at any time:
 *
 *     SERIAL MOST EVERY
 *
 * A call moves at most MOST bytes; every EVERYth call fails with EINTR. An empty file: no change.
 * Each interrupted call adds a '0' to the file named by FAULT_HITS, each partial write a '1'.
 *
 * For programs with one thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "plan.h"

typedef int accept_fn(int, struct sockaddr *, socklen_t *, int);
typedef ssize_t recv_fn(int, void *, size_t, int);
typedef ssize_t read_fn(int, void *, size_t);
typedef ssize_t write_fn(int, const void *, size_t);
typedef ssize_t writev_fn(int, const struct iovec *, int);
typedef ssize_t sendmsg_fn(int, const struct msghdr *, int);

/* How many bytes this call may move; 0: interrupt it. */
static size_t allowed(void)
{
	static long calls;
	char plan[PLAN_SIZE], *at = plan;
	long most, every;

	if (!plan_read("FAULT_PLAN", plan))
		return SIZE_MAX;
	strtol(at, &at, 10);
	most = strtol(at, &at, 10);
	every = strtol(at, &at, 10);
	if (every > 0 && ++calls % every == 0) {
		plan_hit("FAULT_HITS", '0');
		errno = EINTR;
		return 0;
	}
	return (size_t)most;
}

static size_t total(const struct iovec *iov, size_t count)
{
	size_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += iov[i].iov_len;
	return length;
}

/* The first non-empty piece, limited to the allowed bytes. */
static struct iovec first_piece(const struct iovec *iov, size_t count, size_t most)
{
	struct iovec piece = {0};

	for (size_t i = 0; i < count && piece.iov_len == 0; i++)
		piece = iov[i];
	if (piece.iov_len > most)
		piece.iov_len = most;
	return piece;
}

int accept4(int fd, struct sockaddr *restrict peer, socklen_t *restrict length, int flags)
{
	accept_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, "accept4");
	return allowed() ? next(fd, peer, length, flags) : -1;
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
	size_t most = allowed();
	recv_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, "recv");
	return most ? next(fd, bytes, size < most ? size : most, flags) : -1;
}

ssize_t read(int fd, void *bytes, size_t size)
{
	size_t most = fd == 0 ? allowed() : SIZE_MAX;
	read_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, "read");
	return most ? next(fd, bytes, size < most ? size : most) : -1;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	size_t most = fd == 1 ? allowed() : SIZE_MAX;
	write_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, "write");
	if (size > most && most)
		plan_hit("FAULT_HITS", '1');
	return most ? next(fd, bytes, size < most ? size : most) : -1;
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	struct iovec piece;
	size_t most = allowed();
	writev_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, "writev");
	if (most == 0)
		return -1;
	if (total(iov, (size_t)count) <= most)
		return next(fd, iov, count);
	plan_hit("FAULT_HITS", '1');
	piece = first_piece(iov, (size_t)count, most);
	return next(fd, &piece, 1);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr part = *message;
	struct iovec piece;
	size_t most = allowed();
	sendmsg_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, "sendmsg");
	if (most == 0)
		return -1;
	if (total(message->msg_iov, message->msg_iovlen) <= most)
		return next(fd, message, flags);
	plan_hit("FAULT_HITS", '1');
	piece = first_piece(message->msg_iov, message->msg_iovlen, most);
	part.msg_iov = &piece;
	part.msg_iovlen = 1;
	return next(fd, &part, flags);
}
