/* links: config/arguments base/origin config/setting base/network base/text base/utf8 config/setting_path */
/* How a command line is split, and that no client can put an option into it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/arguments.h"

enum { ARGUMENTS_MAX = 8 };

/* An expected argument: its kind, the setting's name (or NULL), the value (or NULL). */
struct expected {
	enum argument kind;
	const char *name, *value;
};

static char *const no_environment[] = {NULL};

static int count(char *const *argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return argc;
}

/* Reads argv as far as the list of expected arguments, which ends at the end or at an error. */
static void check(char *const *argv, char *const *envp, const struct expected *expected, size_t n)
{
	struct argument_found found;
	struct arguments a;
	enum argument kind;

	arguments_init(&a, count(argv), argv, envp);
	for (size_t i = 0; i < n; i++) {
		kind = arguments_next(&a, &found);
		assert_int_equal(kind, expected[i].kind);
		if (expected[i].name)
			assert_string_equal(found.setting->name, expected[i].name);
		if (expected[i].value)
			assert_string_equal(found.value, expected[i].value);
	}
}

#define WORDS(...) ((char *const *)(const char *[]){__VA_ARGS__, NULL})
#define ARGV(...) WORDS("rowtail", __VA_ARGS__)
#define CHECK(argv, envp, ...)                                                                     \
	check(argv, envp, (struct expected[]){__VA_ARGS__},                                        \
		sizeof((struct expected[]){__VA_ARGS__}) / sizeof(struct expected))
#define END                                                                                        \
	{                                                                                          \
		ARGUMENT_END, NULL, NULL                                                           \
	}

static void test_value_is_the_next_argument_or_after_an_equals_sign(void **state)
{
	CHECK(ARGV("--db", "a=b", "--db=c=d", "--db=", "--poll=--x", "--retry", "-5"),
		no_environment, {ARGUMENT_SETTING, "db", "a=b"}, {ARGUMENT_SETTING, "db", "c=d"},
		{ARGUMENT_SETTING, "db", ""}, {ARGUMENT_SETTING, "poll", "--x"},
		{ARGUMENT_SETTING, "retry", "-5"}, END);
}

static void test_a_flag_takes_no_separate_value(void **state)
{
	CHECK(ARGV("--public", "no", "--public=no"), no_environment,
		{ARGUMENT_SETTING, "public", "yes"}, {ARGUMENT_FILE, NULL, "no"},
		{ARGUMENT_SETTING, "public", "no"}, END);
}

static void test_the_file_can_be_anywhere(void **state)
{
	CHECK(ARGV("a.conf", "--db", "x", "b.conf"), no_environment,
		{ARGUMENT_FILE, NULL, "a.conf"}, {ARGUMENT_SETTING, "db", "x"},
		{ARGUMENT_FILE, NULL, "b.conf"}, END);
}

static void test_two_dashes_end_the_options(void **state)
{
	CHECK(ARGV("--public", "--", "--db", "--"), no_environment,
		{ARGUMENT_SETTING, "public", "yes"}, {ARGUMENT_FILE, NULL, "--db"},
		{ARGUMENT_FILE, NULL, "--"}, END);
	CHECK(ARGV("--"), no_environment, END);
}

static void test_an_option_is_not_taken_as_a_value(void **state)
{
	CHECK(ARGV("--db"), no_environment, {ARGUMENT_INCOMPLETE, "db", NULL});
	CHECK(ARGV("--db", "--public"), no_environment, {ARGUMENT_INCOMPLETE, "db", NULL});
	CHECK(ARGV("--db", "--", "x"), no_environment, {ARGUMENT_INCOMPLETE, "db", NULL});
}

static void test_unknown_option_is_an_error(void **state)
{
	static const char *const unknown[] = {
		"-", "-h", "-db", "---db", "--d", "--dbx", "--DB", "--max_streams", "--=x", "-5"};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		CHECK(ARGV(unknown[i]), no_environment, {ARGUMENT_UNKNOWN, NULL, unknown[i]});
}

static void test_without_any_argument(void **state)
{
	CHECK(WORDS("rowtail"), no_environment, END);
	CHECK(no_environment, no_environment, END);
}

static void test_help_is_found_anywhere_before_two_dashes(void **state)
{
	struct arguments a;

	arguments_init(&a, 4, ARGV("--bogus", "--db", "--help"), no_environment);
	assert_true(arguments_ask(&a, "--help"));
	assert_false(arguments_ask(&a, "--version"));
	arguments_init(&a, 3, ARGV("--", "--help"), no_environment);
	assert_false(arguments_ask(&a, "--help"));
}

