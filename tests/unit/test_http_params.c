/* links: server/http_params protocol/http_head request/form base/network base/buffer */
/* A request as a web server would pass it on; who the client is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http_params.h"

static const struct http_place place = {"/events", NULL, "192.0.2.1"};

static struct http_params make(const char *target, struct http_field *fields, size_t count)
{
	const struct http_request q = {
		.method = "GET", .target = target, .fields = fields, .field_count = count};
	struct http_params p;

	assert_true(http_params_make(&p, &q, &place));
	return p;
}

static const char *find(const struct http_params *p, const char *name)
{
	const char *found = NULL;

	for (char **one = p->list; *one; one++)
		if (!strncmp(*one, name, strlen(name)) && (*one)[strlen(name)] == '=') {
			assert_null(found);
			found = *one + strlen(name) + 1;
		}
	return found;
}

static void test_urls(void **state)
{
	static const char *const cases[][3] = {/* target, PATH_INFO, QUERY_STRING */
		{"/events", "", ""}, {"/events?a=b?c", "", "a=b?c"}, {"/events/x/y", "/x/y", ""},
		{"/events/x%2Fy", "/x/y", ""}, {"/%65vents/x", "/x", ""},
		{"http://host/events/x?a", "/x", "a"}, {"/events/%00a", "/%00a", ""},
		{"/events/a%zz", "/a%zz", ""}, {"*", "", ""}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_params p = make(cases[i][0], NULL, 0);

		assert_string_equal(find(&p, "PATH_INFO"), cases[i][1]);
		assert_string_equal(find(&p, "QUERY_STRING"), cases[i][2]);
		assert_string_equal(find(&p, "REQUEST_URI"), cases[i][0]);
		assert_string_equal(find(&p, "SCRIPT_NAME"), "/events");
		http_params_free(&p);
	}
}

static void test_places(void **state)
{
	assert_true(http_params_is_below("/events", "/events"));
	assert_true(http_params_is_below("/events/", "/events"));
	assert_true(http_params_is_below("/x", "/"));
	assert_false(http_params_is_below("/eventsx", "/events"));
	assert_false(http_params_is_below("/event", "/events"));
	assert_false(http_params_is_below("/", "/events"));
	assert_false(http_params_is_below("http://h", "/events"));
	assert_false(http_params_is_below("h:80", "/events"));
	assert_string_equal(http_params_page("/metrics?x"), "metrics");
	assert_null(http_params_page("/metrics/"));
	assert_null(http_params_page("/"));
}

static void test_fields(void **state)
{
	struct http_field fields[] = {{"Accept", "a"}, {"accept", "b"}, {"Cookie", "c=d"},
		{"cookie", "e=f"}, {"Content-Type", "t"}, {"X-A", "dash"}, {"X_A", "underscore"},
		{"Proxy", "p"}, {"x.y", "dot"}, {"Remote-User", "ann"}, {"Rowtail-Page", "metrics"},
		{"Empty", ""}};
	struct http_params p = make("/events", fields, sizeof(fields) / sizeof(*fields));

	assert_string_equal(find(&p, "HTTP_ACCEPT"), "a, b");
	assert_string_equal(find(&p, "HTTP_COOKIE"), "c=d; e=f");
	assert_string_equal(find(&p, "CONTENT_TYPE"), "t");
	assert_string_equal(find(&p, "HTTP_X_A"), "dash");
	assert_string_equal(find(&p, "HTTP_EMPTY"), "");
	assert_null(find(&p, "HTTP_PROXY"));
	assert_null(find(&p, "REMOTE_USER"));
	assert_null(find(&p, "ROWTAIL_PAGE"));
	assert_string_equal(find(&p, "REMOTE_ADDR"), "192.0.2.1");
	http_params_free(&p);
}

/* The client for this peer (NULL: a unix socket) and these headers. */
static const char *client(const char *peer, bool trust_unix, const char *first, const char *second)
{
	static char text[NETWORK_TEXT];
	struct network proxies[2], address;
	struct http_trust trust = {proxies, 2, trust_unix};
	struct http_field fields[] = {{"X-Forwarded-For", first}, {"x-forwarded-for", second}};
	struct http_request q = {.fields = fields, .field_count = (size_t)(second ? 2 : !!first)};

	assert_true(network_read(&proxies[0], "127.0.0.1"));
	assert_true(network_read(&proxies[1], "10.0.0.0/8"));
	if (peer)
		assert_true(network_read(&address, peer));
	http_params_client(text, peer ? &address : NULL, &trust, &q);
	return text;
}

static void test_clients(void **state)
{
	assert_string_equal(client("192.0.2.9", false, "1.1.1.1", NULL), "192.0.2.9");
	assert_string_equal(client("127.0.0.1", false, NULL, NULL), "127.0.0.1");
	assert_string_equal(client("127.0.0.1", false, "1.1.1.1", NULL), "1.1.1.1");
	assert_string_equal(client("127.0.0.1", false, "6.6.6.6, 1.1.1.1", NULL), "1.1.1.1");
	assert_string_equal(client("127.0.0.1", false, "6.6.6.6", "1.1.1.1,10.1.1.1"), "1.1.1.1");
	assert_string_equal(client("127.0.0.1", false, "1.1.1.1", "10.1.1.1"), "1.1.1.1");
	assert_string_equal(client("127.0.0.1", false, "10.2.2.2, 10.1.1.1", NULL), "10.2.2.2");
	assert_string_equal(client("127.0.0.1", false, "1.1.1.1, x, 10.1.1.1", NULL), "10.1.1.1");
	assert_string_equal(client("127.0.0.1", false, "1.1.1.1,", NULL), "127.0.0.1");
	assert_string_equal(client(NULL, true, "1.1.1.1", NULL), "1.1.1.1");
	assert_string_equal(client(NULL, false, "1.1.1.1", NULL), "");
	assert_string_equal(client(NULL, true, NULL, NULL), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
