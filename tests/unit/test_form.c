/* links: request/form */
/* Forms are read as the URL Standard says, whatever they contain, and bad escapes are reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "request/form.h"

/* A copy with room for one more byte, which form_init() may use, and no more. */
static char *copy_of(const char *text, size_t length)
{
	char *copy = malloc(length + 1);

	assert_non_null(copy);
	memcpy(copy, text, length);
	copy[length] = '!';
	return copy;
}

/* Reads the form and writes it as name(value), with '?' before the value of a bad escape. */
static void expect(const char *text, const char *pairs)
{
	char *copy = copy_of(text, strlen(text));
	char got[256] = "";
	struct form_pair pair;
	struct form form;

	form_init(&form, copy, strlen(text));
	while (form_next(&form, &pair)) {
		assert_int_equal(strlen(pair.name), pair.name_length);
		assert_int_equal(strlen(pair.value), pair.value_length);
		strncat(got, pair.name, sizeof(got) - strlen(got) - 1);
		strncat(got, pair.bad_escape ? "(?" : "(", sizeof(got) - strlen(got) - 1);
		strncat(got, pair.value, sizeof(got) - strlen(got) - 1);
		strncat(got, ")", sizeof(got) - strlen(got) - 1);
	}
	assert_string_equal(got, pairs);
	assert_false(form_next(&form, &pair));
	free(copy);
}

static void test_pairs_come_in_order(void **state)
{
	expect("", "");
	expect("a=1", "a(1)");
	expect("a=1&b=2&a=3", "a(1)b(2)a(3)");
}

static void test_odd_pieces(void **state)
{
	expect("&", "");
	expect("&&a=1&&&b=2&", "a(1)b(2)");
	expect("a", "a()");
	expect("a&b=", "a()b()");
	expect("=1", "(1)");
	expect("=", "()");
	expect("a=b=c==", "a(b=c==)");
	expect("a=1;b=2", "a(1;b=2)");
}

static void test_escapes(void **state)
{
	expect("a=x+y&b+c=%20+", "a(x y)b c(  )");
	expect("%61%3d=%26%2B%25", "a=(&+%)");
	expect("a=%c3%A4&b=%E2%82%ac", "a(\303\244)b(\342\202\254)");
	expect("a=%2541", "a(%41)");
	expect("ch=orders%2F%2A", "ch(orders/*)");
}

static void test_bad_escapes_are_reported_and_kept(void **state)
{
	expect("a=%", "a(?%)");
	expect("a=%4", "a(?%4)");
	expect("a=%4&b=%41", "a(?%4)b(A)");
	expect("a=%4&1=2", "a(?%4)1(2)");
	expect("a=%g1", "a(?%g1)");
	expect("a=%1g&b=%%41", "a(?%1g)b(?%A)");
	expect("a=100%+sure", "a(?100% sure)");
	expect("a=%-1%+1% 1", "a(?%-1% 1% 1)");
	expect("%zz=1&%4=2", "%zz(1)%4(2)");
}

static void test_nul_and_any_other_byte(void **state)
{
	static const char text[] = "a%00b=c%00\0d&\xff=%FE";
	char *copy = copy_of(text, sizeof(text) - 1);
	struct form_pair pair;
	struct form form;

	form_init(&form, copy, sizeof(text) - 1);
	assert_true(form_next(&form, &pair));
	assert_int_equal(pair.name_length, 3);
	assert_memory_equal(pair.name, "a\0b", 4);
	assert_int_equal(pair.value_length, 4);
	assert_memory_equal(pair.value, "c\0\0d", 5);
	assert_true(form_next(&form, &pair));
	assert_string_equal(pair.name, "\xff");
	assert_string_equal(pair.value, "\xfe");
	assert_false(form_next(&form, &pair));
	free(copy);
}

static void test_every_byte_survives_its_escape(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	for (unsigned high = 0; high < 22; high++) {
		for (unsigned low = 0; low < 22; low++) {
			char text[] = {'=', '%', digits[high], digits[low], '\0'};
			unsigned byte =
				(high < 16 ? high : high - 6) * 16 + (low < 16 ? low : low - 6);
			struct form_pair pair;
			struct form form;

			form_init(&form, text, 4);
			assert_true(form_next(&form, &pair));
			assert_int_equal(pair.value_length, 1);
			assert_int_equal((uint8_t)pair.value[0], byte);
			assert_false(pair.bad_escape);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs_come_in_order),
		cmocka_unit_test(test_odd_pieces),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_bad_escapes_are_reported_and_kept),
		cmocka_unit_test(test_nul_and_any_other_byte),
		cmocka_unit_test(test_every_byte_survives_its_escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
