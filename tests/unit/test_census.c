/* links: base/census */
/* libs: -pthread */
/* Streams of clients in several processes, and what a dead process leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/census.h"

enum { PROCESSES = 3, CLIENTS = 8 };

static struct census *census;

static const uint8_t *name(uint8_t number)
{
	static uint8_t bytes[CENSUS_NAME];

	memset(bytes, 0, sizeof(bytes));
	bytes[CENSUS_NAME - 1] = number; /* all begin at the same place of the table */
	return bytes;
}

static int set_up(void **state)
{
	census = census_new(PROCESSES, CLIENTS);
	return census ? 0 : -1;
}

static int tear_down(void **state)
{
	census_free(census);
	return 0;
}

static void test_limit_counts_all_processes(void **state)
{
	struct census_entry *e = census_take(census, 0, name(1), 2);

	assert_non_null(e);
	assert_ptr_equal(census_take(census, 1, name(1), 2), e);
	assert_null(census_take(census, 2, name(1), 2));
	assert_non_null(census_take(census, 2, name(2), 2));
	census_give(census, 0, e);
	assert_ptr_equal(census_take(census, 2, name(1), 2), e);
}

static void test_places_of_clients_that_left_are_used_again(void **state)
{
	for (int round = 0; round < 10; round++) {
		struct census_entry *e[2 * CLIENTS];

		for (int i = 0; i < 2 * CLIENTS; i++)
			assert_non_null(
				e[i] = census_take(census, 0, name((uint8_t)(20 * round + i)), 1));
		assert_null(census_take(census, 0, name(255), 1));
		for (int i = 0; i < 2 * CLIENTS; i++)
			census_give(census, 0, e[i]);
	}
}

/* A client that was placed behind another is found after the other has left. */
static void test_search_goes_past_clients_that_left(void **state)
{
	struct census_entry *first = census_take(census, 0, name(1), 1);

	assert_non_null(census_take(census, 0, name(2), 1));
	census_give(census, 0, first);
	assert_null(census_take(census, 1, name(2), 1));
}

static void test_streams_of_a_dead_process_are_forgotten(void **state)
{
	assert_non_null(census_take(census, 0, name(1), 2));
	assert_non_null(census_take(census, 1, name(1), 2));
	census_forget(census, 1);
	assert_non_null(census_take(census, 2, name(1), 2));
	assert_null(census_take(census, 2, name(1), 2));
}

static void test_forked_process_counts_too(void **state)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(census_take(census, 1, name(1), 1) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_null(census_take(census, 0, name(1), 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limit_counts_all_processes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_places_of_clients_that_left_are_used_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_search_goes_past_clients_that_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_streams_of_a_dead_process_are_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forked_process_counts_too, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
