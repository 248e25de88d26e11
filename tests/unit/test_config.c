/* links: config/config config/config_file config/arguments base/origin config/setting base/network base/text base/utf8 base/clock base/file config/setting_path config/setting_mirror config/setting_publish */
/* libs: -linih --for-linker --wrap --for-linker malloc */
/* Which source wins, what a CONFIG file may contain, and what an error says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "no_memory.h"

static struct config config;
static struct config_error error;
static char path[40]; /* of the CONFIG file */

static int setup(void **state)
{
	int fd;

	strncpy(path, "/tmp/rowtail-config-XXXXXX", sizeof(path) - 1);
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	config_free(&config);
	allow_all_allocations();
	return remove(path);
}

static void write_bytes(const char *bytes, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void write_file(const char *text)
{
	write_bytes(text, strlen(text));
}

static int load(const char *const *argv, const char *const *envp)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	config_free(&config);
	return config_load(&config, argc, (char *const *)argv, (char *const *)envp, &error);
}

#define LIST(...) ((const char *[]){__VA_ARGS__, NULL})
#define NOTHING ((const char *[]){NULL})
#define LOAD(envp, ...) load(LIST("rowtail", __VA_ARGS__), envp)

/* Asserts that load() succeeded. */
static void taken(int result)
{
	if (result)
		fail_msg("%s", error.sentence);
}

/* Asserts that load() failed with this status and these words in its message. */
static void refused(int result, int exit_status, const char *const *words)
{
	assert_int_equal(result, -1);
	for (; *words; words++)
		if (!strstr(error.sentence, *words))
			fail_msg("\"%s\" is not in: %s", *words, error.sentence);
	assert_int_equal(error.exit_status, exit_status);
	assert_null(config.memory);
}

/* Loads the file alone, with a database from the command line. */
static int load_file(const char *text)
{
	write_file(text);
	return LOAD(NOTHING, "--db", "x", path);
}

/* Asserts that the file is refused at this line. */
static void refused_at(int line, const char *text, const char *word)
{
	char where[60];

	snprintf(where, sizeof(where), "%s:%d: ", path, line);
	refused(load_file(text), EX_CONFIG, LIST(where, word));
}

/* --- which source wins --- */

static void test_defaults(void **state)
{
	taken(LOAD(NOTHING, "--db", "events.db"));
	assert_int_equal(config.action, CONFIG_SERVE);
	assert_string_equal(config.db, "events.db");
	assert_string_equal(config.table, "events");
	assert_int_equal(config.listen_mode, 0660);
	assert_int_equal(config.poll_ms, 100);
	assert_false(config.polls_always);
	assert_int_equal(config.heartbeat_ms, 15000);
	assert_int_equal(config.stall_timeout_ms, 60000);
	assert_int_equal(config.max_streams, 10000);
	assert_int_equal(config.log_level, LOG_LEVEL_INFO);
	assert_non_null(config.allow_origins);
	assert_null(config.allow_origins[0]);
	assert_null(config.file);
	assert_null(config.listen);
	assert_null(config.jwt_key);
	assert_false(config.public_);
}

static void test_command_line_overrides_environment_overrides_file(void **state)
{
	const char *const *env = LIST("ROWTAIL_RETRY=2222", "ROWTAIL_POLL=22");

	write_file("retry = 1111\npoll = 11\nheartbeat = 1\n");
	taken(LOAD(env, path, "--db", "x", "--retry", "3333"));
	assert_int_equal(config.retry_ms, 3333);
	assert_int_equal(config.poll_ms, 22);
	assert_int_equal(config.heartbeat_ms, 1000);
	assert_string_equal(config.file, path);
}

static void test_a_flag_can_be_taken_back(void **state)
{
	write_file("public = yes\n");
	taken(LOAD(NOTHING, "--db", "x", path));
	assert_true(config.public_);
	taken(LOAD(NOTHING, "--db", "x", "--public=no", path));
	assert_false(config.public_);
	taken(LOAD(LIST("ROWTAIL_PUBLIC=off"), "--db", "x", path));
	assert_false(config.public_);
	taken(LOAD(LIST("ROWTAIL_PUBLIC=off"), "--db", "x", "--public", path));
	assert_true(config.public_);
}

static void origins_are(const char *const *expected)
{
	size_t i;

	for (i = 0; expected[i]; i++)
		assert_string_equal(config.allow_origins[i], expected[i]);
	assert_null(config.allow_origins[i]);
}

