/* links: base/loop base/buffer */
/* libs: -luv */
/*
 * Handles that were not started, have ended, or start twice, of each kind. Some versions of libuv
 * crash on some of these; loop does not pass any of them on.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/loop.h"

enum { SOON_MS = 5, WHILE_MS = 40 };

static int calls; /* whatever a test counts */

static void count_ready(struct loop_poll *p, int events, bool failed)
{
	calls++;
	loop_poll_set(p, 0);
}

static void count_ended(struct loop_poll *p)
{
	calls++;
}

static void free_ended(struct loop_poll *p)
{
	calls++;
	free(p);
}

static void count_due(struct loop_timer *t)
{
	calls++;
}

static void count_alarm(struct loop_alarm *a)
{
	calls++;
}

static void count_turn(struct loop_turn *t)
{
	calls++;
}

static void count_signal(int number)
{
	calls++;
}

static void count_ten(int number)
{
	calls += 10;
}

static void end_loop(struct loop_timer *t)
{
	loop_stop();
}

/* Runs the loop for a moment; returns how often callbacks ran. */
static int calls_in_a_while(void)
{
	static struct loop_timer end;

	calls = 0;
	loop_timer_init(&end, end_loop, NULL);
	loop_timer_start(&end, WHILE_MS, 0);
	loop_run();
	return calls;
}

/* Everything one can do to handles that are not started. */
static void use_what_is_not_begun(void)
{
	struct loop_poll poll = {0};
	struct loop_timer timer = {0};
	struct loop_alarm alarm = {0};
	struct loop_turn turn = {0};

	loop_poll_set(&poll, LOOP_READ);
	loop_poll_set(&poll, 0);
	loop_poll_end(&poll, count_ended);
	loop_timer_stop(&timer);
	loop_timer_start(&timer, SOON_MS, SOON_MS);
	loop_timer_stop(&timer);
	loop_alarm_stop(&alarm);
	loop_alarm_start(&alarm, 1);
	loop_turn_want(&turn);
}

/* The first test: the later ones have a loop. */
static void handles_cannot_start_without_a_loop(void **state)
{
	struct loop_poll poll = {0};
	struct loop_timer timer = {0};
	struct loop_alarm alarm = {0};
	struct loop_turn turn = {0};

	calls = 0;
	use_what_is_not_begun();
	assert_false(loop_poll_begin(&poll, STDERR_FILENO, 0, count_ready));
	loop_timer_init(&timer, count_due, NULL);
	loop_timer_start(&timer, 0, 0);
	assert_false(loop_alarm_init(&alarm, count_alarm, NULL));
	loop_turn_init(&turn, count_turn, NULL);
	loop_turn_want(&turn);
	assert_false(loop_on_signal(SIGUSR1, count_signal));
	loop_look();
	loop_stop();
	loop_run();
	assert_int_equal(calls, 0);
	assert_true(loop_init());
	assert_true(loop_init());
}

static void stopping_an_unstarted_handle_does_nothing(void **state)
{
	use_what_is_not_begun();
	assert_int_equal(calls_in_a_while(), 0);
}

/* A pipe that has something to read. */
static void open_full_pipe(int ends[2])
{
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
}

