/* links: log/apart */
/* When to look for processes with another -wal, and whom to name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "log/apart.h"
#include "log/trouble.h"

static struct apart apart;
static pid_t other; /* the process with another -wal; 0: none */
static int looks;

/* In place of trouble.c. */
bool trouble_is_apart(const char *path, pid_t *suspect, char *sentence, size_t size)
{
	bool again = other && other == *suspect;

	looks++;
	*suspect = other;
	return again && snprintf(sentence, size, "process %d", (int)other) > 0;
}

/* Asks ten times a second. Returns after how long a process was named, -1 if none was. */
static int64_t ask(int64_t from_ms, int64_t until_ms)
{
	char sentence[100];

	for (int64_t now_ms = from_ms; now_ms < until_ms; now_ms += 100)
		if (apart_look(&apart, "log", now_ms, sentence, sizeof(sentence)))
			return now_ms - from_ms;
	return -1;
}

static int setup(void **state)
{
	apart = (struct apart){0};
	other = 0;
	looks = 0;
	return 0;
}

static void test_process_is_named_when_it_is_found_twice(void **state)
{
	other = 812;
	assert_int_equal(ask(1000000, 1100000), 2000);
}

static void test_process_is_named_once(void **state)
{
	other = 812;
	assert_int_equal(ask(1000000, 1100000), 2000);
	assert_int_equal(ask(1100000, 2000000), -1);
	other = 813;
	assert_in_range(ask(2000000, 2100000), 2000, 62000);
}

static void test_looks_become_rare(void **state)
{
	assert_int_equal(ask(0, 10000), -1);
	assert_in_range(looks, 3, 4);
	looks = 0;
	assert_int_equal(ask(10000, 3610000), -1);
	assert_in_range(looks, 60, 64);
}

static void test_process_that_comes_late_is_named_within_a_minute(void **state)
{
	assert_int_equal(ask(0, 3600000), -1);
	other = 812;
	assert_in_range(ask(3600000, 3700000), 2000, 62000);
}

static void test_another_file_begins_anew(void **state)
{
	assert_int_equal(ask(0, 3600000), -1);
	apart_begin(&apart);
	other = 812;
	assert_int_equal(ask(3600000, 3700000), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_process_is_named_when_it_is_found_twice, setup),
		cmocka_unit_test_setup(test_process_is_named_once, setup),
		cmocka_unit_test_setup(test_looks_become_rare, setup),
		cmocka_unit_test_setup(
			test_process_that_comes_late_is_named_within_a_minute, setup),
		cmocka_unit_test_setup(test_another_file_begins_anew, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
