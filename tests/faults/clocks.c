/*
 * clocks: makes clocks jump, for a program started with this object in LD_PRELOAD.
 *
 * The file named by FAULT_PLAN contains one line, which may be rewritten at any time:
 *
 *     SERIAL MONOTONIC WALL
 *
 * Both are in milliseconds, and are added to the system's monotonic clock and wall clock. An empty
 * file: nothing is added. A monotonic clock that jumps forward is what a program sees after it was
 * stopped, or its machine suspended; time-outs in the kernel are not changed.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#include "plan.h"

enum { SECOND_NS = 1000000000, SECOND_US = 1000000 };

struct jumps {
	long long monotonic_ms, wall_ms;
};

static struct jumps planned(void)
{
	struct jumps jumps = {0, 0};
	char line[PLAN_SIZE], *at = line;

	if (!plan_read("FAULT_PLAN", line))
		return jumps;
	strtoll(at, &at, 10);
	jumps.monotonic_ms = strtoll(at, &at, 10);
	jumps.wall_ms = strtoll(at, &at, 10);
	return jumps;
}

static bool is_wall(clockid_t id)
{
	return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
}

static bool is_monotonic(clockid_t id)
{
	return id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_MONOTONIC_RAW ||
	       id == CLOCK_BOOTTIME;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	int (*original)(clockid_t, struct timespec *), result;
	struct jumps jumps = planned();
	long long ms = is_wall(id) ? jumps.wall_ms : is_monotonic(id) ? jumps.monotonic_ms : 0;
	long long ns;

	*(void **)&original = dlsym(RTLD_NEXT, "clock_gettime");
	if ((result = original(id, now)) != 0)
		return result;
	ns = now->tv_nsec + ms % 1000 * 1000000;
	now->tv_sec += ms / 1000 + (ns < 0 ? -1 : ns >= SECOND_NS);
	now->tv_nsec = (ns + SECOND_NS) % SECOND_NS;
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / (SECOND_NS / SECOND_US);
	return 0;
}

time_t time(time_t *seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (seconds)
		*seconds = now.tv_sec;
	return now.tv_sec;
}
