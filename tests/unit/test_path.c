/* links: request/path request/form */
/* libs: --for-linker --wrap --for-linker malloc */
/* Which part of a URL names the channel, whatever the web server has done to the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "no_memory.h"
#include "request/path.h"

struct example {
	const char *uri, *script, *info, *mount, *behind;
};

static void expect_behind(const struct example *e, size_t length)
{
	struct path p = {e->uri, e->script, e->info, e->mount};
	size_t found;
	char *behind = path_behind_mount(&p, &found);

	assert_non_null(behind);
	if (found != length || memcmp(behind, e->behind, length) != 0 || behind[length])
		fail_msg("%s cut as %s|%s, mount \"%s\": \"%s\"; expected \"%s\"", e->uri,
			e->script, e->info, e->mount, behind, e->behind);
	free(behind);
}

static void expect_all(const struct example *examples, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_behind(&examples[i], strlen(examples[i].behind));
}
#define EXPECT_ALL(examples) expect_all(examples, sizeof(examples) / sizeof(*(examples)))

static void test_without_a_request_uri_path_info_is_used(void **state)
{
	static const struct example examples[] = {
		{"", "/events", "/orders/42", "", "/orders/42"},
		{"", "", "/orders/42", "", "/orders/42"},
		{"", "/events", "", "", ""},
		{"", "/events", "/a+b%20c", "", "/a+b%20c"},
		{"", "/events", "//a", "", "//a"},
		{"", "/events", "//", "", ""},
	};

	EXPECT_ALL(examples);
}

static void test_request_uri_is_decoded_once(void **state)
{
	static const struct example examples[] = {
		{"/events", "/events", "", "", ""},
		{"/events/", "/events", "/", "", ""},
		{"/events///", "/events", "/", "", ""},
		{"/events?channel=x/y", "/events", "", "", ""},
		{"/events/orders/42?a=/events", "/events", "/orders/42", "", "/orders/42"},
		{"/events/orders%2F42", "/events", "/orders/42", "", "/orders/42"},
		{"/events%2forders%2f42", "/events", "/orders/42", "", "/orders/42"},
		{"/events/a//b", "/events", "/a/b", "", "/a//b"},
		{"/events/a//b", "/events", "/a//b", "", "/a//b"},
		{"/events//a", "/events", "/a", "", "//a"},
		{"//events/a/", "/events", "/a/", "", "/a/"},
		{"/events/a+b%20c", "/events", "/a+b c", "", "/a+b c"},
		{"/events/50%25", "/events", "/50%", "", "/50%"},
		{"/events/%2541", "/events", "/%41", "", "/%41"},
		{"/events/a%3Fb?c", "/events", "/a?b", "", "/a?b"},
		{"/events/gr%c3%BCn", "/events", "/gr\303\274n", "", "/gr\303\274n"},
		{"/%65vents/a", "/events", "/a", "", "/a"},
		{"/events/50%", "/events", "/50%", "", "/50%"},
		{"/events/50%4", "/events", "/50%4", "", "/50%4"},
		{"/orders/42", "", "/orders/42", "", "/orders/42"},
		{"http://host/events/a%2Fb", "/events", "/a/b", "", "/a/b"},
		{"http://host", "", "", "", ""},
	};
	static const struct example with_nul = {"/events/a%00b", "/events", "/a%00b", "", "/a\0b"};

	EXPECT_ALL(examples);
	expect_behind(&with_nul, 4);
}

static void test_escapes_kept_by_the_server(void **state)
{
	static const struct example examples[] = {
		{"/events/orders%2F42", "/events", "/orders%2F42", "", "/orders/42"},
		{"/events/a%20b%2f", "/events", "/a b%2f", "", "/a b/"},
		{"/events/gr%C3%BCn", "/events", "/gr%C3%BCn", "", "/gr\303\274n"},
		{"/events/%2Fa", "/events", "/%2Fa", "", "//a"},
		{"/events/%2F/%2f%2fa", "/events", "/%2F/%2f%2fa", "", "/////a"},
		{"/events/%2Fa", "/events", "/a", "", "//a"},
	};

	EXPECT_ALL(examples);
}

static void test_mount_named_by_the_server(void **state)
{
	static const struct example examples[] = {
		/* There is a directory events/ in the document root. */
		{"/events/orders/42", "/events/orders", "/42", "/events", "/orders/42"},
		{"/events/orders/42", "/events/orders/42", "", "/events", "/orders/42"},
		{"/events", "/events", "", "/events", ""},
		{"/events/", "/events/", "", "/events/", ""},
		{"/events/a%2fb", "/events/a", "/b", "/events//", "/a/b"},
		{"/live/events/a", "/live", "/events/a", "/live/events", "/a"},
		{"/a", "", "/a", "/", "/a"},
		/* Rewritten, or not known: the server's split of the path does not matter. */
		{"/shop", "/events/orders", "/42", "/events", "/orders/42"},
		{"", "/events/orders", "/42", "/events", "/orders/42"},
		/* Not the mount. */
		{"/eventsX/a", "/eventsX", "/a", "/events", "/a"},
		{"/x/a", "/x", "/a", "/events", "/a"},
		{"/x/a", "/x", "/a", "events", "/a"},
	};

	EXPECT_ALL(examples);
}

static void test_rewritten_url(void **state)
{
	static const struct example examples[] = {
		{"/events/", "/events/events.cgi", "", "", ""},
		{"/live/a", "/events/events.cgi", "/a", "", "/a"},
		{"/events/a/../b", "/events", "/b", "", "/b"},
		{"/events/a/%2e%2e/b", "/events", "/b", "", "/b"},
		{"/Events/a", "/events", "/a", "", "/a"},
		{"/events/a", "/events", "/a/b", "", "/a/b"},
		{"/events/a/b", "/events", "/a", "", "/a"},
		{"/events/a/", "/events", "/a", "", "/a"},
		{"/events/a%2F", "/events", "/a", "", "/a"},
		{"*", "/events", "/a", "", "/a"},
	};

	EXPECT_ALL(examples);
}

static void test_out_of_memory(void **state)
{
	struct path p = {"/events/a", "/events", "/a", ""};
	size_t length;

	allow_allocations(0);
	assert_null(path_behind_mount(&p, &length));
	assert_true(allow_all_allocations());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_request_uri_path_info_is_used),
		cmocka_unit_test(test_request_uri_is_decoded_once),
		cmocka_unit_test(test_escapes_kept_by_the_server),
		cmocka_unit_test(test_mount_named_by_the_server),
		cmocka_unit_test(test_rewritten_url),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
