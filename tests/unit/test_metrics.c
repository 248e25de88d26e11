/* links: base/metrics base/buffer */
/* Counters, read back from the page as a scraper reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"

static const char *const gaps[] = {"pruned", "future", NULL};
static const char *const refused[] = {"forbidden", NULL};
static const char *const ended[] = {"client", "age", "stall", NULL};

static char page[1 << 16];

static void scrape(void)
{
	struct buffer out;
	struct metrics_now now = {.streams = 3,
		.newest_id = INT64_MAX,
		.uptime_s = 77,
		.database_ok = 1,
		.reasons = {
			[METRIC_GAPS] = gaps, [METRIC_REFUSED] = refused, [METRIC_ENDED] = ended}};

	buffer_init(&out, sizeof(page) - 1);
	metrics_text(&out, &now);
	assert_false(out.failed);
	memcpy(page, out.data, out.length);
	page[out.length] = '\0';
	buffer_free(&out);
}

/* The value of a sample, which occurs on the page once. */
static double sample(const char *name)
{
	char line[200];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(page, line);
	if (!at)
		fail_msg("no %s", name);
	assert_null(strstr(at + 1, line));
	return strtod(at + strlen(line), NULL);
}

/* Every line is a comment or a sample of a family declared before. */
static void test_the_format(void **state)
{
	char family[200] = "", line[400];

	scrape();
	for (const char *p = page; *p; p += strlen(line) + 1) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		assert_int_equal(p[strlen(line)], '\n');
		if (sscanf(line, "# TYPE %199s", family) == 1 || !strncmp(line, "# HELP ", 7))
			continue;
		if (strncmp(line, family, strlen(family)) != 0)
			fail_msg("%s is not of %s", line, family);
		assert_int_equal(strspn(strrchr(line, ' ') + 1, "0123456789.e+-"),
			strlen(strrchr(line, ' ') + 1));
	}
}

static void test_values_from_other_modules(void **state)
{
	scrape();
	assert_true(sample("rowtail_streams") == 3);
	assert_non_null(strstr(page, "rowtail_log_newest_id 9223372036854775807\n"));
	assert_true(sample("rowtail_uptime_seconds") == 77);
	assert_true(sample("rowtail_database_ok") == 1);
}

static void test_counters(void **state)
{
	static const char *const names[METRIC_COUNT] = {
		[METRIC_STREAMS_TOTAL] = "rowtail_streams_total",
		[METRIC_RECORDS_SENT] = "rowtail_records_sent_total",
		[METRIC_BYTES_SENT] = "rowtail_bytes_sent_total",
		[METRIC_ROWS_READ] = "rowtail_rows_read_total",
		[METRIC_ROWS_REPLAYED] = "rowtail_rows_replayed_total",
		[METRIC_REQUESTS] = "rowtail_requests_total",
		[METRIC_ACCEPTED] = "rowtail_connections_accepted_total",
		[METRIC_WINDOW_HITS] = "rowtail_window_hits_total",
		[METRIC_WINDOW_MISSES] = "rowtail_window_misses_total",
		[METRIC_SEEN_BY_WATCH] = "rowtail_commits_seen_by_watch_total",
		[METRIC_SEEN_BY_POLL] = "rowtail_commits_seen_by_poll_total",
		[METRIC_LOOP_STALLS] = "rowtail_loop_stalls_total",
	};

	for (int i = 0; i < METRIC_COUNT; i++) {
		metrics_add(i, 100 + (uint64_t)i);
		metrics_add(i, 1);
	}
	scrape();
	for (int i = 0; i < METRIC_COUNT; i++) {
		assert_int_equal(metrics_get(i), 101 + i);
		if (i != METRIC_LOOP_STALLED_US)
			assert_true(sample(names[i]) == 101 + i);
	}
	metrics_add(METRIC_LOOP_STALLED_US, 2500000);
	scrape();
	assert_true(sample("rowtail_loop_stalled_seconds_total") == 2.5);
}

static void expect_reason(const char *family, const char *reason, double count)
{
	char name[200];

	snprintf(name, sizeof(name), "rowtail_%s{reason=\"%s\"}", family, reason);
	assert_true(sample(name) == count);
}

/* Each reason once; also those that nothing was counted for. */
static void expect_reasons(
	enum metric_by_reason which, const char *family, const char *const *names, unsigned counted)
{
	for (unsigned i = 0; i < counted; i++)
		for (unsigned n = 0; n <= i; n++)
			metrics_add_reason(which, i);
	scrape();
	for (unsigned i = 0; names[i]; i++) {
		expect_reason(family, names[i], i < counted ? i + 1 : 0);
		assert_int_equal(metrics_get_reason(which, i), i < counted ? i + 1 : 0);
	}
}

static void test_reasons(void **state)
{
	expect_reasons(METRIC_GAPS, "gaps_total", gaps, 2);
	expect_reasons(METRIC_REFUSED, "refused_total", refused, 1);
	expect_reasons(METRIC_ENDED, "streams_ended_total", ended, 2);
}

static void test_delivery_times(void **state)
{
	double before = -1;

	assert_true(metrics_delivery_quantile(0.5) == 0);
	metrics_delivery(90, 80);
	metrics_delivery(9, 3000);
	metrics_delivery(1, 60 * 1000000);
	scrape();
	assert_true(sample("rowtail_delivery_seconds_count") == 100);
	assert_true(sample("rowtail_delivery_seconds_bucket{le=\"+Inf\"}") == 100);
	assert_true(sample("rowtail_delivery_seconds_sum") > 60);
	assert_true(sample("rowtail_delivery_seconds_sum") < 60.1);
	/* Cumulated, so they never fall. */
	for (const char *p = page; (p = strstr(p, "seconds_bucket{")); p++) {
		double now = strtod(strstr(p, "} ") + 2, NULL);

		assert_true(now >= before);
		before = now;
	}
	/* A bound with that many values below it, and not an absurd one. */
	assert_true(metrics_delivery_quantile(0.9) >= 80e-6);
	assert_true(metrics_delivery_quantile(0.9) < 3000e-6);
	assert_true(metrics_delivery_quantile(0.99) >= 3000e-6);
	assert_true(metrics_delivery_quantile(0.99) < 1);
	assert_true(metrics_delivery_quantile(1) >= metrics_delivery_quantile(0.99));
	/* A clock that stood still. */
	metrics_delivery(1, 0);
	metrics_delivery(1, -5);
	scrape();
	assert_true(sample("rowtail_delivery_seconds_count") == 102);
}

static void test_page_too_large_for_the_buffer(void **state)
{
	struct buffer out;

	buffer_init(&out, 500);
	metrics_text(&out, &(struct metrics_now){.streams = 1});
	assert_true(out.failed);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_format),
		cmocka_unit_test(test_values_from_other_modules),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_delivery_times),
		cmocka_unit_test(test_page_too_large_for_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