static void test_lists_add_up_within_a_source_and_override_other_sources(void **state)
{
	const char *const *env = LIST("ROWTAIL_ALLOW_ORIGIN= http://c  http://d\thttp://e ");

	write_file("allow-origin = http://a\nallow-origin = http://b *\n");
	taken(LOAD(NOTHING, "--db", "x", path));
	origins_are(LIST("http://a", "http://b", "*"));
	taken(LOAD(env, "--db", "x", path));
	origins_are(LIST("http://c", "http://d", "http://e"));
	taken(LOAD(env, "--db", "x", path, "--allow-origin", "http://f",
		"--allow-origin=http://g http://h"));
	origins_are(LIST("http://f", "http://g", "http://h"));
	taken(LOAD(NOTHING, "--db", "x", "--allow-origin", " http://F:80/,\thttp://g, \nNULL,"));
	origins_are(LIST("http://f", "http://g", "null"));
}

/* Then the polls never become rare, even if it is the default's value. */
static void test_poll_is_given_anywhere(void **state)
{
	taken(LOAD(NOTHING, "--db", "x", "--poll", "100"));
	assert_true(config.polls_always);
	taken(LOAD(LIST("ROWTAIL_POLL=100"), "--db", "x"));
	assert_true(config.polls_always);
	write_file("poll = 100\n");
	taken(LOAD(NOTHING, path, "--db", "x"));
	assert_true(config.polls_always);
	taken(LOAD(LIST("ROWTAIL_POLL="), "--db", "x", "--heartbeat", "3"));
	assert_false(config.polls_always);
}

static void test_the_last_of_equal_options_wins(void **state)
{
	taken(LOAD(NOTHING, "--db", "x", "--poll", "1", "--db=y", "--poll=2"));
	assert_string_equal(config.db, "y");
	assert_int_equal(config.poll_ms, 2);
}

static void test_bad_value_is_an_error_even_if_overridden(void **state)
{
	write_file("poll = soon\n");
	refused(LOAD(NOTHING, "--db", "x", "--poll", "5", path), EX_CONFIG, LIST("poll", "soon"));
	refused(LOAD(LIST("ROWTAIL_POLL=soon"), "--db", "x", "--poll", "5"), EX_CONFIG,
		LIST("ROWTAIL_POLL", "soon"));
}

static void test_check_can_be_anywhere(void **state)
{
	taken(LOAD(NOTHING, "--db", "x", "--check"));
	assert_int_equal(config.action, CONFIG_CHECK);
	taken(LOAD(LIST("ROWTAIL_CHECK=1"), "--db", "x"));
	assert_int_equal(config.action, CONFIG_CHECK);
	taken(load_file("check = yes"));
	assert_int_equal(config.action, CONFIG_CHECK);
}

static void test_help_and_version_work_despite_errors(void **state)
{
	taken(LOAD(LIST("ROWTAIL_POLL=soon"), "--bogus", "/nowhere", "--help"));
	assert_int_equal(config.action, CONFIG_HELP);
	taken(LOAD(NOTHING, "--version"));
	assert_int_equal(config.action, CONFIG_VERSION);
}

/* --- the command line --- */

static void test_command_line_errors_say_what_would_be_right(void **state)
{
	refused(LOAD(NOTHING, "--max-stream", "5"), EX_USAGE,
		LIST("unknown option --max-stream;", "did you mean --max-streams?"));
	refused(LOAD(NOTHING, "--max-stream=5"), EX_USAGE, LIST("--max-stream;", "--max-streams?"));
	refused(LOAD(NOTHING, "--frobnicate"), EX_USAGE, LIST("--frobnicate;", "rowtail --help"));
	refused(LOAD(NOTHING, "--db"), EX_USAGE, LIST("--db PATH"));
	refused(LOAD(NOTHING, "--db", "x", "--poll", "0"), EX_USAGE,
		LIST("--poll \"0\"", "milliseconds from 1 to 60000"));
	refused(LOAD(NOTHING, "--db", ""), EX_USAGE, LIST("--db \"\"", "give a value"));
	refused(LOAD(NOTHING, "--public=perhaps"), EX_USAGE, LIST("--public \"perhaps\"", "yes"));
	refused(LOAD(NOTHING, "a.conf", "b.conf"), EX_USAGE, LIST("a.conf", "b.conf", "CONFIG"));
}

