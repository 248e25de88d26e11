/* links: request/credentials */
/* Where a token is in a request, and which of several counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "request/credentials.h"

enum { PLACES = 3, TOKEN_MAX = 200 };

static struct credentials found;
static bool is_found;
static char token[TOKEN_MAX];

/* A copy that ends where its memory ends, so that a sanitizer detects reads beyond it. */
static char *copy_of(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	assert_int_equal(!copy, !text);
	return copy;
}

/* Whether the found span is inside this text, which may be NULL. */
static bool lies_in(const char *text)
{
	return text && found.token >= text && found.token + found.length <= text + strlen(text);
}

static void find(const char *authorization, const char *access_token, const char *cookie)
{
	char *copies[PLACES] = {copy_of(authorization), copy_of(access_token), copy_of(cookie)};

	memset(&found, 0xff, sizeof(found));
	is_found = credentials_find(&found, copies[0], copies[1], copies[2]);
	if (is_found) {
		assert_int_equal(lies_in(copies[0]) + lies_in(copies[1]) + lies_in(copies[2]), 1);
		assert_int_equal(lies_in(copies[2]), found.is_cookie);
		assert_true(found.length < TOKEN_MAX);
		memcpy(token, found.token, found.length);
		token[found.length] = '\0';
	}
	for (int i = 0; i < PLACES; i++)
		free(copies[i]);
}

static void expect(const char *wanted)
{
	if (!is_found)
		fail_msg("there is none; expected: %s", wanted);
	assert_string_equal(token, wanted);
}

static void expect_bearer(const char *authorization, const char *wanted)
{
	find(authorization, NULL, NULL);
	expect(wanted);
	assert_false(found.is_cookie);
}

/* If a header has no token, the next place is tried. */
static void expect_no_bearer(const char *authorization)
{
	find(authorization, NULL, NULL);
	if (is_found)
		fail_msg("\"%s\" shows \"%s\"", authorization, token);
	find(authorization, "next", NULL);
	expect("next");
}

static void expect_cookie(const char *cookie, const char *wanted)
{
	find(NULL, NULL, cookie);
	expect(wanted);
	assert_true(found.is_cookie);
}

static void expect_no_cookie(const char *cookie)
{
	find(NULL, NULL, cookie);
	if (is_found)
		fail_msg("\"%s\" shows \"%s\"", cookie, token);
}

static void test_no_credentials(void **state)
{
	find(NULL, NULL, NULL);
	assert_false(is_found);
	find("", NULL, "");
	assert_false(is_found);
}

static void test_a_bearer_token(void **state)
{
	expect_bearer("Bearer abc", "abc");
	expect_bearer("Bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM");
	expect_bearer("Bearer a+b/c==", "a+b/c==");
	expect_bearer("Bearer \xff\x01", "\xff\x01");
}

static void test_the_scheme_in_any_case(void **state)
{
	expect_bearer("bearer abc", "abc");
	expect_bearer("BEARER abc", "abc");
	expect_bearer("bEaReR ABC", "ABC");
}

static void test_spaces_around_a_bearer_token(void **state)
{
	expect_bearer("Bearer    abc", "abc");
	expect_bearer("Bearer\tabc", "abc");
	expect_bearer("Bearer \t abc \t ", "abc");
	expect_bearer("Bearer a b ", "a b");
}

static void test_an_empty_bearer_token_counts_as_presented(void **state)
{
	expect_bearer("Bearer", "");
	expect_bearer("bearer ", "");
	expect_bearer("Bearer \t  ", "");
	find("Bearer", "parameter", "rowtail_token=cookie");
	expect("");
}

static void test_other_schemes_have_no_token(void **state)
{
	expect_no_bearer("");
	expect_no_bearer("Basic YTpi");
	expect_no_bearer("Bearerabc");
	expect_no_bearer("Bearer,abc");
	expect_no_bearer("Bearer=abc");
	expect_no_bearer("Beare abc");
	expect_no_bearer(" Bearer abc");
	expect_no_bearer("Basic Bearer abc");
	expect_no_bearer("abc");
}

static void test_the_parameter_is_used_unchanged(void **state)
{
	static const char *const texts[] = {"abc", "", " abc ", "\"abc\"", "Bearer abc", "a;b=c"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		find(NULL, texts[i], NULL);
		expect(texts[i]);
		assert_false(found.is_cookie);
	}
}

