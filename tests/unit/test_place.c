/* links: log/place */
/* On which file systems inotify reports every change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

#include <cmocka.h>

#include "log/place.h"

static void test_file_system_in_memory_is_local(void **state)
{
	struct statfs fs;

	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != 0x01021994)
		skip();
	assert_true(place_is_local("/dev/shm"));
	assert_true(place_is_local("/dev/shm/."));
}

static void test_other_types_are_not_local(void **state)
{
	assert_false(place_is_local("/proc"));
	assert_false(place_is_local("/sys"));
}

static void test_missing_path_is_not_local(void **state)
{
	assert_false(place_is_local("/nowhere/at/all"));
	assert_false(place_is_local(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_system_in_memory_is_local),
		cmocka_unit_test(test_other_types_are_not_local),
		cmocka_unit_test(test_missing_path_is_not_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