static void test_query_words_set_nothing(void **state)
{
	const char *const *env =
		LIST("GATEWAY_INTERFACE=CGI/1.1", "QUERY_STRING=--public+--db+/etc");

	write_file("#!/usr/bin/rowtail\ndb = x\n");
	taken(LOAD(env, path, "--public", "--db", "/etc"));
	assert_false(config.public_);
	assert_string_equal(config.db, "x");
	refused(LOAD(env, "--public", "--db", "/etc"), EX_USAGE, LIST("query"));
}

/* --- the environment --- */

static void test_all_in_the_environment(void **state)
{
	const char *const *env = LIST("HOME=/", "ROWTAIL_DB=/var/lib/e.db", "ROWTAIL_MAX_STREAMS=5",
		"ROWTAIL_MAX_STREAMS_PER_CLIENT=2", "ROWTAIL_PUBLIC=true", "ROWTAIL",
		"XROWTAIL_DB=y");

	taken(load(LIST("rowtail"), env));
	assert_string_equal(config.db, "/var/lib/e.db");
	assert_int_equal(config.max_streams, 5);
	assert_int_equal(config.max_streams_per_client, 2);
	assert_true(config.public_);
}

static void test_an_empty_variable_is_ignored(void **state)
{
	write_file("poll = 5\n");
	taken(LOAD(
		LIST("ROWTAIL_POLL=", "ROWTAIL_JWT_KEY=", "ROWTAIL_COLOUR="), "--db", "x", path));
	assert_int_equal(config.poll_ms, 5);
	assert_null(config.jwt_key);
}

static void test_an_unknown_variable_is_an_error(void **state)
{
	refused(LOAD(LIST("ROWTAIL_MAX_STREAM=5"), "--db", "x"), EX_CONFIG,
		LIST("environment variable ROWTAIL_MAX_STREAM;",
			"did you mean ROWTAIL_MAX_STREAMS?"));
	refused(LOAD(LIST("ROWTAIL_poll=5"), "--db", "x"), EX_CONFIG, LIST("mean ROWTAIL_POLL?"));
	refused(LOAD(LIST("ROWTAIL_COLOUR=5"), "--db", "x"), EX_CONFIG, LIST("ROWTAIL_COLOUR;"));
}

static void test_variables_of_other_programs_are_ignored(void **state)
{
	taken(LOAD(LIST("ROWTAIL_PAGE=metrics", "ROWTAIL_VERSION=1.2",
			   "ROWTAIL_SERVICE_HOST=10.0.0.1", "ROWTAIL_SERVICE_PORT_HTTP=80",
			   "ROWTAIL_PORT=tcp://10.0.0.1:80", "ROWTAIL_PORT_80_TCP_ADDR=10.0.0.1",
			   "ROWTAIL_HELP=no", "ROWTAIL_MOUNT=/events"),
		"--db", "x"));
	assert_int_equal(config.action, CONFIG_SERVE);
}

/* --- the CONFIG file --- */

static void test_all_in_the_file(void **state)
{
	write_file("#!/usr/local/bin/rowtail\n"
		   "# who may read: see grants\n"
		   "; and so on\n"
		   "\n"
		   " \t \n"
		   "db = /var/lib/events.db\n"
		   "  retry=1234\n"
		   "\tretry-jitter\t=\t0\t\n"
		   "table= no ; is a comment # nor this = : \n"
		   "public = yes\n"
		   "listen = [::1]:9000");
	taken(LOAD(NOTHING, path));
	assert_string_equal(config.db, "/var/lib/events.db");
	assert_int_equal(config.retry_ms, 1234);
	assert_int_equal(config.retry_jitter_ms, 0);
	assert_string_equal(config.table, "no ; is a comment # nor this = :");
	assert_true(config.public_);
	assert_string_equal(config.listen, "[::1]:9000");
}

static void test_a_file_with_windows_line_ends(void **state)
{
	taken(load_file(
		"\xef\xbb\xbf#!/usr/local/bin/rowtail\r\npoll = 5\r\ntable = \"a b\"\r\n\r\n"));
	assert_int_equal(config.poll_ms, 5);
	assert_string_equal(config.table, "\"a b\"");
	taken(load_file("\xef\xbb\xbfpoll = 6"));
	assert_int_equal(config.poll_ms, 6);
	refused_at(2, "\xef\xbb\xbfpoll = 5\r\nretry = soon\r\n", "retry \"soon\"");
}

