/* links: stream/pace */
/* How often to poll, by what notices and polls have found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream/pace.h"

enum { START = 1000000, POLL = 100 };

/* A pace that may rest at START: a commit was noticed and found, and then nothing happened. */
static struct pace calm(void)
{
	struct pace p;

	pace_init(&p, POLL, false);
	pace_begin(&p);
	pace_noticed(&p, START - PACE_CALM_MS);
	pace_found(&p);
	return p;
}

static void test_rests_after_a_noticed_commit_and_some_quiet(void **state)
{
	struct pace p = calm();

	assert_false(pace_may_rest(&p, START - 1));
	assert_true(pace_may_rest(&p, START));
	assert_true(pace_may_rest(&p, START + 1000 * PACE_CALM_MS));
}

static void test_does_not_rest_until_a_notice_has_led_to_a_commit(void **state)
{
	struct pace p;

	pace_init(&p, POLL, false);
	assert_false(pace_may_rest(&p, START));
	pace_noticed(&p, START);
	assert_false(pace_may_rest(&p, START + 10 * PACE_CALM_MS));
	pace_polled(&p, true, START);
	assert_false(pace_may_rest(&p, START + 10 * PACE_CALM_MS));
}

static void test_another_file_must_prove_itself(void **state)
{
	struct pace p = calm();

	pace_begin(&p);
	assert_false(pace_may_rest(&p, START + 10 * PACE_CALM_MS));
	pace_noticed(&p, START);
	pace_found(&p);
	assert_true(pace_may_rest(&p, START + PACE_CALM_MS));
}

static void test_every_notice_ends_the_rest(void **state)
{
	struct pace p = calm();

	pace_noticed(&p, START);
	assert_false(pace_may_rest(&p, START));
	assert_false(pace_may_rest(&p, START + PACE_CALM_MS - 1));
	assert_true(pace_may_rest(&p, START + PACE_CALM_MS));
}

static void test_never_rests_again_after_a_commit_without_a_notice(void **state)
{
	struct pace p = calm();

	pace_polled(&p, false, START);
	assert_true(pace_may_rest(&p, START));
	pace_polled(&p, true, START + 1000);
	assert_false(pace_may_rest(&p, START + 1000));
	pace_polled(&p, false, START + 1000 + POLL);
	assert_false(pace_may_rest(&p, START + 100 * PACE_CALM_MS));
	pace_begin(&p);
	pace_noticed(&p, START + 100 * PACE_CALM_MS);
	pace_found(&p);
	assert_false(pace_may_rest(&p, START + 200 * PACE_CALM_MS));
}

/* The timer was due before the loop had read the notice. */
static void test_notice_may_be_read_after_its_commit_was_found(void **state)
{
	struct pace p = calm();

	pace_polled(&p, true, START);
	assert_false(pace_may_rest(&p, START));
	pace_noticed(&p, START + 1);
	pace_polled(&p, false, START + POLL);
	assert_true(pace_may_rest(&p, START + 1 + PACE_CALM_MS));
}

static void test_slow_commit_was_announced_long_ago(void **state)
{
	struct pace p = calm();

	pace_noticed(&p, START);
	pace_polled(&p, true, START + 10 * PACE_CALM_MS);
	pace_polled(&p, false, START + 10 * PACE_CALM_MS + POLL);
	assert_true(pace_may_rest(&p, START + 10 * PACE_CALM_MS + POLL));
}

static void test_recent_notice_stands_for_two_commits(void **state)
{
	struct pace p = calm();

	pace_noticed(&p, START);
	pace_found(&p);
	pace_polled(&p, true, START + PACE_CALM_MS - 1);
	pace_polled(&p, false, START + PACE_CALM_MS);
	assert_true(pace_may_rest(&p, START + PACE_CALM_MS));
}

static void test_a_pace_that_the_user_set_is_kept(void **state)
{
	struct pace p = calm();

	p.always = true;
	assert_false(pace_may_rest(&p, START + 10 * PACE_CALM_MS));
	pace_init(&p, 5, true);
	pace_noticed(&p, START);
	pace_found(&p);
	assert_false(pace_may_rest(&p, START + 10 * PACE_CALM_MS));
}

static void test_resting_is_never_more_frequent(void **state)
{
	struct pace p = calm();

	p.poll_ms = PACE_RARE_MS;
	assert_false(pace_may_rest(&p, START));
	p.poll_ms = PACE_RARE_MS - 1;
	assert_true(pace_may_rest(&p, START));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rests_after_a_noticed_commit_and_some_quiet),
		cmocka_unit_test(test_does_not_rest_until_a_notice_has_led_to_a_commit),
		cmocka_unit_test(test_another_file_must_prove_itself),
		cmocka_unit_test(test_every_notice_ends_the_rest),
		cmocka_unit_test(test_never_rests_again_after_a_commit_without_a_notice),
		cmocka_unit_test(test_notice_may_be_read_after_its_commit_was_found),
		cmocka_unit_test(test_slow_commit_was_announced_long_ago),
		cmocka_unit_test(test_recent_notice_stands_for_two_commits),
		cmocka_unit_test(test_a_pace_that_the_user_set_is_kept),
		cmocka_unit_test(test_resting_is_never_more_frequent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
