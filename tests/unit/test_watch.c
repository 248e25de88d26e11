/* links: base/watch base/loop base/buffer */
/* libs: -luv */
/* What a watch reports about a directory: changes of its named files, and nothing else. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/watch.h"

static const char *const names[WATCH_FILES] = {"log", "log-wal", NULL};

static struct watch watch;
static char directory[64];
static int changes, appearances, unknown;

static void count(struct watch *w, const char *name, bool appeared)
{
	if (!name)
		unknown++;
	else if (appeared)
		appearances++;
	else
		changes++;
}

static void over(struct loop_timer *timer)
{
	loop_stop();
}

/* Runs the loop to collect events, after forgetting earlier ones. */
static void listen_a_while(void)
{
	static struct loop_timer timer;

	changes = appearances = unknown = 0;
	loop_timer_init(&timer, over, NULL);
	loop_timer_start(&timer, 20, 0);
	loop_run();
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_to(const char *name)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_APPEND, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void move(const char *from, const char *to)
{
	char before[128];

	snprintf(before, sizeof(before), "%s", path_of(from));
	assert_int_equal(rename(before, path_of(to)), 0);
}

static int setup(void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/rt-watch-XXXXXX");
	return mkdtemp(directory) && watch_begin(&watch, directory, names, count) ? 0 : -1;
}

static int teardown(void **state)
{
	watch_end(&watch);
	unlink(path_of("log"));
	unlink(path_of("log-wal"));
	unlink(path_of("other"));
	return rmdir(directory);
}

static void test_changes_of_a_named_file(void **state)
{
	write_to("log");
	listen_a_while();
	assert_int_equal(appearances, 1);
	for (int i = 0; i < 3; i++) {
		write_to("log");
		listen_a_while();
		assert_int_equal(changes, 1);
		assert_int_equal(appearances, 0);
	}
}

static void test_other_files_are_not_reported(void **state)
{
	write_to("other");
	listen_a_while();
	assert_int_equal(changes + appearances + unknown, 0);
	for (int i = 0; i < 100; i++)
		write_to("other");
	listen_a_while();
	assert_int_equal(changes + appearances + unknown, 0);
}

static void test_file_removed_and_recreated(void **state)
{
	write_to("log-wal");
	listen_a_while();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(unlink(path_of("log-wal")), 0);
		listen_a_while();
		assert_int_equal(appearances, 1);
		write_to("log-wal");
		listen_a_while();
		assert_int_equal(appearances, 1);
		write_to("log-wal");
		listen_a_while();
		assert_int_equal(changes, 1);
	}
}

static void test_file_replaced_by_another(void **state)
{
	write_to("log");
	write_to("other");
	listen_a_while();
	move("other", "log");
	listen_a_while();
	assert_true(appearances > 0);
	write_to("log");
	listen_a_while();
	assert_int_equal(changes, 1);
}

static void test_nothing_is_reported_after_the_end(void **state)
{
	write_to("log");
	listen_a_while();
	watch_end(&watch);
	watch_end(&watch);
	write_to("log");
	write_to("log-wal");
	listen_a_while();
	assert_int_equal(changes + appearances + unknown, 0);
	assert_true(watch_begin(&watch, directory, names, count));
	assert_true(watch_begin(&watch, directory, names, count));
	write_to("log");
	listen_a_while();
	assert_int_equal(changes, 1);
}

/* Afterwards the same path may be another directory. */
static void test_directory_removed_and_recreated(void **state)
{
	write_to("log");
	listen_a_while();
	assert_true(watch_sees(&watch, 0));
	assert_false(watch_sees(&watch, 1));
	assert_int_equal(unlink(path_of("log")), 0);
	assert_int_equal(rmdir(directory), 0);
	listen_a_while();
	assert_true(unknown > 0);
	assert_false(watch_sees(&watch, 0));
	assert_false(watch_begin(&watch, directory, names, count));
	assert_int_equal(mkdir(directory, 0700), 0);
	assert_true(watch_begin(&watch, directory, names, count));
	write_to("log");
	listen_a_while();
	assert_int_equal(appearances, 1);
	assert_true(watch_sees(&watch, 0));
}

static void test_missing_directory(void **state)
{
	static struct watch none;

	watch_end(&none);
	assert_false(watch_begin(&none, "/nowhere", names, count));
	assert_int_not_equal(none.error, 0);
	watch_end(&none);
}

static int begin_loop(void **state)
{
	return loop_init() ? 0 : -1;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_changes_of_a_named_file),
		TEST(test_other_files_are_not_reported),
		TEST(test_file_removed_and_recreated),
		TEST(test_file_replaced_by_another),
		TEST(test_nothing_is_reported_after_the_end),
		TEST(test_directory_removed_and_recreated),
		TEST(test_missing_directory),
	};

	return cmocka_run_group_tests(tests, begin_loop, NULL);
}
