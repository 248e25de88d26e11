/* links: base/clock base/file access/jwtoken access/publickey access/signature access/token base/json log/channel base/utf8 */
/* libs: -lhogweed -lnettle -lgmp -ljansson -lsodium */
/* The claims of a signed token: times, audience, issuer, subject, channels. */
#include "jwts.h"

enum { TEXT_MAX = 400, CHANNELS_ROOM = 200 };

#define EXP "\"exp\":1800000060"
#define TIMES_ARE_BAD "not a number of seconds since 1970"

/* A token with these claims. */
static void claim(const char *payload)
{
	sign(HS256, payload, SECRET);
}

/* A token with an end that is to come, and these members. */
static void claim_also(const char *members)
{
	char payload[TEXT_MAX];

	snprintf(payload, sizeof(payload), "{" EXP "%s%s}", *members ? "," : "", members);
	claim(payload);
}

static void expect_good_until(int64_t last_s)
{
	assert_null(verify_part(token_length, last_s));
	assert_int_equal(claims.expires_s, last_s + 1);
	assert_string_equal(verify_part(token_length, last_s + 1), "its exp has passed");
	assert_string_equal(verify_part(token_length, INT64_MAX / 2), "its exp has passed");
}

static void test_minimal_claims(void **state)
{
	claim("{" EXP "}");
	expect_good();
	assert_string_equal(claims.subject, "");
	assert_int_equal(claims.members.count, 1);
}

static void test_missing_exp(void **state)
{
	static const char *const payloads[] = {
		"{}", "{\"sub\":\"ann\"}", "{\"EXP\":1800000060}", "{\"x\":{\"exp\":1800000060}}"};

	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		claim(payloads[i]);
		expect_refusal("it has no exp");
	}
}

static void test_exp_and_leeway(void **state)
{
	claim("{" EXP "}");
	expect_good_until(1800000059);
	config.jwt_leeway_ms = 30000;
	use_key("HS256", SECRET);
	expect_good_until(1800000089);
	/* Fractions of a second do not count. */
	config.jwt_leeway_ms = 999;
	use_key("HS256", SECRET);
	expect_good_until(1800000059);
	claim("{\"exp\":0}");
	expect_refusal("its exp has passed");
	claim("{\"exp\":1799999999}");
	expect_refusal("its exp has passed");
}

/* A time may be so many seconds ahead of our clock, or as much as --jwt-leeway says. */
static void check_beginning(const char *name, int early_s, const char *wrong)
{
	char members[TEXT_MAX];

	snprintf(members, sizeof(members), "\"%s\":1800000000", name);
	claim_also(members);
	config.jwt_leeway_ms = 0;
	use_key("HS256", SECRET);
	assert_null(verify_part(token_length, NOW));
	assert_null(verify_part(token_length, NOW - early_s));
	assert_string_equal(verify_part(token_length, NOW - early_s - 1), wrong);
	assert_string_equal(verify_part(token_length, 0), wrong);
	config.jwt_leeway_ms = 40000;
	use_key("HS256", SECRET);
	assert_null(verify_part(token_length, NOW - 40));
	assert_string_equal(verify_part(token_length, NOW - 41), wrong);
}

static void test_nbf_and_iat(void **state)
{
	check_beginning("nbf", 1, "its nbf is in the future");
	check_beginning("iat", 30, "its iat is in the future");
	claim_also("\"nbf\":0,\"iat\":0");
	expect_good();
}

static void test_invalid_times(void **state)
{
	static const char *const names[] = {"exp", "nbf", "iat"};
	static const char *const values[] = {"\"1800000060\"", "1e400", "1e16", "-0.5", "-1",
		"-1800000060", "true", "false", "null", "[]", "{}", "[1800000060]",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808",
		"18446744073709551616", "4611686018427388", "999999999999999999999999999999999999"};
	char payload[TEXT_MAX];

	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < sizeof(values) / sizeof(*values); k++) {
			snprintf(payload, sizeof(payload), "{\"%s\":%s%s}", names[i], values[k],
				i > 0 ? "," EXP : "");
			claim(payload);
			if (!verify())
				fail_msg("accepted: %s", payload);
		}
	claim("{\"exp\":\"1800000060\"}");
	expect_refusal(TIMES_ARE_BAD);
	claim_also("\"nbf\":null");
	expect_refusal(TIMES_ARE_BAD);
	claim_also("\"iat\":[0]");
	expect_refusal(TIMES_ARE_BAD);
}

/* RFC 7519, section 2. Libraries write fractions where the language's clock has them. */
static void test_fractions_of_a_second(void **state)
{
	claim("{\"exp\":1800000060.0}");
	expect_good();
	assert_int_equal(claims.expires_s, 1800000060);
	claim("{\"exp\":1800000060.987654,\"nbf\":1799999999.5,\"iat\":1.7e9}");
	expect_good();
	assert_int_equal(claims.expires_s, 1800000060);
	claim("{\"exp\":1799999999.9}");
	expect_refusal("its exp has passed");
}

