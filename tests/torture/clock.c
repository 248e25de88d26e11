/*
 * clock: makes the system clock jump, for a program started with this object in LD_PRELOAD.
 *
 * The file named by TORTURE_CLOCK contains, as a decimal number, by how many seconds the program's
 * real time is wrong; it may be rewritten at any time. Monotonic time is unchanged.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int clock_fn(clockid_t, struct timespec *);

static long offset(void)
{
	const char *path = getenv("TORTURE_CLOCK");
	char text[24] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof text - 1) < 0)
		*text = '\0';
	close(fd);
	return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t which, struct timespec *t)
{
	static clock_fn *real;
	int status;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	status = real(which, t);
	if (status == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		t->tv_sec += offset();
	return status;
}

time_t time(time_t *where)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (where)
		*where = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return 0;
}
