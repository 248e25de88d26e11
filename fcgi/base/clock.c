#include "base/clock.h"

#include <time.h>

int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_ms(void)
{
	return clock_us() / 1000;
}

static struct {
	int64_t looked_ms; /* time of the last call */
	int64_t absent_ms;
	int64_t since_ms; /* time counted since the last pause */
} awake = {.since_ms = CLOCK_PULSE_MS};

/* Returns the time since the last call, and notes the time of this one. */
static int64_t look(void)
{
	int64_t now_ms = clock_ms(), passed_ms = now_ms - awake.looked_ms;

	awake.looked_ms = now_ms;
	if (passed_ms <= CLOCK_PAUSE_MS) {
		awake.since_ms += passed_ms;
	} else {
		awake.absent_ms +=
			awake.since_ms < CLOCK_PULSE_MS ? passed_ms - CLOCK_PULSE_MS : passed_ms;
		awake.since_ms = 0;
	}
	return now_ms;
}

int64_t clock_awake_ms(void)
{
	int64_t now_ms = look();

	return now_ms - awake.absent_ms;
}

int64_t clock_absent_ms(void)
{
	look();
	return awake.absent_ms;
}

int64_t clock_unix(void)
{
	return (int64_t)time(NULL);
}

int64_t clock_unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}
