/* links: base/address access/attempts base/tally access/token */
/* libs: -lsodium */
/* Who may present a token: how often an address may fail, what is forgotten, what is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "access/attempts.h"
#include "access/token.h"

enum { SECOND = 1000, START = 86400 * SECOND, TEXT = 128 };

static struct attempts *attempts;

static int setup(void **state)
{
	attempts = token_init() ? attempts_new() : NULL;
	return attempts ? 0 : -1;
}

static int teardown(void **state)
{
	attempts_free(attempts);
	return 0;
}

/* A new token has failed. */
static void fail_anew(const char *address, int64_t now_ms)
{
	static int serial;
	char hash[TOKEN_HEX + 1], token[32];
	int length = snprintf(token, sizeof(token), "token %d", serial++);

	token_hash(token, (size_t)length, hash);
	attempts_fail(attempts, address, hash, now_ms);
}

/* Presents bad tokens until that is no longer allowed, at most `most`; returns their number. */
static int fail_while_allowed(const char *address, int64_t now_ms, int most)
{
	int count = 0;

	while (count < most && attempts_allowed(attempts, address, now_ms)) {
		fail_anew(address, now_ms);
		count++;
	}
	return count;
}

static void use_up(const char *address, int64_t now_ms)
{
	assert_int_equal(fail_while_allowed(address, now_ms, 1000), ATTEMPTS_MAX);
	assert_false(attempts_allowed(attempts, address, now_ms));
}

static void test_an_address_has_a_number_of_failures(void **state)
{
	use_up("192.0.2.1", START);
}

static void test_same_token_counts_once(void **state)
{
	char hash[TOKEN_HEX + 1];

	token_hash("stale", 5, hash);
	for (int i = 0; i < 100; i++)
		attempts_fail(attempts, "192.0.2.1", hash, START);
	assert_int_equal(fail_while_allowed("192.0.2.1", START, 1000), ATTEMPTS_MAX - 1);
	/* Checking it again is not a guess. */
	assert_true(attempts_remembered(attempts, "192.0.2.1", hash));
	assert_false(attempts_remembered(attempts, "192.0.2.2", hash));
}

static void test_other_addresses_are_not_blocked(void **state)
{
	static const char *const others[] = {"192.0.2.2", "192.0.2.10", "192.0.2", "", "::1"};

	use_up("192.0.2.1", START);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		use_up(others[i], START);
}

static void test_asking_is_not_a_failure(void **state)
{
	for (int i = 0; i < 100 * ATTEMPTS_MAX; i++)
		assert_true(attempts_allowed(attempts, "192.0.2.1", START));
	use_up("192.0.2.1", START);
}

static void test_then_one_failure_a_second_is_allowed(void **state)
{
	use_up("192.0.2.1", START);
	assert_false(attempts_allowed(attempts, "192.0.2.1", START + SECOND - 1));
	for (int64_t second = 1; second < 20; second++)
		assert_int_equal(fail_while_allowed("192.0.2.1", START + second * SECOND, 1000), 1);
}

static void test_unused_failures_are_regained(void **state)
{
	use_up("192.0.2.1", START);
	assert_int_equal(fail_while_allowed("192.0.2.1", START + 3 * SECOND, 1000), 3);
	/* Never more than at the beginning, however long it was quiet. */
	use_up("192.0.2.1", START + 1000 * SECOND);
}

/* Continuous attempts get only the first ones and one a second. */
static void test_no_timing_gains_extra_failures(void **state)
{
	enum { SECONDS = 30 };
	static const int64_t steps_ms[] = {1, 7, 100, 333, 501, 999};

	for (size_t i = 0; i < sizeof(steps_ms) / sizeof(*steps_ms); i++) {
		char address[TEXT];
		int count = 0;

		snprintf(address, sizeof(address), "192.0.2.%zu", i);
		for (int64_t ms = 0; ms <= SECONDS * SECOND; ms += steps_ms[i])
			count += fail_while_allowed(
				address, START + (int64_t)i * 100 * SECOND + ms, 1000);
		assert_in_range(count, ATTEMPTS_MAX + SECONDS - 1, ATTEMPTS_MAX + SECONDS);
	}
}

