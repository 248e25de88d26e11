/* links: base/utf8 */
/* Well-formed and ill-formed sequences, against Unicode's table 3-7 written out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Table 3-7, "Well-Formed UTF-8 Byte Sequences": ranges of bytes. */
static const struct {
	int length;
	uint8_t range[4][2];
} table[] = {
	{1, {{0x00, 0x7f}}},
	{2, {{0xc2, 0xdf}, {0x80, 0xbf}}},
	{3, {{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}}},
	{3, {{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{3, {{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}}},
	{3, {{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{4, {{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{4, {{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
	{4, {{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}}},
};

/* The bytes on both sides of every boundary in the table. */
static const uint8_t borders[] = {0x00, 0x0a, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
	0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};

/*
 * What the table says: the length of a sequence, or minus that of its maximal subpart (section 3.9,
 * "U+FFFD Substitution of Maximal Subparts").
 */
static int expected(const uint8_t *p, size_t left)
{
	int longest = 1;

	for (size_t row = 0; row < COUNT(table); row++) {
		int fits = 0;

		while (fits < table[row].length && (size_t)fits < left &&
			p[fits] >= table[row].range[fits][0] &&
			p[fits] <= table[row].range[fits][1])
			fits++;
		if (fits == table[row].length)
			return fits;
		if (fits > longest)
			longest = fits;
	}
	return -longest;
}

/* Of a copy that ends where its memory ends. */
static int step_of(const uint8_t *p, size_t left)
{
	uint8_t *copy = malloc(left);
	int step;

	assert_non_null(copy);
	memcpy(copy, p, left);
	step = utf8_step(copy, left);
	free(copy);
	return step;
}

static size_t prefix_of(const uint8_t *p, size_t length)
{
	uint8_t *copy = malloc(length ? length : 1);
	size_t prefix;

	assert_non_null(copy);
	memcpy(copy, p, length);
	prefix = utf8_valid_prefix(copy + (length ? 0 : 1), length);
	free(copy);
	return prefix;
}

static void test_every_pair_of_bytes(void **state)
{
	for (unsigned n = 0; n < 0x10000; n++) {
		const uint8_t pair[] = {(uint8_t)(n >> 8), (uint8_t)n};

		assert_int_equal(step_of(pair, 2), expected(pair, 2));
		assert_int_equal(step_of(pair, 1), expected(pair, 1));
	}
}

static void test_every_boundary_in_four_bytes(void **state)
{
	const size_t count = COUNT(borders);

	for (size_t n = 0; n < count * count * count * count; n++) {
		uint8_t bytes[4];
		size_t rest = n;

		for (int i = 0; i < 4; i++, rest /= count)
			bytes[i] = borders[rest % count];
		for (size_t left = 3; left <= 4; left++)
			if (utf8_step(bytes, left) != expected(bytes, left))
				fail_msg("%02x %02x %02x %02x, %zu of them", bytes[0], bytes[1],
					bytes[2], bytes[3], left);
	}
}

static void test_no_read_beyond_the_end(void **state)
{
	static const char *const begun[] = {
		"\xc3", "\xe2", "\xe2\x82", "\xf0", "\xf0\x9f", "\xf0\x9f\x98"};

	for (size_t i = 0; i < COUNT(begun); i++)
		assert_int_equal(step_of((const uint8_t *)begun[i], strlen(begun[i])),
			-(int)strlen(begun[i]));
}

static void test_prefix_of_well_formed_text_is_the_whole_text(void **state)
{
	static const char text[] =
		"ASCII only, \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80, and \0 as well.";

	assert_int_equal(prefix_of((const uint8_t *)text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(prefix_of((const uint8_t *)"", 0), 0);
}

/* One bad byte at every place of texts of every length, ASCII and not. */
static void test_prefix_ends_at_the_first_bad_byte(void **state)
{
	uint8_t text[40];

	for (size_t length = 1; length <= sizeof(text); length++)
		for (size_t bad = 0; bad < length; bad++) {
			memset(text, 'x', length);
			text[bad] = 0xff;
			assert_int_equal(prefix_of(text, length), bad);
			/* A character of two bytes before it, and one cut off by it. */
			if (bad >= 3) {
				memcpy(text + bad - 3, "\xc3\xa4\xc3", 3);
				assert_int_equal(prefix_of(text, length), bad - 1);
			}
		}
}

static void test_prefix_stops_at_a_truncated_character(void **state)
{
	static const char text[] = "0123456789\xf0\x9f\x98\x80";

	for (size_t length = 10; length < sizeof(text) - 1; length++)
		assert_int_equal(prefix_of((const uint8_t *)text, length), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_of_bytes),
		cmocka_unit_test(test_every_boundary_in_four_bytes),
		cmocka_unit_test(test_no_read_beyond_the_end),
		cmocka_unit_test(test_prefix_of_well_formed_text_is_the_whole_text),
		cmocka_unit_test(test_prefix_ends_at_the_first_bad_byte),
		cmocka_unit_test(test_prefix_stops_at_a_truncated_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
