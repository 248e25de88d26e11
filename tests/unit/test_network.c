/* links: base/network */
/* Addresses and ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/network.h"

static bool has(const char *range, const char *address)
{
	struct network r, a;

	assert_true(network_read(&r, range));
	assert_true(network_read_address(&a, address, strlen(address)));
	return network_has(&r, &a);
}

static void test_ranges(void **state)
{
	assert_true(has("10.0.0.0/8", "10.255.0.1"));
	assert_false(has("10.0.0.0/8", "11.0.0.1"));
	assert_true(has("192.0.2.128/25", "192.0.2.200"));
	assert_false(has("192.0.2.128/25", "192.0.2.127"));
	assert_true(has("192.0.2.1", "192.0.2.1"));
	assert_false(has("192.0.2.1", "192.0.2.2"));
	assert_true(has("0.0.0.0/0", "192.0.2.1"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
}

static void test_both_spellings_of_ipv4(void **state)
{
	assert_true(has("10.0.0.0/8", "::ffff:10.1.2.3"));
	assert_true(has("::ffff:10.1.2.3", "10.1.2.3"));
}

static void test_invalid_ranges(void **state)
{
	static const char *const bad[] = {"", "a", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
		"::/129", "::1/0", "10.0.0.0/8/8", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0", "/8",
		"fe80::1%eth0", "10.0.0.0/99999999999999999999"};
	struct network n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (network_read(&n, bad[i]))
			fail_msg("%s", bad[i]);
}

static void test_addresses_as_proxies_write_them(void **state)
{
	static const char *const good[][2] = {{"192.0.2.1:80", "192.0.2.1"},
		{"[2001:db8::1]:80", "2001:db8::1"}, {"[2001:db8::1]", "2001:db8::1"},
		{"2001:DB8:0:0::1", "2001:db8::1"}, {"fe80::1%eth0", "fe80::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"}};
	static const char *const bad[] = {
		"", "unknown", "_hidden", "[::1", "[::1]x", ":80", "1.2.3.4.5", "1.2.3.4 5"};
	char text[NETWORK_TEXT];
	struct network n;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(network_read_address(&n, good[i][0], strlen(good[i][0])));
		network_write(&n, text);
		assert_string_equal(text, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (network_read_address(&n, bad[i], strlen(bad[i])))
			fail_msg("%s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_both_spellings_of_ipv4),
		cmocka_unit_test(test_invalid_ranges),
		cmocka_unit_test(test_addresses_as_proxies_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
