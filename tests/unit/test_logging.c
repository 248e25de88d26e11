/* links: base/logging base/utf8 */
/* One entry is one line and one write, whatever the text contains and whoever reads it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/logging.h"

static int saved_stderr, reader; /* standard error is a pipe to the reader */

static void redirect(int fds[2])
{
	saved_stderr = dup(STDERR_FILENO);
	assert_true(saved_stderr >= 0);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
}

static int setup(void **state)
{
	int fds[2];

	/* With O_DIRECT a read gives what one write put in: pipe(2). */
	if (pipe2(fds, O_DIRECT | O_CLOEXEC))
		return -1;
	redirect(fds);
	log_set_level(LOG_LEVEL_INFO);
	log_set_format(LOG_TEXT);
	log_settle(true);
	return 0;
}

/* Passes on what a test has not read, such as why it failed. */
static int teardown(void **state)
{
	char left[65536];
	ssize_t length;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	while (reader >= 0 && (length = read(reader, left, sizeof(left))) > 0)
		if (write(STDERR_FILENO, left, (size_t)length) < 0)
			return -1;
	return reader >= 0 ? close(reader) : 0;
}

/* What one write brought; "" when there was none. */
static const char *next_write(void)
{
	static char text[4 * LOG_LINE_MAX];
	struct pollfd ready = {.fd = reader, .events = POLLIN};
	ssize_t length = 0;

	if (poll(&ready, 1, 0) == 1)
		length = read(reader, text, sizeof(text) - 1);
	assert_true(length >= 0);
	text[length] = '\0';
	return text;
}

/* The text of the next line, after "LEVEL: ", without its newline; valid until the next call. */
static const char *next_text(const char *level)
{
	static char text[LOG_LINE_MAX + 1];
	char marker[80];
	const char *line = next_write(), *found;

	snprintf(marker, sizeof(marker), " rowtail[%ld] %s: ", (long)getpid(), level);
	found = strstr(line, marker);
	if (!found)
		fail_msg("\"%s\" is not in: %s", marker, line);
	snprintf(text, sizeof(text), "%s", found + strlen(marker));
	assert_true(strlen(line) <= LOG_LINE_MAX);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	text[strlen(text) - 1] = '\0';
	return text;
}

/* Not time(), which may be one tick behind the clock of the log lines. */
static time_t unix_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static void test_a_line_has_time_program_process_and_level(void **state)
{
	struct tm utc = {0};
	time_t before = unix_seconds(), written;
	char expected[80];
	const char *line, *rest;

	log_info("%d streams", 3);
	line = next_write();
	rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &utc);
	assert_non_null(rest);
	written = timegm(&utc);
	assert_in_range(written, before, unix_seconds());
	assert_int_equal(rest[0], '.');
	assert_int_equal(strspn(rest + 1, "0123456789"), 3);
	snprintf(expected, sizeof(expected), "Z rowtail[%ld] info: 3 streams\n", (long)getpid());
	assert_string_equal(rest + 4, expected);
	assert_string_equal(next_write(), "");
}

static void test_each_level_has_its_name(void **state)
{
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a");
	assert_string_equal(next_text("error"), "a");
	log_warn("b");
	assert_string_equal(next_text("warn"), "b");
	log_info("c");
	assert_string_equal(next_text("info"), "c");
	log_debug("d");
	assert_string_equal(next_text("debug"), "d");
}

static void test_entries_above_the_level_are_dropped(void **state)
{
	log_debug("not written");
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	assert_true(log_enabled(LOG_LEVEL_INFO));
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("not written");
	log_info("not written");
	assert_false(log_enabled(LOG_LEVEL_WARN));
	assert_true(log_enabled(LOG_LEVEL_ERROR));
	log_error("written");
	assert_string_equal(next_text("error"), "written");
	assert_string_equal(next_write(), "");
}

static void test_text_cannot_forge_a_line(void **state)
{
	log_info("%s", "user\n2026-01-01T00:00:00.000Z rowtail[1] info: forged\r\x1b[2J\x7f\t");
	assert_string_equal(next_text("info"),
		"user\\x0a2026-01-01T00:00:00.000Z rowtail[1] info: forged\\x0d\\x1b[2J\\x7f\\x09");
	log_info("%s", "\xc2\x85"
		       "\xc2\x9b"
		       "31m\xc2\xa0");
	assert_string_equal(next_text("info"), "\\xc2\\x85\\xc2\\x9b31m\xc2\xa0");
	assert_string_equal(next_write(), "");
}

static void test_ill_formed_utf8_is_escaped(void **state)
{
	log_info("%s", "b\xc3\xbc"
		       "cher \xf0\x9f\x98\x80 \xff\xc3 \xed\xa0\x80 \xe2\x82");
	assert_string_equal(next_text("info"),
		"b\xc3\xbc"
		"cher \xf0\x9f\x98\x80 \\xff\\xc3 \\xed\\xa0\\x80 \\xe2\\x82");
}

/* Every length of text around the limit, in each kind of character. */
static void check_cut(const char *unit, const char *printed)
{
	char text[1200];
	const char *line;
	bool was_cut = false;
	size_t i, n = strlen(unit), kept;

	for (size_t count = 900 / strlen(printed); count * n < sizeof(text) - n; count++) {
		for (i = 0; i < count; i++)
			memcpy(text + i * n, unit, n);
		text[count * n] = '\0';
		log_settle(true); /* texts that are cut alike are no repetition */
		log_info("%s", text);
		line = next_text("info");
		for (kept = 0; !strncmp(line, printed, strlen(printed)); kept++)
			line += strlen(printed);
		assert_string_equal(line, kept < count ? "..." : "");
		assert_true(kept == count || kept * strlen(printed) > 900);
		was_cut = was_cut || kept < count;
	}
	assert_true(was_cut);
	assert_string_equal(next_write(), "");
}

