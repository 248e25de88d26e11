/* links: request/request request/parameters request/path request/form base/json base/text log/channel base/utf8 */
/* libs: -ljansson --for-linker --wrap --for-linker malloc */
/* The parsed request, or a status and a message: methods, headers, bodies, sizes, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "asking.h"
#include "no_memory.h"

static int teardown(void **state)
{
	request_free(&request);
	return 0;
}

static void test_empty_request(void **state)
{
	ask_body((const char *const[]){NULL}, "", 0);
	expect_list(&request.channels, "default|");
	expect_list(&request.events, "");
	assert_int_equal(request.method, REQUEST_GET);
	assert_int_equal(request.page, REQUEST_STREAM);
	assert_int_equal(request.position.kind, POSITION_NONE);
	assert_string_equal(request.position.text, "");
	assert_int_equal(request.position.tail, -1);
	assert_false(request.envelope);
	assert_true(request.positions);
	assert_false(request.accepts_stream);
	assert_null(request.origin);
	assert_null(request.requested_headers);
	assert_null(request.remote_user);
	assert_string_equal(request.remote_addr, "");
	assert_null(request.authorization);
	assert_null(request.cookie);
	assert_null(request.access_token);
}

static void test_methods(void **state)
{
	ASK("REQUEST_METHOD=GET");
	expect_good();
	assert_int_equal(request.method, REQUEST_GET);
	ASK("REQUEST_METHOD=HEAD");
	expect_good();
	assert_int_equal(request.method, REQUEST_HEAD);
	assert_true(request.positions);
	ASK("REQUEST_METHOD=POST");
	expect_list(&request.channels, "default|");
	assert_int_equal(request.method, REQUEST_POST);
	assert_false(request.positions);
	ASK("REQUEST_METHOD=OPTIONS");
	expect_good();
	assert_int_equal(request.method, REQUEST_OPTIONS);
}

static void test_other_methods(void **state)
{
	ASK("REQUEST_METHOD=DELETE", "HTTP_ORIGIN=https://a.example");
	expect_refusal(405, "the method \"DELETE\" is not served; use GET, HEAD, POST or OPTIONS");
	assert_string_equal(request.origin, "https://a.example");
	ASK("REQUEST_METHOD=get");
	expect_refusal(405, "\"get\"");
	ASK("REQUEST_METHOD=");
	expect_refusal(405, "\"\"");
	ASK("REQUEST_METHOD=GETT");
	expect_refusal(405, "\"GETT\"");
}

static void test_headers_are_kept_unchanged(void **state)
{
	ASK("HTTP_ORIGIN=https://a.example", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS=x, y",
		"REMOTE_USER=jo=e", "REMOTE_ADDR=::1", "HTTP_AUTHORIZATION=Bearer \xff x",
		"HTTP_COOKIE=a=b; c=d", "HTTP_ACCEPT=text/event-stream", "HTTP_LAST_EVENT_ID=17");
	expect_good();
	assert_string_equal(request.origin, "https://a.example");
	assert_string_equal(request.requested_headers, "x, y");
	assert_string_equal(request.remote_user, "jo=e");
	assert_string_equal(request.remote_addr, "::1");
	assert_string_equal(request.authorization, "Bearer \xff x");
	assert_string_equal(request.cookie, "a=b; c=d");
	assert_true(request.accepts_stream);
	assert_int_equal(request.position.id, 17);
}

static void test_first_of_equal_names_wins(void **state)
{
	ASK("REMOTE_ADDR=10.0.0.1", "REMOTE_ADDR=10.0.0.2", "REMOTE_USER=", "REMOTE_USER=eve",
		"QUERY_STRING=channel=a", "QUERY_STRING=channel=b");
	expect_list(&request.channels, "a|");
	assert_string_equal(request.remote_addr, "10.0.0.1");
	assert_null(request.remote_user);
}

static void test_names_match_as_a_whole(void **state)
{
	ASK("QUERY_STRINGS=channel=a", "QUERY=channel=b", "XQUERY_STRING=channel=c",
		"query_string=channel=d", "QUERY_STRING", "REMOTE_ADD=1", "=", "");
	expect_list(&request.channels, "default|");
	assert_string_equal(request.remote_addr, "");
}

static void test_request_param(void **state)
{
	char first[] = "A=1=2", second[] = "AB=3", third[] = "A=4", empty[] = "C=";
	char *params[] = {first, second, third, empty, NULL};

	assert_ptr_equal(request_param(params, "A"), first + 2);
	assert_ptr_equal(request_param(params, "AB"), second + 3);
	assert_string_equal(request_param(params, "C"), "");
	assert_null(request_param(params, "B"));
}

static void test_pages(void **state)
{
	ASK("ROWTAIL_PAGE=metrics");
	expect_good();
	assert_int_equal(request.page, REQUEST_METRICS);
	ASK("ROWTAIL_PAGE=status");
	expect_good();
	assert_int_equal(request.page, REQUEST_STATUS);
	ASK("ROWTAIL_PAGE=status", "HTTP_ACCEPT=text/html,application/xhtml+xml,*/*;q=0.8");
	expect_good();
	assert_int_equal(request.page, REQUEST_STATUS);
	ASK("ROWTAIL_PAGE=status", "HTTP_ACCEPT=application/json, */*");
	expect_good();
	assert_int_equal(request.page, REQUEST_STATUS_JSON);
	ASK("ROWTAIL_PAGE=status.json");
	expect_good();
	assert_int_equal(request.page, REQUEST_STATUS_JSON);
	ASK("ROWTAIL_PAGE=health", "QUERY_STRING=channel=*x", "PATH_INFO=/*x");
	expect_good();
	assert_int_equal(request.page, REQUEST_HEALTH);
	assert_int_equal(request.channels.count, 0);
	ASK("ROWTAIL_PAGE=");
	expect_list(&request.channels, "default|");
	assert_int_equal(request.page, REQUEST_STREAM);
	ASK("ROWTAIL_PAGE=Metrics");
	expect_refusal(500,
		"ROWTAIL_PAGE to \"Metrics\"; it must be metrics, status, status.json or health");
}