/* No sum of times overflows. */
static void test_latest_exp(void **state)
{
	config.jwt_leeway_ms = 300000;
	use_key("HS256", SECRET);
	claim("{\"exp\":4611686018427387}");
	expect_good();
	assert_int_equal(claims.expires_s, INT64_C(4611686018427387) + 300);
	claim("{\"exp\":4611686018427388}");
	expect_refusal(TIMES_ARE_BAD);
}

static void test_duplicate_names(void **state)
{
	static const char *const payloads[] = {"{" EXP "," EXP "}", "{\"exp\":1," EXP "}",
		"{" EXP ",\"exp\":1}", "{" EXP ",\"sub\":\"ann\",\"sub\":\"eve\"}",
		"{" EXP ",\"sub\":\"ann\",\"s\\u0075b\":\"eve\"}",
		"{" EXP ",\"channels\":[\"a\"],\"channels\":[\"*\"]}",
		"{" EXP ",\"x\":{\"y\":1,\"y\":2}}", "{" EXP ",\"x\":1,\"x\":1}"};

	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		claim(payloads[i]);
		if (!verify())
			fail_msg("accepted: %s", payloads[i]);
	}
}

static void test_claims_are_not_an_object(void **state)
{
	static const char *const payloads[] = {"[]", "[" EXP "]", "null", "1", "\"exp\"", " ",
		"exp", "{" EXP, "{" EXP "}}", "{" EXP ",}", "{" EXP "} x", "{exp:1800000060}",
		"{" EXP ",\"x\":\"\\u0000\"}", "{" EXP ",\"\\u0000\":1}",
		"{" EXP ",\"x\":\"\xff\"}", "{" EXP ",\"x\":\"\xed\xa0\x80\"}",
		"{" EXP ",\"x\":\"\n\"}", "{" EXP ",\"x\":NaN}",
		"{" EXP ",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"};

	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		claim(payloads[i]);
		if (!verify())
			fail_msg("accepted: %s", payloads[i]);
	}
}

/* Thousands of levels and values must not exhaust the stack or memory. */
static void test_huge_claims(void **state)
{
	enum { HUGE = 5900, VALUES = 2100 };
	static char payload[HUGE + 100];
	size_t at = (size_t)snprintf(payload, sizeof(payload), "{" EXP ",\"x\":");

	memset(payload + at, '[', HUGE);
	claim(payload);
	assert_non_null(verify());
	memset(payload + at + HUGE / 2, ']', HUGE / 2);
	payload[at + HUGE] = '}';
	claim(payload);
	assert_non_null(verify());
	payload[at++] = '[';
	for (size_t i = 0; i < VALUES; i++)
		memcpy(payload + at + 2 * i, "1,", 2);
	memcpy(payload + at + 2 * VALUES, "1]}", 4);
	claim(payload);
	assert_non_null(verify());
	memcpy(payload + at + 1000, "1]}", 4);
	claim(payload);
	expect_good();
}

/* Whether a token with these members is valid for this audience or issuer. */
static bool is_good_for(const char *audience, const char *issuer, const char *members)
{
	config.jwt_audience = audience;
	config.jwt_issuer = issuer;
	use_key("HS256", SECRET);
	claim_also(members);
	return !verify();
}

static void test_audience(void **state)
{
	static const char *const good[] = {"\"aud\":\"rowtail\"", "\"aud\":[\"rowtail\"]",
		"\"aud\":[\"a\",\"rowtail\",\"b\"]", "\"aud\":[1,null,[],{},\"rowtail\"]",
		"\"aud\":\"row\\u0074ail\""};
	static const char *const bad[] = {"", "\"aud\":\"\"", "\"aud\":\"Rowtail\"",
		"\"aud\":\"rowtail \"", "\"aud\":\"rowtai\"", "\"aud\":\"rowtails\"",
		"\"aud\":\"*\"", "\"aud\":[]", "\"aud\":[\"a\"]", "\"aud\":[[\"rowtail\"]]",
		"\"aud\":{\"rowtail\":\"rowtail\"}", "\"aud\":[{\"a\":\"rowtail\"}]",
		"\"aud\":null", "\"aud\":true", "\"aud\":0", "\"AUD\":\"rowtail\"",
		"\"audience\":\"rowtail\"", "\"x\":{\"aud\":\"rowtail\"}", "\"aud\":\"a,rowtail\"",
		"\"aud\":\"a rowtail\""};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!is_good_for("rowtail", NULL, good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (is_good_for("rowtail", NULL, bad[i]))
			fail_msg("accepted: %s", bad[i]);
		expect_refusal("its aud is not --jwt-audience");
		assert_true(is_good_for(NULL, NULL, bad[i]));
	}
}

