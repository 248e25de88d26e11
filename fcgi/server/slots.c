#include "server/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 50, PAUSE_NS = 2000000 };

static struct {
	char directory[PATH_MAX];
	int64_t most;
	bool counts, taken;
} slots;

void slots_begin(const char *database, int64_t most)
{
	char path[PATH_MAX], *directory;
	struct rlimit limit;

	if (strlen(database) >= sizeof(path))
		return;
	memcpy(path, database, strlen(database) + 1);
	directory = dirname(path); /* changes path: a second call would return the parent */
	memcpy(slots.directory, directory, strlen(directory) + 1);
	slots.most = most;
	slots.counts = true;
	/* The kernel does not limit root. */
	if (geteuid() == 0 || getrlimit(RLIMIT_NPROC, &limit) < 0 ||
		limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > INT32_MAX)
		return;
	if (slots.most > (int64_t)(limit.rlim_cur - limit.rlim_cur / 4))
		slots.most = (int64_t)(limit.rlim_cur - limit.rlim_cur / 4);
}

/*
 * Only one process at a time may look for a free byte; otherwise two could take the same byte. If
 * another program locks the directory for longer, rowtail accepts the risk of one stream too many.
 */
static void wait_for_turn(int fd)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (int i = 0; i < TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return;
		nanosleep(&pause, NULL);
	}
}

/* 1: this process has the byte now; 0: another has it; -1: the file system has no locks. */
static int take_byte(int fd, int64_t at)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1};

	if (fcntl(fd, F_GETLK, &lock) < 0)
		return -1;
	if (lock.l_type != F_UNLCK)
		return 0;
	lock = (struct flock){
		.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1};
	return fcntl(fd, F_SETLK, &lock) < 0 ? -1 : 1;
}

bool slots_take(void)
{
	int fd, took = 0;

	if (!slots.counts || slots.taken)
		return true;
	if ((fd = open(slots.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return true;
	wait_for_turn(fd);
	for (int64_t at = 0; at < slots.most && took == 0; at++)
		took = take_byte(fd, at);
	slots.taken = took != 0;
	if (slots.taken)
		flock(fd,
			LOCK_UN); /* the descriptor stays open: closing it would release the byte */
	else
		close(fd);
	return slots.taken;
}