static void test_client_cannot_ask_for_a_page(void **state)
{
	ASK("HTTP_ROWTAIL_PAGE=metrics", "QUERY_STRING=ROWTAIL_PAGE=metrics&page=metrics");
	expect_list(&request.channels, "default|");
	assert_int_equal(request.page, REQUEST_STREAM);
}

static void test_preflight_ignores_other_parameters(void **state)
{
	ASK("REQUEST_METHOD=OPTIONS", "QUERY_STRING=channel=&tail=x", "PATH_INFO=/*x",
		"HTTP_ORIGIN=null", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS=last-event-id");
	expect_good();
	assert_int_equal(request.channels.count, 0);
	assert_string_equal(request.origin, "null");
	assert_string_equal(request.requested_headers, "last-event-id");
}

static void test_the_path_is_a_channel(void **state)
{
	static const char *const cases[][2] = {
		{"PATH_INFO=/orders/42", "orders/42|"},
		{"PATH_INFO=/orders/*", "orders/*|"},
		{"PATH_INFO=/*", "*|"},
		{"PATH_INFO=", "default|"},
		{"PATH_INFO=/", "default|"},
		{"PATH_INFO=//a", "/a|"},
		{"PATH_INFO=a+b%20c", "a+b%20c|"},
		{"PATH_INFO=/gr\303\274n", "gr\303\274n|"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ASK("SCRIPT_NAME=/events", cases[i][0]);
		expect_list(&request.channels, cases[i][1]);
		ASK("SCRIPT_NAME=", cases[i][0]);
		expect_list(&request.channels, cases[i][1]);
	}
	ASK("PATH_INFO=/b", "QUERY_STRING=channel=c&channel=a");
	expect_list(&request.channels, "a|b|c|");
	ASK("REQUEST_URI=/events/a%2Fb?tail=1", "SCRIPT_NAME=/events/a", "PATH_INFO=/b",
		"ROWTAIL_MOUNT=/events");
	expect_list(&request.channels, "a/b|");
	ASK("REQUEST_URI=/events/%00", "SCRIPT_NAME=/events", "PATH_INFO=/%00");
	expect_refusal(400, "the path: \"�\" is not a channel");
	ASK("PATH_INFO=/orders*");
	expect_refusal(400, "the path: \"orders*\" is not a channel");
	ASK("PATH_INFO=/\xff");
	expect_refusal(400, "the path: \"�\" is not a channel");
}

static void test_posted_forms(void **state)
{
	ask_post("application/x-www-form-urlencoded",
		"channel=b&channel=a%2F%2A&event=x+y&last_event_id=5&positions=1");
	expect_list(&request.channels, "a/*|b|");
	expect_list(&request.events, "x y|");
	assert_int_equal(request.position.id, 5);
	assert_true(request.positions);
	ask_body((const char *const[]){"REQUEST_METHOD=POST",
			 "QUERY_STRING=channel=q&tail=1&since=8",
			 "CONTENT_TYPE=application/x-www-form-urlencoded", NULL},
		"channel=b&tail=2&since=7", 24);
	expect_list(&request.channels, "b|q|");
	assert_int_equal(request.position.tail, 2);
	assert_int_equal(request.position.id, 8);
}

static void test_media_types_of_bodies(void **state)
{
	ask_post("APPLICATION/X-WWW-FORM-URLENCODED; charset=UTF-8", "channel=a");
	expect_list(&request.channels, "a|");
	ask_post("application/json;charset=utf-8", "{\"channel\":\"a\"}");
	expect_list(&request.channels, "a|");
	ask_post("text/plain;charset=UTF-8", "");
	expect_list(&request.channels, "default|");
	ask_post("text/plain;charset=UTF-8", "channel=a");
	expect_refusal(415, "\"text/plain;charset=UTF-8\" is not supported; send "
			    "application/x-www-form-urlencoded"
			    " or application/json");
	ask_post("", "channel=a");
	expect_refusal(415, "application/json");
	ask_body((const char *const[]){"REQUEST_METHOD=POST", NULL}, "channel=a", 9);
	expect_refusal(415, "application/json");
	ask_post("application/json", "channel=a");
	expect_refusal(
		400, "the JSON body cannot be read: it is not a JSON object: line 1, column");
}

static void test_only_a_post_has_a_body(void **state)
{
	ask_body((const char *const[]){"REQUEST_METHOD=GET",
			 "CONTENT_TYPE=application/x-www-form-urlencoded", NULL},
		"channel=a&tail=x", 16);
	expect_list(&request.channels, "default|");
	ask_body((const char *const[]){"CONTENT_TYPE=text/plain", NULL}, "\0", 1);
	expect_list(&request.channels, "default|");
}

/* A request of exactly `size` bytes, of which half is body. */
static void ask_size(size_t size)
{
	const char *fixed = "REQUEST_METHOD=POSTCONTENT_TYPE=application/x-www-form-urlencoded"
			    "HTTP_ORIGIN=https://a.example";
	size_t half = size / 2, rest = size - half - strlen(fixed);
	char *body = malloc(half), *cookie = malloc(rest + 1);

	assert_true(body && cookie);
	memset(body, 'x', half);
	memset(cookie, 'x', rest);
	memcpy(cookie, "HTTP_COOKIE=", 12);
	cookie[rest] = '\0';
	ask_body((const char *const[]){"REQUEST_METHOD=POST", cookie,
			 "HTTP_ORIGIN=https://a.example",
			 "CONTENT_TYPE=application/x-www-form-urlencoded", NULL},
		body, half);
	free(body);
	free(cookie);
}

static void test_sizes(void **state)
{
	ask_size(REQUEST_SIZE_MAX);
	expect_list(&request.channels, "default|");
	ask_size(REQUEST_SIZE_MAX + 1);
	expect_refusal(413, "may be 65536 bytes");
	assert_string_equal(request.origin, "https://a.example");
	assert_int_equal(request.method, REQUEST_POST);
}

/* A web server repeats the query in REQUEST_URI. */
static void test_size_counts_a_query_once(void **state)
{
	enum { LENGTH = REQUEST_SIZE_MAX - 100 };
	static char query[LENGTH + 32] = "QUERY_STRING=", uri[LENGTH + 32] = "REQUEST_URI=/?";

	memset(query + strlen("QUERY_STRING="), 'x', LENGTH);
	memset(uri + strlen("REQUEST_URI=/?"), 'x', LENGTH);
	ASK(query, uri);
	expect_list(&request.channels, "default|");
}

static void test_refusal_keeps_what_its_answer_needs(void **state)
{
	ASK("REQUEST_METHOD=HEAD", "HTTP_ORIGIN=https://a.example", "REMOTE_ADDR=10.0.0.1",
		"HTTP_ACCEPT=text/event-stream, */*", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS=token",
		"QUERY_STRING=channel=a&tail=x");
	expect_refusal(400, "tail");
	assert_int_equal(request.channels.count, 0);
	assert_int_equal(request.method, REQUEST_HEAD);
	assert_string_equal(request.origin, "https://a.example");
	assert_string_equal(request.requested_headers, "token");
	assert_string_equal(request.remote_addr, "10.0.0.1");
	assert_true(request.accepts_stream);
}

static void test_zeroed_request_can_be_freed(void **state)
{
	struct request none;

	memset(&none, 0, sizeof(none));
	request_free(&none);
	request_free(&none);
	assert_null(none.memory);
}

/* Parses with `good` allocations; returns whether one has failed. */
static bool parse_without_memory(char **params, const char *body, long good)
{
	bool failed;

	request_free(&request);
	allow_allocations(good);
	result = request_parse(&request, params, body, strlen(body), &problem);
	failed = allow_all_allocations();
	assert_int_equal(result, failed ? -1 : 0);
	if (failed) {
		expect_refusal(503, "no memory");
		asking_check_sentence();
		assert_non_null(request.remote_addr);
	}
	return failed;
}

static void test_every_allocation_can_fail(void **state)
{
	static const struct {
		const char *type, *body;
	} cases[] = {
		{"CONTENT_TYPE=application/x-www-form-urlencoded", "channel=b&access_token=t"},
		{"CONTENT_TYPE=application/json", "{\"channel\":[\"b\"],\"access_token\":\"t\"}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *params[] = {(char *)"REQUEST_METHOD=POST", (char *)cases[i].type,
			(char *)"QUERY_STRING=channel=a", (char *)"HTTP_COOKIE=c", NULL};
		long good = 0;

		while (parse_without_memory(params, cases[i].body, good))
			good++;
		assert_true(good >= 3);
		expect_list(&request.channels, "a|b|");
		assert_string_equal(request.access_token, "t");
		assert_string_equal(request.cookie, "c");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_request),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_other_methods),
		cmocka_unit_test(test_headers_are_kept_unchanged),
		cmocka_unit_test(test_first_of_equal_names_wins),
		cmocka_unit_test(test_names_match_as_a_whole),
		cmocka_unit_test(test_request_param),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_client_cannot_ask_for_a_page),
		cmocka_unit_test(test_preflight_ignores_other_parameters),
		cmocka_unit_test(test_the_path_is_a_channel),
		cmocka_unit_test(test_posted_forms),
		cmocka_unit_test(test_media_types_of_bodies),
		cmocka_unit_test(test_only_a_post_has_a_body),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_size_counts_a_query_once),
		cmocka_unit_test(test_refusal_keeps_what_its_answer_needs),
		cmocka_unit_test(test_zeroed_request_can_be_freed),
		cmocka_unit_test(test_every_allocation_can_fail),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