static void test_a_long_text_is_cut_between_characters(void **state)
{
	check_cut("a", "a");
	check_cut("\xc3\xbc", "\xc3\xbc");
	check_cut("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
	check_cut("\n", "\\x0a");
	check_cut("\xff", "\\xff");
}

/* Later text must not take the place of a piece that does not fit. */
static void test_nothing_follows_a_truncated_text(void **state)
{
	char text[1100];
	const char *line;

	for (size_t count = 900; count < 1000; count++) {
		memset(text, 'a', count);
		memcpy(text + count, "\nbbbbbbbb", 10);
		log_info("%s", text);
		line = next_text("info");
		line += strspn(line, "a");
		if (!strncmp(line, "\\x0a", 4))
			line += 4 + strspn(line + 4, "b");
		assert_true(!*line || !strcmp(line, "..."));
	}
}

static void test_errno_is_preserved_and_can_be_logged(void **state)
{
	char expected[80];

	errno = ENOSPC;
	log_error("write: %m");
	assert_int_equal(errno, ENOSPC);
	snprintf(expected, sizeof(expected), "write: %s", strerror(ENOSPC));
	assert_string_equal(next_text("error"), expected);
}

/* Fills standard error; returns the number of lines. */
static int fill(void)
{
	int lines = 0, more;

	assert_true(fcntl(reader, F_SETPIPE_SZ, 16 * 4096) > 0);
	for (more = 0; more < 100; more++)
		log_info("line %d", more);
	while (*next_write())
		lines++;
	return lines;
}

static void test_lines_lost_to_a_stuck_reader_are_counted(void **state)
{
	char expected[80];
	int lines = fill();

	assert_in_range(lines, 1, 99);
	log_info("after");
	snprintf(expected, sizeof(expected), "%d log lines were lost: standard error was full",
		100 - lines);
	assert_string_equal(next_text("warn"), expected);
	assert_string_equal(next_text("info"), "after");
	log_info("and after");
	assert_string_equal(next_text("info"), "and after");
}

static void test_fields(void **state)
{
	const struct log_field fields[] = {{.key = "a", .text = "plain,ü"},
		{.key = "b", .text = "x=\"y\\ \n"}, {.key = "c", .text = ""}, {.text = "left out"},
		{.key = "d", .number = INT64_MIN}, {.key = "e", .number = 125, .tenths = true}};

	log_fields(LOG_LEVEL_INFO, "said", fields, 6);
	assert_string_equal(next_text("info"),
		"said a=plain,ü b=\"x=\\\"y\\\\ \\x0a\" c=\"\" d=-9223372036854775808 e=12.5");
	log_fields(LOG_LEVEL_DEBUG, "hidden", fields, 6);
	assert_string_equal(next_write(), "");
	log_set_format(LOG_JSON);
	log_fields(LOG_LEVEL_WARN, "sa\xffid", fields, 6);
	assert_non_null(strstr(next_write(),
		",\"level\":\"warn\",\"message\":\"sa\\ufffdid\",\"a\":\"plain,ü\","
		"\"b\":\"x=\\\"y\\\\ "
		"\\u000a\",\"c\":\"\",\"d\":-9223372036854775808,\"e\":12.5}\n"));
}

static void test_a_line_that_repeats(void **state)
{
	for (int i = 0; i < LOG_REPEATS + 7; i++)
		log_warn("again");
	for (int i = 0; i < LOG_REPEATS; i++)
		assert_string_equal(next_text("warn"), "again");
	assert_string_equal(next_write(), "");
	log_settle(false);
	assert_string_equal(next_write(), "");
	log_warn("other");
	assert_string_equal(next_text("warn"), "the previous line was repeated 7 more times");
	assert_string_equal(next_text("warn"), "other");
	log_settle(true);
	assert_string_equal(next_write(), "");
}

static int recalled;

static void recall(void *context, const char *line)
{
	char end[32];

	snprintf(end, sizeof(end), ": line %d", 49 + recalled++);
	assert_string_equal(strrchr(line, ':'), end);
}

static void test_the_last_lines_are_kept(void **state)
{
	for (int i = 0; i < LOG_RECENT + 49; i++) {
		log_info("line %d", i);
		next_write();
	}
	recalled = 0;
	log_recent(recall, NULL);
	assert_int_equal(recalled, LOG_RECENT);
}

static void test_no_reader(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	close(reader);
	reader = -1;
	errno = 0;
	log_error("a");
	assert_int_equal(errno, 0);
	close(STDERR_FILENO);
	log_error("b");
	assert_int_equal(errno, 0);
	signal(SIGPIPE, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
		TEST(a_line_has_time_program_process_and_level),
		TEST(each_level_has_its_name),
		TEST(entries_above_the_level_are_dropped),
		TEST(text_cannot_forge_a_line),
		TEST(ill_formed_utf8_is_escaped),
		TEST(a_long_text_is_cut_between_characters),
		TEST(nothing_follows_a_truncated_text),
		TEST(errno_is_preserved_and_can_be_logged),
		TEST(lines_lost_to_a_stuck_reader_are_counted),
		TEST(fields),
		TEST(a_line_that_repeats),
		TEST(the_last_lines_are_kept),
		TEST(no_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