static void close_pipe(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static void ended_poll_calls_nothing(void **state)
{
	struct loop_poll p = {0};
	int ends[2];

	open_full_pipe(ends);
	assert_true(loop_poll_begin(&p, ends[0], 0, count_ready));
	loop_poll_set(&p, LOOP_READ);
	assert_int_equal(calls_in_a_while(), 1);
	loop_poll_set(&p, LOOP_READ);
	loop_poll_end(&p, NULL);
	loop_poll_set(&p, LOOP_READ | LOOP_WRITE);
	loop_poll_set(&p, 0);
	assert_int_equal(calls_in_a_while(), 0);
	close_pipe(ends);
}

/*
 * A poll that waits for nothing does not keep the loop busy: neither while its descriptor is ready,
 * nor after a hangup, which epoll reports in any case.
 */
static void paused_poll_does_not_keep_the_loop_busy(void **state)
{
	struct loop_poll p = {0};
	clock_t before;
	int ends[2];

	open_full_pipe(ends);
	assert_true(loop_poll_begin(&p, ends[0], 0, count_ready));
	before = clock();
	assert_int_equal(calls_in_a_while(), 0);
	close(ends[1]);
	assert_int_equal(calls_in_a_while(), 0);
	assert_true(clock() - before < WHILE_MS * CLOCKS_PER_SEC / 4000);
	loop_poll_set(&p, LOOP_READ);
	assert_int_equal(calls_in_a_while(), 1);
	loop_poll_end(&p, NULL);
	assert_int_equal(calls_in_a_while(), 0);
	close(ends[0]);
}

static void poll_ends_once(void **state)
{
	struct loop_poll *p = calloc(1, sizeof(*p));
	int ends[2];

	open_full_pipe(ends);
	assert_true(loop_poll_begin(p, ends[0], 0, count_ready));
	loop_poll_end(p, free_ended);
	loop_poll_end(p, count_ended);
	loop_poll_end(p, NULL);
	assert_int_equal(calls_in_a_while(), 1);
	close_pipe(ends);
}

static void poll_cannot_start_twice(void **state)
{
	struct loop_poll p = {0};
	int ends[2];

	open_full_pipe(ends);
	assert_true(loop_poll_begin(&p, ends[0], 0, count_ready));
	loop_poll_set(&p, LOOP_READ);
	assert_false(loop_poll_begin(&p, ends[1], 0, count_ready));
	assert_int_equal(calls_in_a_while(), 1);
	loop_poll_end(&p, count_ended);
	assert_false(loop_poll_begin(&p, ends[0], 0, count_ready));
	assert_int_equal(calls_in_a_while(), 1);
	assert_true(loop_poll_begin(&p, ends[0], 0, count_ready));
	loop_poll_set(&p, LOOP_READ);
	assert_int_equal(calls_in_a_while(), 1);
	loop_poll_end(&p, NULL);
	assert_int_equal(calls_in_a_while(), 0);
	close_pipe(ends);
}

/* epoll does not support regular files: the error is reported, and the poll can be retried. */
static void poll_that_cannot_start(void **state)
{
	struct loop_poll p = {0};
	FILE *file = tmpfile();
	int ends[2];

	assert_non_null(file);
	assert_false(loop_poll_begin(&p, fileno(file), 0, count_ready));
	loop_poll_set(&p, LOOP_READ);
	loop_poll_end(&p, count_ended);
	assert_int_equal(calls_in_a_while(), 0);
	open_full_pipe(ends);
	assert_true(loop_poll_begin(&p, ends[0], 0, count_ready));
	loop_poll_end(&p, NULL);
	assert_int_equal(calls_in_a_while(), 0);
	close_pipe(ends);
	fclose(file);
}

/* Two timers that repeat; the turn after them ends their round. */
static struct loop_timer often, rarely;
static struct loop_turn round_end;
static int rare_rounds, often_missed;
static bool often_was_due, rarely_was_due;

static void note_due(struct loop_timer *t)
{
	*(t == &often ? &often_was_due : &rarely_was_due) = true;
	loop_turn_want(&round_end);
}

static void end_round(struct loop_turn *t)
{
	rare_rounds += rarely_was_due;
	often_missed += rarely_was_due && !often_was_due;
	often_was_due = rarely_was_due = false;
}

/* However far apart they were started, the process wakes up once for both. */
static void timers_that_repeat_are_due_together(void **state)
{
	rare_rounds = often_missed = 0;
	loop_turn_init(&round_end, end_round, NULL);
	loop_timer_init(&often, note_due, NULL);
	loop_timer_init(&rarely, note_due, NULL);
	loop_timer_start(&often, 15, 15);
	usleep(8000);
	loop_timer_start(&rarely, 30, 30);
	while (rare_rounds < 5)
		calls_in_a_while();
	loop_timer_stop(&often);
	loop_timer_stop(&rarely);
	assert_int_equal(often_missed, 0);
}

static void timer_can_restart(void **state)
{
	static struct loop_timer t;

	loop_timer_init(&t, count_due, NULL);
	loop_timer_stop(&t);
	loop_timer_start(&t, 1, 1);
	loop_timer_init(&t, count_due, NULL);
	assert_int_equal(calls_in_a_while(), 0);
	loop_timer_start(&t, 1, 0);
	assert_int_equal(calls_in_a_while(), 1);
	loop_timer_stop(&t);
	loop_timer_stop(&t);
}

static void alarm_starts_once(void **state)
{
	static struct loop_alarm a;
	int fd;

	assert_true(loop_alarm_init(&a, count_alarm, NULL));
	fd = a.fd;
	assert_false(loop_alarm_init(&a, count_alarm, NULL));
	assert_int_equal(a.fd, fd);
	loop_alarm_stop(&a);
	loop_alarm_start(&a, 1);
	assert_int_equal(calls_in_a_while(), 1);
	loop_alarm_start(&a, 1000);
	loop_alarm_stop(&a);
	loop_alarm_stop(&a);
	assert_int_equal(calls_in_a_while(), 0);
}

static void turn_can_restart(void **state)
{
	static struct loop_turn t;

	loop_turn_init(&t, count_turn, NULL);
	loop_turn_want(&t);
	loop_turn_init(&t, count_turn, NULL);
	assert_int_equal(calls_in_a_while(), 0);
	loop_turn_want(&t);
	loop_turn_want(&t);
	assert_int_equal(calls_in_a_while(), 1);
}

static void signal_has_one_callback(void **state)
{
	assert_false(loop_on_signal(0, count_signal));
	assert_false(loop_on_signal(-1, count_signal));
	assert_false(loop_on_signal(NSIG, count_signal));
	assert_false(loop_on_signal(SIGKILL, count_signal));
	assert_false(loop_on_signal(SIGKILL, count_signal));
	assert_true(loop_on_signal(SIGUSR1, count_signal));
	raise(SIGUSR1);
	assert_int_equal(calls_in_a_while(), 1);
	assert_true(loop_on_signal(SIGUSR1, count_ten));
	raise(SIGUSR1);
	calls = 0;
	loop_look();
	assert_int_equal(calls, 10);
	loop_look();
	assert_int_equal(calls, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles_cannot_start_without_a_loop),
		cmocka_unit_test(stopping_an_unstarted_handle_does_nothing),
		cmocka_unit_test(ended_poll_calls_nothing),
		cmocka_unit_test(paused_poll_does_not_keep_the_loop_busy),
		cmocka_unit_test(poll_ends_once),
		cmocka_unit_test(poll_cannot_start_twice),
		cmocka_unit_test(poll_that_cannot_start),
		cmocka_unit_test(timers_that_repeat_are_due_together),
		cmocka_unit_test(timer_can_restart),
		cmocka_unit_test(alarm_starts_once),
		cmocka_unit_test(turn_can_restart),
		cmocka_unit_test(signal_has_one_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
