/* links: base/origin base/text base/utf8 */
/* Which spellings of an origin are accepted, which are not, and the messages for those. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/origin.h"

static char usual[ORIGIN_MAX], advice[ORIGIN_ADVICE_MAX];

static void means(const char *text, const char *expected)
{
	if (!origin_read(text, usual, advice))
		fail_msg("\"%s\" is refused: %s", text, advice);
	if (strcmp(usual, expected))
		fail_msg("\"%s\" becomes \"%s\", not \"%s\"", text, usual, expected);
}

/* And what a browser sends stays unchanged. */
static void stays(const char *text)
{
	means(text, text);
}

static void refused(const char *text, const char *word)
{
	memset(advice, 0, sizeof(advice));
	if (origin_read(text, usual, advice))
		fail_msg("\"%s\" becomes \"%s\"", text, usual);
	if (!strstr(advice, word) || strlen(advice) > 150)
		fail_msg("\"%s\": %s", text, advice);
}

static void test_origins_as_browsers_send_them(void **state)
{
	static const char *const origins[] = {"*", "null", "https://a.example",
		"http://localhost:8080", "https://xn--bcher-kva.example", "https://[2001:db8::1]",
		"https://[::1]:8443", "http://[::]", "http://10.0.0.1:1", "http://a:443",
		"https://a:80", "https://a.example.", "http://my_host", "http://1password.example",
		"https://a.0xb.example", "chrome-extension://abcdef", "moz-extension://0a1b-2c3d",
		"capacitor://localhost", "ionic://localhost", "app://1.2",
		"http://[1:0:2:0:3:0:4:0]", "http://[1::2:0:0:3:4]", "https://[::ffff:102:304]",
		"http://a:65535"};

	for (size_t i = 0; i < sizeof(origins) / sizeof(*origins); i++)
		stays(origins[i]);
}

static void test_other_spellings_of_an_origin(void **state)
{
	static const struct {
		const char *text, *usual;
	} cases[] = {
		{"HTTPS://App.Example.ORG", "https://app.example.org"},
		{"https://a.example/", "https://a.example"},
		{"https://a.example:443", "https://a.example"},
		{"https://a.example:443/", "https://a.example"},
		{"http://a.example:80", "http://a.example"},
		{"http://a.example:080", "http://a.example"},
		{"https://a.example:08443", "https://a.example:8443"},
		{"NULL", "null"},
		{"Null", "null"},
		{"http://[::0001]", "http://[::1]"},
		{"http://[0:0:0:0:0:0:0:1]:80", "http://[::1]"},
		{"http://[2001:DB8:0:0:1:0:0:1]", "http://[2001:db8::1:0:0:1]"},
		{"http://[2001:db8:0:1:1:0:0:0]", "http://[2001:db8:0:1:1::]"},
		{"http://[1:2:3:4:5:6::8]", "http://[1:2:3:4:5:6:0:8]"},
		{"http://[::ffff:1.2.3.4]:8080", "http://[::ffff:102:304]:8080"},
		{"http://[::]:8080/", "http://[::]:8080"},
		{"http://[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]",
			"http://[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		means(cases[i].text, cases[i].usual);
		stays(cases[i].usual);
	}
}

static void test_more_than_an_origin(void **state)
{
	static const char *const paths[] = {"https://a/path", "https://a/?", "https://a?b",
		"https://a#b", "https://a//", "https:////a", "https://a\\b", "https://a:8080/app"};
	static const char *const patterns[] = {"**", "*.example.org", "https://*.example.org",
		"https://*", "http://*:8080", "*://a", "https://a:*", "https://.example.org"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		refused(paths[i], "has no path");
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		refused(patterns[i], "cannot have a pattern");
	refused("https://user@a", "user name");
	refused("https://user:word@a", "user name");
}

static void test_less_than_an_origin(void **state)
{
	static const char *const bare[] = {"", "example.com", "example.com:8080", "localhost",
		"//a.example", "https:a", "https:/a", "://a", "all", "true"};
	static const char *const ports[] = {"https://a:", "https://a:0", "https://a:65536",
		"https://a:x", "https://a:-1", "https://a:1:2", "https://a:00", "https://[::1]:"};

	for (size_t i = 0; i < sizeof(bare) / sizeof(*bare); i++)
		refused(bare[i], "scheme://host");
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		refused(ports[i], "a port from 1 to 65535");
	refused("https://", "host is missing");
	refused("https://:8080", "host is missing");
	refused("https:///", "host is missing");
	refused("1http://a", "scheme");
	refused("ht tp://a", "scheme");
}

/* Such a value would never match, and nobody would know why. */
static void test_origins_no_browser_sends(void **state)
{
	static const char *const opaque[] = {
		"file:///", "file://a", "FILE:///home", "data://x", "blob://a", "about://blank"};
	static const char *const hosts[] = {"https://a..b", "https://a b", "https://a,b",
		"https://a;b", "https://a%2eb", "https://a|b", "https://a\x01"};
	static const char *const fours[] = {"http://127.1", "http://2130706433", "http://0x7f.1",
		"http://127.0.0.01", "http://1.2.3.4.5", "http://256.1.1.1", "http://1.2.3.4.",
		"https://a.0x1", "https://a.1"};
	static const char *const sixes[] = {"https://[::1", "https://[::1]x", "https://[::g]",
		"https://[]", "https://[::1%25eth0]", "https://[1.2.3.4]", "https://["};

	for (size_t i = 0; i < sizeof(opaque) / sizeof(*opaque); i++)
		refused(opaque[i], "send null");
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++)
		refused(hosts[i], "scheme://host");
	for (size_t i = 0; i < sizeof(fours) / sizeof(*fours); i++)
		refused(fours[i], "IPv4");
	for (size_t i = 0; i < sizeof(sixes) / sizeof(*sixes); i++)
		refused(sixes[i], "brackets");
	refused("wss://a.example", "of the page");
	refused("https://b\303\274cher.example", "xn--");
	refused("\"https://a.example\"", "quotes");
	refused("'*'", "quotes");
}

static void test_lengths(void **state)
{
	char text[2 * ORIGIN_MAX];

	snprintf(text, sizeof(text), "https://%063d.example", 0);
	memset(text + 8, 'a', 63);
	stays(text);
	memmove(text + 9, text + 8, strlen(text + 8) + 1);
	refused(text, "63");
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://", 8);
	for (size_t length = 8; length < sizeof(text); length++) {
		char kept = text[length];

		text[length] = '\0';
		origin_read(text, usual, advice);
		if (length % 40 == 0)
			kept = '.';
		text[length] = kept;
	}
	text[sizeof(text) - 1] = '\0';
	refused(text, "253");
}

static void test_null_is_anyones(void **state)
{
	assert_true(origin_is_anyones("null"));
	assert_false(origin_is_anyones("https://a.example"));
	assert_false(origin_is_anyones("https://null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_origins_as_browsers_send_them),
		cmocka_unit_test(test_other_spellings_of_an_origin),
		cmocka_unit_test(test_more_than_an_origin),
		cmocka_unit_test(test_less_than_an_origin),
		cmocka_unit_test(test_origins_no_browser_sends),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_null_is_anyones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