static void test_the_header_goes_before_the_parameter_and_that_before_the_cookie(void **state)
{
	find("Bearer header", "parameter", "rowtail_token=cookie");
	expect("header");
	find("Bearer header", NULL, "rowtail_token=cookie");
	expect("header");
	find(NULL, "parameter", "rowtail_token=cookie");
	expect("parameter");
	find(NULL, "", "rowtail_token=cookie");
	expect("");
	find("Basic YTpi", NULL, "rowtail_token=cookie");
	expect("cookie");
}

static void test_a_cookie_among_others(void **state)
{
	expect_cookie("rowtail_token=abc", "abc");
	expect_cookie("a=b; rowtail_token=abc; c=d", "abc");
	expect_cookie("a=b;rowtail_token=abc;c=d", "abc");
	expect_cookie("a; ;;=; \t rowtail_token=abc", "abc");
	expect_cookie("rowtail_token=abc \t; c=d", "abc");
	expect_cookie("rowtail_token=a=b==; c=d", "a=b==");
}

static void test_the_first_cookie_of_that_name_counts(void **state)
{
	expect_cookie("rowtail_token=first; rowtail_token=second", "first");
	expect_cookie("rowtail_token=; rowtail_token=second", "second");
}

static void test_the_next_cookie_of_that_name(void **state)
{
	struct credentials c;

	assert_true(credentials_find(
		&c, NULL, NULL, "rowtail_token=a; x=y; rowtail_token=; rowtail_token=\"b\""));
	assert_true(credentials_next(&c));
	assert_true(c.is_cookie);
	assert_int_equal(c.length, 1);
	assert_memory_equal(c.token, "b", 1);
	assert_false(credentials_next(&c));
	assert_memory_equal(c.token, "b", 1);
	assert_true(credentials_find(&c, "Bearer a", NULL, "rowtail_token=b"));
	assert_false(credentials_next(&c));
}

static void test_other_cookies_are_ignored(void **state)
{
	expect_no_cookie("a=b; c=d");
	expect_no_cookie("rowtail_token");
	expect_no_cookie("rowtail_token; a=b");
	expect_no_cookie("rowtail_toke=abc");
	expect_no_cookie("rowtail_token2=abc");
	expect_no_cookie("rowtail_token =abc");
	expect_no_cookie("ROWTAIL_TOKEN=abc");
	expect_no_cookie("xrowtail_token=abc");
	expect_no_cookie("__Host-rowtail_token=abc");
	expect_no_cookie("a=rowtail_token=abc");
	expect_no_cookie("a=b rowtail_token=abc");
	expect_no_cookie("a=b, rowtail_token=abc");
	expect_no_cookie(";;; ;");
}

static void test_an_empty_cookie_is_ignored(void **state)
{
	expect_no_cookie("rowtail_token=");
	expect_no_cookie("rowtail_token=; a=b");
	expect_no_cookie("a=b; rowtail_token= ");
	expect_no_cookie("rowtail_token=\"\"");
}

static void test_quotes_around_a_cookie(void **state)
{
	expect_cookie("rowtail_token=\"abc\"; a=b", "abc");
	expect_cookie("rowtail_token=\"\"abc\"\"", "\"abc\"");
	expect_cookie("rowtail_token=\"abc", "\"abc");
	expect_cookie("rowtail_token=abc\"", "abc\"");
	expect_cookie("rowtail_token=\"", "\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_credentials),
		cmocka_unit_test(test_a_bearer_token),
		cmocka_unit_test(test_the_scheme_in_any_case),
		cmocka_unit_test(test_spaces_around_a_bearer_token),
		cmocka_unit_test(test_an_empty_bearer_token_counts_as_presented),
		cmocka_unit_test(test_other_schemes_have_no_token),
		cmocka_unit_test(test_the_parameter_is_used_unchanged),
		cmocka_unit_test(
			test_the_header_goes_before_the_parameter_and_that_before_the_cookie),
		cmocka_unit_test(test_a_cookie_among_others),
		cmocka_unit_test(test_the_first_cookie_of_that_name_counts),
		cmocka_unit_test(test_the_next_cookie_of_that_name),
		cmocka_unit_test(test_other_cookies_are_ignored),
		cmocka_unit_test(test_an_empty_cookie_is_ignored),
		cmocka_unit_test(test_quotes_around_a_cookie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