static void test_clock_that_stops_or_goes_back_forgets_nothing(void **state)
{
	use_up("192.0.2.1", START);
	assert_false(attempts_allowed(attempts, "192.0.2.1", START - 100 * SECOND));
	assert_false(attempts_allowed(attempts, "192.0.2.1", START + SECOND - 1));
	assert_true(attempts_allowed(attempts, "192.0.2.1", START + SECOND));
}

static void test_an_ipv6_client_is_its_64_bit_network(void **state)
{
	use_up("2001:db8:1:2:3:4:5:6", START);
	assert_false(attempts_allowed(attempts, "2001:db8:1:2::", START));
	assert_false(attempts_allowed(attempts, "2001:0DB8:0001:0002:ffff:FFFF:ffff:ffff", START));
	assert_false(attempts_allowed(attempts, "2001:db8:1:2::192.0.2.1", START));
	assert_true(attempts_allowed(attempts, "2001:db8:1:3::", START));
	assert_true(attempts_allowed(attempts, "2001:db8:1:1:ffff:ffff:ffff:ffff", START));
	assert_true(attempts_allowed(attempts, "2002:db8:1:2::", START));
}

/* As from a server that listens on IPv6 for both. */
static void test_ipv4_mapped_addresses_are_separate_clients(void **state)
{
	use_up("::ffff:192.0.2.1", START);
	assert_true(attempts_allowed(attempts, "::ffff:192.0.2.2", START));
	assert_true(attempts_allowed(attempts, "::1", START));
}