/*
 * Clients' queries. The argument lists are Apache 2.4's for these queries, with a
 * #!/usr/bin/rowtail file, and without one.
 */

static char query_variable[200];

static char *const *cgi(const char *query)
{
	static const char *envp[] = {"GATEWAY_INTERFACE=CGI/1.1", query_variable, NULL};

	snprintf(query_variable, sizeof(query_variable), "QUERY_STRING=%s", query);
	return (char *const *)envp;
}

static void test_query_words_after_config_are_ignored(void **state)
{
	CHECK(ARGV("/srv/events.cgi", "--public"), cgi("--public"),
		{ARGUMENT_FILE, NULL, "/srv/events.cgi"}, END);
	CHECK(ARGV("/srv/events.cgi", "--public", "--db", "/etc/x"), cgi("--public+--db+/etc/x"),
		{ARGUMENT_FILE, NULL, "/srv/events.cgi"}, END);
	CHECK(ARGV("--poll=5", "/srv/events.cgi", "foo"), cgi("foo"),
		{ARGUMENT_SETTING, "poll", "5"}, {ARGUMENT_FILE, NULL, "/srv/events.cgi"}, END);
}

static void test_query_words_are_not_options(void **state)
{
	static const struct {
		const char *query;
		const char *argv[ARGUMENTS_MAX];
	} cases[] = {
		{"--public", {"rowtail", "--public"}},
		{"%2d-public", {"rowtail", "--public"}},
		{"%2D%2dpub%6Cic+--", {"rowtail", "--public", "--"}},
		{"+--public", {"rowtail", "--public"}},
		{"--table+a%26b", {"rowtail", "--table", "a\\&b"}},
		{"--table+a\\b", {"rowtail", "--table", "a\\\\b"}},
		{"--public%00x", {"rowtail", "--public"}},
		{"%za%2", {"rowtail", "%za%2"}},
		{"a%5Cb", {"rowtail", "a\\\\b"}},
		{"--db", {"rowtail", "--db", "/x"}},
		{"--+x", {"rowtail", "--", "x"}},
		{"/etc/rowtail.conf", {"rowtail", "/etc/rowtail.conf"}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		CHECK((char *const *)cases[i].argv, cgi(cases[i].query),
			{ARGUMENT_CLIENT, NULL, NULL});
}

static void test_wrapper_script_passing_query_words_is_detected(void **state)
{
	CHECK(ARGV("--db", "/x", "--public"), cgi("--public"), {ARGUMENT_SETTING, "db", "/x"},
		{ARGUMENT_CLIENT, NULL, NULL});
}

static void test_server_that_does_not_split_queries(void **state)
{
	CHECK(ARGV("--db", "/x", "--public"), cgi("ping"), {ARGUMENT_SETTING, "db", "/x"},
		{ARGUMENT_SETTING, "public", "yes"}, END);
}

static void test_query_with_an_equals_sign_is_never_split(void **state)
{
	CHECK(ARGV("--public", "channel"), cgi("channel=--public"),
		{ARGUMENT_SETTING, "public", "yes"}, {ARGUMENT_FILE, NULL, "channel"}, END);
	CHECK(ARGV("--public"), cgi(""), {ARGUMENT_SETTING, "public", "yes"}, END);
}

static void test_without_cgi_there_is_no_client(void **state)
{
	CHECK(ARGV("--public"), WORDS("QUERY_STRING=--public"), {ARGUMENT_SETTING, "public", "yes"},
		END);
}

static void test_client_cannot_ask_for_help(void **state)
{
	struct arguments a;

	arguments_init(&a, 2, ARGV("--help"), cgi("--help"));
	assert_false(arguments_ask(&a, "--help"));
	arguments_init(&a, 2, ARGV("--help"), cgi("a=b"));
	assert_true(arguments_ask(&a, "--help"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test(test_##name)
		TEST(value_is_the_next_argument_or_after_an_equals_sign),
		TEST(a_flag_takes_no_separate_value),
		TEST(the_file_can_be_anywhere),
		TEST(two_dashes_end_the_options),
		TEST(an_option_is_not_taken_as_a_value),
		TEST(unknown_option_is_an_error),
		TEST(without_any_argument),
		TEST(help_is_found_anywhere_before_two_dashes),
		TEST(query_words_after_config_are_ignored),
		TEST(query_words_are_not_options),
		TEST(wrapper_script_passing_query_words_is_detected),
		TEST(server_that_does_not_split_queries),
		TEST(query_with_an_equals_sign_is_never_split),
		TEST(without_cgi_there_is_no_client),
		TEST(client_cannot_ask_for_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
