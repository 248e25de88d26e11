#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"

enum { PIPE_MS = 10 * 1000 }; /* time for the command behind a pipe to finish writing */

const char *file_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return NULL;
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

/* Is it an unnamed pipe? A FIFO, which has a name, may never get a writer. */
static bool is_pipe(const char *path, mode_t mode)
{
	struct statfs fs;

	return S_ISFIFO(mode) && statfs(path, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
}

/* Opens a file that has an end. Returns a descriptor, or -1 and the reason in `why`. */
static int open_plain(const char *path, char *why)
{
	struct stat st;
	int fd = -1;

	if (stat(path, &st) < 0)
		snprintf(why, FILE_WHY_MAX, "%s", strerror(errno));
	else if (file_kind(st.st_mode) && !is_pipe(path, st.st_mode))
		snprintf(why, FILE_WHY_MAX, "it is %s, not a plain file", file_kind(st.st_mode));
	/* O_NONBLOCK: if a FIFO replaces the file just now, open() does not wait for a writer. */
	else if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0)
		snprintf(why, FILE_WHY_MAX, "%s", strerror(errno));
	return fd;
}

/* Waits until a pipe has more bytes. False: none came in time. */
static bool wait_for_more(int fd, int64_t until_ms)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int64_t left = until_ms - clock_ms();

	return left > 0 && poll(&ready, 1, (int)left) != 0;
}

ssize_t file_read(const char *path, char *bytes, size_t most, char *why)
{
	int fd = open_plain(path, why);
	int64_t until_ms = clock_ms() + PIPE_MS;
	size_t length = 0;
	ssize_t got = 1;

	if (fd < 0)
		return -1;
	while (length <= most && got != 0) {
		got = read(fd, bytes + length, most + 1 - length);
		if (got > 0)
			length += (size_t)got;
		else if (got < 0 && errno != EINTR &&
			 (errno != EAGAIN || !wait_for_more(fd, until_ms)))
			break;
	}
	if (got < 0)
		snprintf(why, FILE_WHY_MAX, "%s",
			errno == EAGAIN ? "the writer of the pipe did not finish within 10 s"
					: strerror(errno));
	close(fd);
	return got < 0 ? -1 : (ssize_t)length;
}