static void test_an_empty_file_sets_nothing(void **state)
{
	taken(load_file(""));
	taken(load_file("\n"));
	taken(load_file("#"));
	assert_int_equal(config.poll_ms, 100);
}

static void test_errors_in_the_file_name_file_line_and_key(void **state)
{
	refused_at(2, "poll = 5\nmax-stream = 5\n",
		"unknown setting max-stream; did you mean max-streams?");
	refused_at(1, "colour = red", "unknown setting colour;");
	refused_at(3, "\n# a comment\npoll = soon\n", "poll \"soon\"");
	refused_at(1, "heartbeat =\n", "heartbeat \"\"");
	refused_at(1, "allow-origin = \n", "allow-origin \"\"");
	refused_at(1, "allow-origin = http://a example.com", "\"example.com\"");
	refused_at(2, "poll = 5\njust words\npoll = 6\n", "\"just words\" is not a setting");
	/* As on the command line: the message says what would be right. */
	refused_at(1, "public\n", "write public = yes");
	refused_at(1, "  max-streams \t\r\n", "write max-streams = N");
	refused_at(1, "public yes\n", "\"public yes\" is not a setting");
	refused_at(1, "= 5\n", "NAME = VALUE");
	refused_at(1, "poll: 5\n", "NAME = VALUE");
	refused_at(1, "listen :9000\n", "NAME = VALUE");
	refused_at(1, "table: a = b\n", "NAME = VALUE");
	refused_at(1, "  [rowtail]\npoll = 5\n", "[sections]");
	refused_at(1, "[", "[sections]");
	refused_at(3, "poll = 5\n\npoll = 5\n", "poll is already set in line 1");
	refused_at(1, "help = yes\n", "command line");
	refused_at(1, "--poll = 5\n", "did you mean poll?");
}

static void test_the_first_error_is_reported(void **state)
{
	refused_at(2, "poll = 5\nretry = x\n[a]\nheartbeat = y\n", "retry");
}

static void test_a_file_must_be_plain_text(void **state)
{
	static const char with_nul[] = "poll = 5\nretry\0 = 7\n";

	refused_at(2, "poll = 5\nretry\001 = 5\n", "control character");
	refused_at(1, "poll = 5\rretry = 6\r", "control character");
	refused_at(1, "table = a\033[2J\n", "control character");
	refused_at(1, "table = a\177\n", "control character");
	write_bytes(with_nul, sizeof(with_nul) - 1);
	refused(LOAD(NOTHING, "--db", "x", path), EX_CONFIG, LIST(":2: ", "control character"));
}

/* "table = vvv…", of this length, with its line end. */
static const char *long_line(size_t length, const char *end)
{
	static char line[5000];

	assert_in_range(length, 8, 4900);
	memset(line, 'v', length);
	memcpy(line, "table = ", 8);
	memcpy(line + length, end, strlen(end) + 1);
	return line;
}

static void test_a_value_can_have_4096_bytes(void **state)
{
	taken(load_file(long_line(8 + 4096, "\n")));
	assert_int_equal(strlen(config.table), 4096);
	taken(load_file(long_line(8 + 4096, "\r\n")));
	assert_int_equal(strlen(config.table), 4096);
	taken(load_file(long_line(4352, "")));
	assert_int_equal(strlen(config.table), 4352 - 8);
	refused_at(1, long_line(4353, ""), "longer than 4352 bytes");
	refused_at(1, long_line(4353, "\npoll = soon"), "longer than 4352 bytes");
}

static void test_a_file_that_cannot_be_read(void **state)
{
	refused(LOAD(NOTHING, "/nowhere/a.conf"), EX_NOINPUT,
		LIST("/nowhere/a.conf", "No such file"));
	refused(LOAD(NOTHING, "/tmp"), EX_NOINPUT, LIST("/tmp", "directory"));
	refused(LOAD(NOTHING, ""), EX_NOINPUT, LIST("CONFIG"));
}

static void test_a_database_given_as_the_config_file(void **state)
{
	static const char header[100] = "SQLite format 3";

	write_bytes(header, sizeof(header));
	refused(LOAD(NOTHING, path), EX_CONFIG, LIST(path, "--db"));
}

static void test_a_file_of_absurd_size(void **state)
{
	size_t size = 256 * 1024;
	char *text = malloc(size + 1);

	assert_non_null(text);
	memset(text, '\n', size + 1);
	write_bytes(text, size);
	taken(LOAD(NOTHING, "--db", "x", path));
	write_bytes(text, size + 1);
	refused(LOAD(NOTHING, "--db", "x", path), EX_CONFIG, LIST(path, "262144"));
	free(text);
}