static void test_issuer(void **state)
{
	static const char *const bad[] = {"", "\"iss\":\"\"", "\"iss\":\"https://a.example/\"",
		"\"iss\":\"https://A.example\"", "\"iss\":[\"https://a.example\"]",
		"\"iss\":[[\"https://a.example\"]]", "\"iss\":null", "\"iss\":1",
		"\"iss\":{\"a\":\"https://a.example\"}", "\"ISS\":\"https://a.example\"",
		"\"aud\":\"https://a.example\""};

	assert_true(is_good_for(NULL, "https://a.example", "\"iss\":\"https://a.example\""));
	assert_true(is_good_for(NULL, "https://a.example", "\"iss\":\"https:\\/\\/a.example\""));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (is_good_for(NULL, "https://a.example", bad[i]))
			fail_msg("accepted: %s", bad[i]);
		expect_refusal("its iss is not --jwt-issuer");
		assert_true(is_good_for(NULL, NULL, bad[i]));
	}
	assert_false(is_good_for("a", "b", "\"aud\":\"b\",\"iss\":\"a\""));
	assert_true(is_good_for("a", "b", "\"aud\":\"a\",\"iss\":\"b\""));
}

static void test_subject(void **state)
{
	static const char *const others[] = {"null", "1", "true", "[]", "[\"ann\"]", "{}", "1.5"};
	char members[TEXT_MAX];

	claim_also("\"sub\":\"ann\"");
	expect_good();
	assert_string_equal(claims.subject, "ann");
	claim_also("\"sub\":\"\\u00e9\\\"\xf0\x9f\x98\x80\"");
	expect_good();
	assert_string_equal(claims.subject, "\xc3\xa9\"\xf0\x9f\x98\x80");
	claim_also("\"sub\":\"\"");
	expect_good();
	assert_string_equal(claims.subject, "");
	claim_also("\"sub\":\"ann\\u0000eve\"");
	assert_non_null(verify());
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		snprintf(members, sizeof(members), "\"sub\":%s", others[i]);
		claim_also(members);
		expect_refusal("sub is not a string");
	}
}

/* The channels in a valid token, each followed by '|'. */
static const char *listed(void)
{
	static char texts[CHANNELS_ROOM];
	size_t at = 0;

	expect_good();
	texts[0] = '\0';
	for (size_t i = 0; i < claims.members.count; i++)
		if (claims.members.value[i].listed)
			at += (size_t)snprintf(texts + at, sizeof(texts) - at, "%s|",
				claims.members.value[i].text);
	return texts;
}

static void test_channels(void **state)
{
	claim_also("\"channels\":[\"a\",\"orders/*\",\"*\",\"caf\\u00e9\"]");
	assert_string_equal(listed(), "a|orders/*|*|caf\xc3\xa9|");
	claim_also("\"channels\":[]");
	assert_string_equal(listed(), "");
	claim_also("\"channel\":\"a\",\"Channels\":7");
	assert_string_equal(listed(), "");
}

static void test_invalid_channels(void **state)
{
	static const char *const values[] = {"\"a\"", "\"*\"", "null", "1", "true", "{}",
		"{\"a\":\"b\"}", "[1]", "[null]", "[true]", "[[\"a\"]]", "[[]]", "[{}]", "[\"\"]",
		"[\"a*\"]", "[\"*/a\"]", "[\"a/**\"]", "[\"/*\"]", "[\"a\\n\"]", "[\"\\u007f\"]",
		"[\"\\u0085\"]", "[\"a\",\"\"]", "[\"\",\"a\"]", "[\"a\",1.5]"};
	char members[TEXT_MAX];

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		snprintf(members, sizeof(members), "\"channels\":%s", values[i]);
		claim_also(members);
		expect_refusal("channels is not a list of channels and patterns");
	}
}

static void test_the_longest_channel(void **state)
{
	char members[TEXT_MAX];

	snprintf(members, sizeof(members), "\"channels\":[\"%0255d\"]", 1);
	claim_also(members);
	expect_good();
	snprintf(members, sizeof(members), "\"channels\":[\"%0256d\"]", 1);
	claim_also(members);
	expect_refusal("channels is not a list of channels and patterns");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		JWT_TEST(minimal_claims),
		JWT_TEST(missing_exp),
		JWT_TEST(exp_and_leeway),
		JWT_TEST(nbf_and_iat),
		JWT_TEST(invalid_times),
		JWT_TEST(fractions_of_a_second),
		JWT_TEST(latest_exp),
		JWT_TEST(duplicate_names),
		JWT_TEST(claims_are_not_an_object),
		JWT_TEST(huge_claims),
		JWT_TEST(audience),
		JWT_TEST(issuer),
		JWT_TEST(subject),
		JWT_TEST(channels),
		JWT_TEST(invalid_channels),
		JWT_TEST(the_longest_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
