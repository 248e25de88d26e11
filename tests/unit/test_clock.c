/* links: base/clock */
/* The clocks on a machine that is stopped, suspended or slow, or whose wall clock is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static int64_t monotonic_ms = 5 * HOUR, wall_s = 1700000000;

/* The system's clock, instead of libc's. */
int clock_gettime(clockid_t id, struct timespec *now)
{
	if (id == CLOCK_MONOTONIC)
		*now = (struct timespec){monotonic_ms / 1000, monotonic_ms % 1000 * 1000000};
	else
		*now = (struct timespec){.tv_sec = wall_s};
	return 0;
}

time_t time(time_t *now)
{
	return wall_s;
}

/* How much of a time counts if the clock is read every `every_ms`. */
static int64_t counted(int64_t ms, int64_t every_ms)
{
	int64_t before = clock_awake_ms(), last = before, now = before;

	for (int64_t end = monotonic_ms + ms; monotonic_ms < end;) {
		monotonic_ms += every_ms;
		now = clock_awake_ms();
		assert_true(now >= last);
		last = now;
	}
	return now - before;
}

/* One pause; how much of it counts. */
static int64_t counted_of_pause(int64_t ms)
{
	int64_t before = clock_awake_ms();

	monotonic_ms += ms;
	return clock_awake_ms() - before;
}

/* Whatever a test did before, the clock runs normally. */
static int setup(void **state)
{
	clock_awake_ms();
	counted(SECOND, CLOCK_PULSE_MS);
	return 0;
}

static void all_time_counts_while_the_clock_is_read_often(void **state)
{
	assert_int_equal(counted(HOUR, 10), HOUR);
	assert_int_equal(counted(HOUR, CLOCK_PULSE_MS), HOUR);
	assert_int_equal(counted(HOUR, CLOCK_PAUSE_MS), HOUR);
	assert_int_equal(counted_of_pause(0), 0);
}

static void pause_does_not_count(void **state)
{
	static const int64_t pauses[] = {CLOCK_PAUSE_MS + 1, 2 * SECOND, MINUTE, 24 * HOUR};

	for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++) {
		int64_t absent = clock_absent_ms();

		assert_int_equal(counted_of_pause(pauses[i]), 0);
		assert_int_equal(clock_absent_ms() - absent, pauses[i]);
		assert_int_equal(counted(MINUTE, CLOCK_PULSE_MS), MINUTE);
		assert_int_equal(clock_absent_ms() - absent, pauses[i]);
	}
}

/* A process that stops repeatedly runs in between. */
static void several_pauses(void **state)
{
	for (int i = 0; i < 10; i++) {
		assert_int_equal(counted_of_pause(MINUTE), 0);
		assert_int_equal(counted(SECOND, CLOCK_PULSE_MS), SECOND);
	}
}

/* Otherwise nothing that stalls would ever end. */
static void a_slow_process_is_not_a_paused_one(void **state)
{
	int64_t total = 0;

	for (int round = 0; round < 10; round++) {
		total += counted_of_pause(2 * SECOND);
		/* Each round does much work, and reads the clock for all of it. */
		total += counted(5, 1);
	}
	assert_int_equal(total, 9 * CLOCK_PULSE_MS + 10 * 5);
	assert_int_equal(counted(MINUTE, CLOCK_PULSE_MS), MINUTE);
}

static void wall_clock_changes_only_affect_the_calendar(void **state)
{
	int64_t awake = clock_awake_ms(), ms = clock_ms(), us = clock_us();
	static const int64_t jumps_s[] = {86400 * 365, -86400 * 730, 1, -1};

	for (size_t i = 0; i < sizeof(jumps_s) / sizeof(*jumps_s); i++) {
		wall_s += jumps_s[i];
		assert_int_equal(clock_awake_ms(), awake);
		assert_int_equal(clock_ms(), ms);
		assert_int_equal(clock_us(), us);
		assert_int_equal(clock_unix(), wall_s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_time_counts_while_the_clock_is_read_often, setup),
		cmocka_unit_test_setup(pause_does_not_count, setup),
		cmocka_unit_test_setup(several_pauses, setup),
		cmocka_unit_test_setup(a_slow_process_is_not_a_paused_one, setup),
		cmocka_unit_test_setup(wall_clock_changes_only_affect_the_calendar, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
