/* links: log/channel base/utf8 */
/*
 * Names, patterns, and what covers what: against a model that says of every short text which names
 * a pattern matches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log/channel.h"

enum { SHORT = 4, TEXTS = 1024 };

/* All texts over these characters, up to SHORT of them. */
static const char alphabet[] = "ab/*";
static char texts[TEXTS][SHORT + 1];
static size_t text_count;

static int make_texts(void **state)
{
	size_t from = 0, to = 1;

	text_count = 1;
	for (int length = 0; length < SHORT; length++) {
		for (size_t i = from; i < to; i++)
			for (const char *c = alphabet; *c; c++) {
				assert_true(text_count < TEXTS);
				snprintf(texts[text_count++], sizeof(*texts), "%s%c", texts[i], *c);
			}
		from = to;
		to = text_count;
	}
	return 0;
}

static bool is_name(const char *text)
{
	return channel_is_name(text, strlen(text));
}

static bool is_pattern(const char *text)
{
	return channel_is_pattern(text, strlen(text));
}

static bool covers(const char *cover, const char *pattern)
{
	return channel_covers(cover, strlen(cover), pattern, strlen(pattern));
}

/* What "a pattern follows a prefix, * follows all" means for one name. */
static bool matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	if (pattern[length - 1] != '*')
		return !strcmp(pattern, name);
	return !strncmp(pattern, name, length - 1);
}

static void test_names(void **state)
{
	assert_true(is_name("default"));
	assert_true(is_name("orders/42"));
	assert_true(is_name("/"));
	assert_true(is_name("orders/"));
	assert_true(is_name(" "));
	assert_true(is_name("caf\xc3\xa9 \xf0\x9f\x98\x80"));
	assert_true(is_name("\xc2\xa0")); /* the first character after the C1 controls */
	assert_false(is_name(""));
	assert_false(is_name("*"));
	assert_false(is_name("a*b"));
	assert_false(is_name("orders/*"));
}

static void test_control_characters_are_not_allowed(void **state)
{
	for (int c = 0; c < 0xa0; c++) {
		const bool control = c < 0x20 || c >= 0x7f;
		char name[] = "a..b";

		name[1] = c < 0x80 ? '.' : (char)0xc2;
		name[2] = (char)c;
		assert_int_equal(channel_is_name(name, 4), !control && c != '*');
		/* At the end as well. */
		assert_int_equal(channel_is_name(name, 3), !control && c != '*');
	}
}

static void test_ill_formed_text_is_not_allowed(void **state)
{
	assert_false(is_name("\xff"));
	assert_false(is_name("a\xc2"));
	assert_false(is_name("\xed\xa0\x80"));
	assert_false(is_pattern("a\xc3/*"));
}

static void test_longest_names(void **state)
{
	char text[CHANNEL_MAX + 1];

	memset(text, 'a', sizeof(text));
	assert_true(channel_is_name(text, CHANNEL_MAX));
	assert_false(channel_is_name(text, CHANNEL_MAX + 1));
	text[CHANNEL_MAX - 2] = '/';
	text[CHANNEL_MAX - 1] = '*';
	assert_true(channel_is_pattern(text, CHANNEL_MAX));
	text[CHANNEL_MAX - 1] = '/';
	text[CHANNEL_MAX] = '*';
	assert_false(channel_is_pattern(text, CHANNEL_MAX + 1));
}

static void test_patterns(void **state)
{
	assert_true(is_pattern("*"));
	assert_true(is_pattern("orders/*"));
	assert_true(is_pattern("orders/42/*"));
	assert_true(is_pattern("orders"));
	assert_false(is_pattern(""));
	assert_false(is_pattern("/*"));
	assert_false(is_pattern("orders*"));
	assert_false(is_pattern("*/orders"));
	assert_false(is_pattern("orders/**"));
	assert_false(is_pattern("a*/*"));
	assert_true(channel_is_wild("orders/*", 8));
	assert_true(channel_is_wild("*", 1));
	assert_false(channel_is_wild("orders/", 7));
	assert_false(channel_is_wild("", 0));
}

static void test_name_is_covered_by_a_pattern_that_matches_it(void **state)
{
	for (size_t p = 0; p < text_count; p++)
		for (size_t n = 0; is_pattern(texts[p]) && n < text_count; n++)
			if (is_name(texts[n]) &&
				covers(texts[p], texts[n]) != matches(texts[p], texts[n]))
				fail_msg("%s, %s", texts[p], texts[n]);
}

/* Does one pattern match every name that the other does? */
static bool matches_all(const char *cover, const char *pattern)
{
	for (size_t n = 0; n < text_count; n++)
		if (is_name(texts[n]) && matches(pattern, texts[n]) && !matches(cover, texts[n]))
			return false;
	return true;
}

static void test_pattern_is_covered_by_a_wider_pattern(void **state)
{
	for (size_t c = 0; c < text_count; c++)
		for (size_t p = 0; is_pattern(texts[c]) && p < text_count; p++)
			if (is_pattern(texts[p]) &&
				covers(texts[c], texts[p]) != matches_all(texts[c], texts[p]))
				fail_msg("%s, %s", texts[c], texts[p]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_control_characters_are_not_allowed),
		cmocka_unit_test(test_ill_formed_text_is_not_allowed),
		cmocka_unit_test(test_longest_names),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_name_is_covered_by_a_pattern_that_matches_it),
		cmocka_unit_test(test_pattern_is_covered_by_a_wider_pattern),
	};

	return cmocka_run_group_tests(tests, make_texts, NULL);
}
