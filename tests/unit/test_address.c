/* links: base/address */
/* One client counts under one name, however its address is spelled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"

static const char *name_of(const char *address)
{
	static char names[2][ADDRESS_NAME];
	static int which;

	which = !which;
	address_name(names[which], address);
	return names[which];
}

static void test_spellings_of_one_address(void **state)
{
	static const char *const spellings[][2] = {
		{"2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"},
		{"2001:db8::1", "2001:DB8:0::0:1"},
		{"2001:db8::1", "2001:db8::2"},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"},
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"192.0.2.1", "::FFFF:c000:201"},
		{"fe80::1", "fe80::1%eth0"},
	};

	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		assert_string_equal(name_of(spellings[i][0]), name_of(spellings[i][1]));
}

static void test_different_clients(void **state)
{
	assert_string_not_equal(name_of("192.0.2.1"), name_of("192.0.2.10"));
	assert_string_not_equal(name_of("2001:db8::1"), name_of("2001:db8:0:1::1"));
	assert_string_not_equal(name_of("::1"), name_of("127.0.0.1"));
	assert_string_not_equal(name_of(""), name_of("::"));
}

static void test_invalid_addresses(void **state)
{
	char text[200];

	assert_string_equal(name_of(""), "");
	assert_string_equal(name_of("unix:"), "unix:");
	memset(text, ':', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(strlen(name_of(text)), ADDRESS_NAME - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings_of_one_address),
		cmocka_unit_test(test_different_clients),
		cmocka_unit_test(test_invalid_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