static void test_an_address_can_be_any_text(void **state)
{
	static const char *const texts[] = {"", "unix:", "fe80::1%eth0", "%s%n", "192.0.2.1:80",
		"[::1]", "\xff\xfe", "2001:db8::/64"};
	char endless[10000];

	memset(endless, 'a', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	use_up(endless, START);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		use_up(texts[i], START);
}

static const char *one_of_many(int i)
{
	static char address[TEXT];

	snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
	return address;
}

static void fail_from_many(int count)
{
	for (int i = 0; i < count; i++)
		fail_anew(one_of_many(i), START);
}

static void test_addresses_that_only_ask_use_no_slot(void **state)
{
	for (int i = 0; i < 2 * ATTEMPTS_ADDRESSES_MAX; i++)
		assert_true(attempts_allowed(attempts, one_of_many(i), START));
	use_up("192.0.2.1", START);
}

/* Failures from very many addresses do not push others out of the count, nor clear an address. */
static void test_addresses_with_fewest_failures_are_forgotten_first(void **state)
{
	use_up("192.0.2.1", START);
	fail_from_many(2 * ATTEMPTS_ADDRESSES_MAX);
	assert_false(attempts_allowed(attempts, "192.0.2.1", START));
	use_up("192.0.2.2", START);
	assert_false(attempts_allowed(attempts, "192.0.2.1", START));
}

static void test_one_address_below_the_limit_is_still_counted(void **state)
{
	fail_from_many(ATTEMPTS_ADDRESSES_MAX - 1);
	use_up("192.0.2.2", START);
}

/* As in a grant. */
static const char *hash_of(int number)
{
	static char hex[TOKEN_HEX + 1];
	char text[TEXT];
	int length = snprintf(text, sizeof(text), "token %d", number);

	token_hash(text, (size_t)length, hex);
	return hex;
}

static void test_nothing_is_remembered_at_first(void **state)
{
	static const char zeros[] =
		"0000000000000000000000000000000000000000000000000000000000000000";

	assert_false(attempts_remembered(attempts, "192.0.2.1", zeros));
	for (int i = 0; i < 1000; i++)
		assert_false(attempts_remembered(attempts, "192.0.2.1", hash_of(i)));
}

static void test_a_valid_token_is_remembered_for_its_address(void **state)
{
	attempts_remember(attempts, "192.0.2.1", hash_of(1));
	assert_true(attempts_remembered(attempts, "192.0.2.1", hash_of(1)));
	assert_false(attempts_remembered(attempts, "192.0.2.1", hash_of(2)));
	assert_false(attempts_remembered(attempts, "192.0.2.2", hash_of(1)));
	assert_false(attempts_remembered(attempts, "192.0.2.1 ", hash_of(1)));
	attempts_remember(attempts, "192.0.2.1", hash_of(1));
	assert_true(attempts_remembered(attempts, "192.0.2.1", hash_of(1)));
}

static void test_valid_token_stays_remembered_after_failures(void **state)
{
	attempts_remember(attempts, "192.0.2.1", hash_of(1));
	use_up("192.0.2.1", START);
	assert_true(attempts_remembered(attempts, "192.0.2.1", hash_of(1)));
	/* But it does not permit another token. */
	assert_false(attempts_allowed(attempts, "192.0.2.1", START));
	assert_false(attempts_remembered(attempts, "192.0.2.1", hash_of(2)));
}

static void test_an_ipv6_client_is_remembered_as_its_network(void **state)
{
	attempts_remember(attempts, "2001:db8:1:2::1", hash_of(1));
	assert_true(attempts_remembered(attempts, "2001:db8:1:2:ffff::2", hash_of(1)));
	assert_false(attempts_remembered(attempts, "2001:db8:1:3::1", hash_of(1)));
}

static int count_remembered(int from, int to)
{
	int count = 0;

	for (int i = from; i < to; i++)
		count += attempts_remembered(attempts, "192.0.2.1", hash_of(i));
	return count;
}

static void test_newer_tokens_replace_older_ones(void **state)
{
	enum { MANY = 2 * ATTEMPTS_TOKENS, LAST = ATTEMPTS_TOKENS / 16 };
	int kept;

	for (int i = 0; i < MANY; i++) {
		attempts_remember(attempts, "192.0.2.1", hash_of(i));
		assert_true(attempts_remembered(attempts, "192.0.2.1", hash_of(i)));
	}
	kept = count_remembered(0, MANY);
	assert_in_range(kept, ATTEMPTS_TOKENS / 2, ATTEMPTS_TOKENS);
	assert_in_range(count_remembered(MANY - LAST, MANY), LAST * 9 / 10, LAST);
	assert_true(count_remembered(0, LAST) < LAST / 2);
	assert_int_equal(count_remembered(MANY, 2 * MANY), 0);
}

#define ATTEMPTS_TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ATTEMPTS_TEST(an_address_has_a_number_of_failures),
		ATTEMPTS_TEST(same_token_counts_once),
		ATTEMPTS_TEST(other_addresses_are_not_blocked),
		ATTEMPTS_TEST(asking_is_not_a_failure),
		ATTEMPTS_TEST(then_one_failure_a_second_is_allowed),
		ATTEMPTS_TEST(unused_failures_are_regained),
		ATTEMPTS_TEST(no_timing_gains_extra_failures),
		ATTEMPTS_TEST(clock_that_stops_or_goes_back_forgets_nothing),
		ATTEMPTS_TEST(an_ipv6_client_is_its_64_bit_network),
		ATTEMPTS_TEST(ipv4_mapped_addresses_are_separate_clients),
		ATTEMPTS_TEST(an_address_can_be_any_text),
		ATTEMPTS_TEST(addresses_with_fewest_failures_are_forgotten_first),
		ATTEMPTS_TEST(addresses_that_only_ask_use_no_slot),
		ATTEMPTS_TEST(one_address_below_the_limit_is_still_counted),
		ATTEMPTS_TEST(nothing_is_remembered_at_first),
		ATTEMPTS_TEST(a_valid_token_is_remembered_for_its_address),
		ATTEMPTS_TEST(valid_token_stays_remembered_after_failures),
		ATTEMPTS_TEST(an_ipv6_client_is_remembered_as_its_network),
		ATTEMPTS_TEST(newer_tokens_replace_older_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
