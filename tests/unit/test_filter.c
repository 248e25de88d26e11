/* links: log/filter log/row log/channel base/utf8 */
/* libs: --for-linker --wrap --for-linker malloc */
/* What one stream follows: channels and patterns, types, and keys that distinguish filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log/filter.h"
#include "no_memory.h"

enum { TEXTS = 4 };

/* Makes a filter from "a b c" lists, and frees the texts. */
static struct filter *make(const char *channels, const char *events)
{
	const char *text[2][TEXTS];
	size_t length[2][TEXTS], count[2] = {0, 0};
	char lists[2][64];
	struct filter *f;

	snprintf(lists[0], sizeof(lists[0]), "%s", channels);
	snprintf(lists[1], sizeof(lists[1]), "%s", events);
	for (int i = 0; i < 2; i++)
		for (char *p = lists[i]; *p; p += strspn(p, " ")) {
			assert_true(count[i] < TEXTS);
			text[i][count[i]] = p;
			length[i][count[i]] = strcspn(p, " ");
			p += length[i][count[i]++];
		}
	f = filter_new(text[0], length[0], count[0], text[1], length[1], count[1]);
	memset(lists, '#', sizeof(lists));
	return f;
}

static void expect_channels(const char *channels, const char *has, const char *has_not)
{
	struct filter *f = make(channels, "");

	assert_non_null(f);
	for (const char *p = has; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (!filter_has_channel(f, p, strcspn(p, " ")))
			fail_msg("%s lacks %s", channels, p);
	for (const char *p = has_not; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (filter_has_channel(f, p, strcspn(p, " ")))
			fail_msg("%s has %s", channels, p);
	free(f);
}

static void test_channels(void **state)
{
	expect_channels("default", "default", "defaul default1 d other default/");
	expect_channels("a b", "a b", "ab c");
	expect_channels("*", "a b/c default /", "");
	expect_channels("a/*", "a/b a/b/c a/", "a ab b/a/ b");
	expect_channels("a/* b", "a/x b", "a c b/x");
	expect_channels("a a/*", "a a/b", "ab");
}

static void test_patterns_make_a_filter_wild(void **state)
{
	static const struct {
		const char *channels;
		bool wild;
	} all[] = {
		{"a", false}, {"a b/c d/", false}, {"*", true}, {"a b/*", true}, {"b/* c", true}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct filter *f = make(all[i].channels, "");

		assert_int_equal(f->wild, all[i].wild);
		free(f);
	}
}

static bool has_type(const struct filter *f, const char *type)
{
	return filter_has_type(f, type, type ? strlen(type) : 0);
}

static void test_types(void **state)
{
	struct filter *all = make("a", ""), *some = make("a", "paid sent");
	struct filter *plain = make("a", "message paid");

	assert_true(has_type(all, NULL));
	assert_true(has_type(all, "anything"));
	assert_true(has_type(some, "paid"));
	assert_true(has_type(some, "sent"));
	assert_false(has_type(some, "pai"));
	assert_false(has_type(some, "paid2"));
	assert_false(has_type(some, NULL));
	assert_true(has_type(plain, NULL));
	assert_true(has_type(plain, "message"));
	assert_true(has_type(plain, "paid"));
	assert_false(has_type(plain, "sent"));
	free(all);
	free(some);
	free(plain);
}

/* Filters with and without ends are different, unless they follow all types. */
static void test_ends(void **state)
{
	struct filter *without = make("a", "paid"), *with = make("a", "paid");
	struct filter *all = make("a", ""), *all_too = make("a", "");

	assert_false(has_type(with, "end"));
	filter_follow_ends(with);
	filter_follow_ends(all_too);
	assert_true(has_type(with, "end"));
	assert_false(has_type(with, "ended"));
	assert_false(has_type(with, NULL));
	assert_false(has_type(without, "end"));
	assert_memory_not_equal(with->key, without->key, with->key_length);
	assert_memory_equal(all->key, all_too->key, all->key_length);
	free(without);
	free(with);
	free(all);
	free(all_too);
}

/* Types are bytes: a NUL does not end a row's type. */
static void test_type_with_a_nul(void **state)
{
	struct filter *f = make("a", "paid");

	assert_false(filter_has_type(f, "paid\0x", 6));
	assert_false(filter_has_channel(f, "a\0b", 3));
	free(f);
}

/* Equal keys for equal filters, and for no others. */
static void test_keys(void **state)
{
	static const char *const all[][2] = {{"a", ""}, {"b", ""}, {"a b", ""}, {"ab", ""},
		{"a", "b"}, {"a b", "c"}, {"a", "b c"}, {"a", "bc"}, {"a b c", ""}, {"a/*", ""},
		{"a/", ""}, {"*", ""}, {"*", "message"}, {"message", "*"}};
	enum { ALL = sizeof(all) / sizeof(all[0]) };

	for (size_t i = 0; i < ALL; i++)
		for (size_t j = 0; j < ALL; j++) {
			struct filter *f = make(all[i][0], all[i][1]);
			struct filter *g = make(all[j][0], all[j][1]);
			bool equal = f->key_length == g->key_length &&
				     !memcmp(f->key, g->key, f->key_length);

			if (equal != (i == j))
				fail_msg(
					"%s|%s, %s|%s", all[i][0], all[i][1], all[j][0], all[j][1]);
			free(f);
			free(g);
		}
}

static void test_out_of_memory(void **state)
{
	struct filter *f;

	allow_allocations(0);
	f = make("a", "b");
	assert_true(allow_all_allocations());
	assert_null(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_channels),
		cmocka_unit_test(test_patterns_make_a_filter_wild),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_type_with_a_nul),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