/* --- all together --- */

static void test_the_database_option_is_required(void **state)
{
	refused(load(LIST("rowtail"), NOTHING), EX_USAGE, LIST("--db", "ROWTAIL_DB"));
	refused(load(NOTHING, NOTHING), EX_USAGE, LIST("--db"));
	write_file("poll = 5\n");
	refused(LOAD(NOTHING, path), EX_CONFIG, LIST(path, "db = PATH"));
}

static void test_key_and_algorithm_come_together(void **state)
{
	taken(LOAD(NOTHING, "--db", "x", "--jwt-key", "k", "--jwt-algorithm", "HS256"));
	assert_string_equal(config.jwt_key, "k");
	assert_string_equal(config.jwt_algorithm, "HS256");
	refused(LOAD(NOTHING, "--db", "x", "--jwt-key", "k"), EX_USAGE,
		LIST("jwt-key", "jwt-algorithm"));
	refused(LOAD(LIST("ROWTAIL_JWT_ALGORITHM=HS256"), "--db", "x"), EX_CONFIG,
		LIST("jwt-key", "jwt-algorithm"));
	refused_at(2, "\njwt-key = k\n# no more\n", "jwt-algorithm");
}

static void test_messages_are_safe_to_print(void **state)
{
	char name[3000];

	refused(LOAD(NOTHING, "--a\nrowtail: all is well\033[1m\377"), EX_USAGE, LIST("unknown"));
	for (const char *p = error.sentence; *p; p++)
		assert_false((unsigned char)*p < 0x20 || *p == 0x7f || *p == (char)0xff);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	refused(LOAD(NOTHING, "--db", name, "--poll", name), EX_USAGE, LIST("--poll", "60000"));
	refused(LOAD(NOTHING, name), EX_NOINPUT, LIST("CONFIG file nnn"));
}

static void test_out_of_memory_is_reported_as_such(void **state)
{
	const char *const *env = LIST("ROWTAIL_RETRY=5", "ROWTAIL_ALLOW_ORIGIN=http://a http://b");
	bool failed = true;
	long good;

	write_file("poll = 5\n");
	for (good = 0; failed; good++) {
		allow_allocations(good);
		int result = LOAD(env, "--db", "x", path);

		failed = allow_all_allocations();
		if (failed)
			refused(result, EX_OSERR, LIST("memory"));
		else
			taken(result);
	}
	assert_true(good > 1);
}

static void test_no_pointer_of_the_caller_is_kept(void **state)
{
	char value[] = "events.db", variable[] = "ROWTAIL_TABLE=log";

	taken(LOAD(LIST(variable), "--db", value));
	memset(value, '#', strlen(value));
	memset(variable, '#', strlen(variable));
	assert_string_equal(config.db, "events.db");
	assert_string_equal(config.table, "log");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
		TEST(defaults),
		TEST(command_line_overrides_environment_overrides_file),
		TEST(a_flag_can_be_taken_back),
		TEST(lists_add_up_within_a_source_and_override_other_sources),
		TEST(poll_is_given_anywhere),
		TEST(the_last_of_equal_options_wins),
		TEST(bad_value_is_an_error_even_if_overridden),
		TEST(check_can_be_anywhere),
		TEST(help_and_version_work_despite_errors),
		TEST(command_line_errors_say_what_would_be_right),
		TEST(query_words_set_nothing),
		TEST(all_in_the_environment),
		TEST(an_empty_variable_is_ignored),
		TEST(an_unknown_variable_is_an_error),
		TEST(variables_of_other_programs_are_ignored),
		TEST(all_in_the_file),
		TEST(a_file_with_windows_line_ends),
		TEST(an_empty_file_sets_nothing),
		TEST(errors_in_the_file_name_file_line_and_key),
		TEST(the_first_error_is_reported),
		TEST(a_file_must_be_plain_text),
		TEST(a_value_can_have_4096_bytes),
		TEST(a_file_that_cannot_be_read),
		TEST(a_database_given_as_the_config_file),
		TEST(a_file_of_absurd_size),
		TEST(the_database_option_is_required),
		TEST(key_and_algorithm_come_together),
		TEST(messages_are_safe_to_print),
		TEST(out_of_memory_is_reported_as_such),
		TEST(no_pointer_of_the_caller_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
