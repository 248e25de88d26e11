/* links: base/history base/metrics base/buffer */
/* The rings behind the charts of the status page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/history.h"

static struct history history;
static struct history_now now;
static int64_t now_ms;

static int begin(void **state)
{
	memset(&history, 0, sizeof(history));
	memset(&now, 0, sizeof(now));
	now_ms = 5000;
	history_add(&history, now_ms, &now);
	return 0;
}

static void pass(int64_t ms)
{
	now_ms += ms;
	history_add(&history, now_ms, &now);
}

static const struct history_point *newest(enum history_span span)
{
	size_t count = history_count(&history, span);

	assert_true(count > 0);
	return history_at(&history, span, count - 1);
}

static void test_begins_empty(void **state)
{
	for (int span = 0; span < HISTORY_SPANS; span++)
		assert_int_equal(history_count(&history, span), 0);
	assert_int_equal(history_most_streams(&history), 0);
}

static void test_a_second(void **state)
{
	now.streams = 7;
	now.lag = 3;
	now.records = 500;
	now.delivered.buckets[0] = 495; /* within 50 µs */
	now.delivered.buckets[4] = 5; /* within 1 ms */
	pass(1000);
	assert_int_equal(history_count(&history, HISTORY_MINUTE), 1);
	assert_true(newest(HISTORY_MINUTE)->known);
	assert_int_equal(newest(HISTORY_MINUTE)->streams, 7);
	assert_int_equal(newest(HISTORY_MINUTE)->lag, 3);
	assert_true(newest(HISTORY_MINUTE)->records_per_s == 500);
	assert_true(newest(HISTORY_MINUTE)->p50_ms < 0.06);
	assert_true(newest(HISTORY_MINUTE)->p99_ms < 0.06);
	/* What came before does not count again. */
	now.delivered.buckets[4] += 2;
	now.records += 2;
	pass(1000);
	assert_true(newest(HISTORY_MINUTE)->p50_ms > 0.9);
	assert_true(newest(HISTORY_MINUTE)->records_per_s == 2);
	pass(1000);
	assert_true(newest(HISTORY_MINUTE)->p50_ms < 0);
	assert_true(newest(HISTORY_MINUTE)->records_per_s == 0);
}

/* A point of the hour has the most streams of its 30 s, and the rate of all of them. */
static void test_an_hour(void **state)
{
	for (int second = 1; second <= 30; second++) {
		now.streams = second == 10 ? 90 : 5;
		now.records += second == 20 ? 3000 : 0;
		pass(1000);
	}
	assert_int_equal(history_count(&history, HISTORY_HOUR), 1);
	assert_int_equal(newest(HISTORY_HOUR)->streams, 90);
	assert_true(newest(HISTORY_HOUR)->records_per_s == 100);
	assert_int_equal(history_most_streams(&history), 90);
	for (int second = 0; second < 3600; second++)
		pass(1000);
	assert_int_equal(history_most_streams(&history), 5);
	now.streams = 6;
	pass(1000);
	assert_int_equal(history_most_streams(&history), 6);
}

static void test_keeps_the_newest(void **state)
{
	static const size_t most[HISTORY_SPANS] = {60, 120, 144};

	for (int second = 1; second <= 2 * 86400; second++) {
		now.streams = (uint64_t)second;
		pass(1000);
	}
	for (int span = 0; span < HISTORY_SPANS; span++) {
		int64_t step_s = history_step_ms(span) / 1000;

		assert_int_equal(history_count(&history, span), most[span]);
		assert_int_equal(newest(span)->streams, 2 * 86400 / step_s * step_s);
		for (size_t i = 1; i < most[span]; i++)
			assert_int_equal(history_at(&history, span, i)->streams -
						 history_at(&history, span, i - 1)->streams,
				step_s);
	}
}

/* Timers that are a little late or early do not shift the steps. */
static void test_jitter(void **state)
{
	for (int i = 0; i < 600; i++)
		pass(i % 2 ? 700 : 1300);
	assert_int_equal(history_count(&history, HISTORY_HOUR), 20);
	for (size_t i = 0; i < history_count(&history, HISTORY_MINUTE); i++)
		assert_true(history_at(&history, HISTORY_MINUTE, i)->known);
}

static void test_a_pause_is_unknown(void **state)
{
	pass(1000);
	now.records = 100;
	pass(10000);
	assert_int_equal(history_count(&history, HISTORY_MINUTE), 11);
	for (size_t i = 1; i < 10; i++)
		assert_false(history_at(&history, HISTORY_MINUTE, i)->known);
	assert_true(newest(HISTORY_MINUTE)->known);
	assert_true(newest(HISTORY_MINUTE)->records_per_s == 10);
	pass((int64_t)86400 * 365 * 1000);
	assert_int_equal(history_count(&history, HISTORY_DAY), HISTORY_DAY_POINTS);
	pass(1000);
	assert_true(newest(HISTORY_MINUTE)->known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_begins_empty, begin),
		cmocka_unit_test_setup(test_a_second, begin),
		cmocka_unit_test_setup(test_an_hour, begin),
		cmocka_unit_test_setup(test_keeps_the_newest, begin),
		cmocka_unit_test_setup(test_jitter, begin),
		cmocka_unit_test_setup(test_a_pause_is_unknown, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
