/* links: request/request request/parameters request/path request/form base/json base/text log/channel base/utf8 */
/* libs: -ljansson */
/*
 * Each parameter, in a query and in JSON: its valid values, which one wins, the messages of
 * refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "asking.h"

static int teardown(void **state)
{
	request_free(&request);
	return 0;
}

static void test_channels(void **state)
{
	ask_query("channel=b&channel=a&channel=b&channel=ab&channel=B");
	expect_list(&request.channels, "B|a|ab|b|");
	ask_query("channel=orders/*&channel=*&channel=orders%2F42");
	expect_list(&request.channels, "*|orders/*|orders/42|");
	ask_query("channel=%F0%9F%90%BF+x&channel=gr\303\274n");
	expect_list(&request.channels, "gr\303\274n|\360\237\220\277 x|");
}

static void test_invalid_channels(void **state)
{
	ask_query("channel=a+b*");
	expect_refusal(400, "channel: \"a b*\" is not a channel: 1 to 255 bytes of UTF-8 without"
			    " control characters, where \"*\" stands alone or ends a name after"
			    " \"/\"");
	ask_query("channel=");
	expect_refusal(400, "channel: \"\" is not");
	ask_query("channel");
	expect_refusal(400, "channel: \"\" is not");
	ask_query("channel=a%0Ab%00%1B");
	expect_refusal(400, "channel: \"a�b��\" is not");
	ask_query("channel=%FFa");
	expect_refusal(400, "channel: \"�a\" is not");
	ask_query("channel=a&channel=**");
	expect_refusal(400, "channel: \"**\" is not");
}

/* "name=x0&name=x1&…", count of them, in order or not. */
static void ask_many(const char *name, int count, int distinct)
{
	char query[8192] = "";
	size_t used = 0;

	for (int i = 0; i < count; i++)
		used += (size_t)snprintf(
			query + used, sizeof(query) - used, "%s=x%d&", name, (i * 37) % distinct);
	assert_true(used < sizeof(query));
	ask_query(query);
}

static void test_at_most_a_hundred_channels(void **state)
{
	ask_many("channel", 100, 100);
	expect_good();
	assert_int_equal(request.channels.count, 100);
	for (size_t i = 1; i < request.channels.count; i++)
		assert_true(strcmp(request.channels.text[i - 1], request.channels.text[i]) < 0);
	ask_many("channel", 500, 100);
	expect_good();
	assert_int_equal(request.channels.count, 100);
	ask_many("channel", 101, 101);
	expect_refusal(400, "channel: one stream follows at most 100 channels");
	ask_many("event", 100, 100);
	expect_good();
	assert_int_equal(request.events.count, 100);
	ask_many("event", 101, 101);
	expect_refusal(400, "event: one stream selects at most 100 event types");
}

static void test_list_brackets_are_removed(void **state)
{
	ask_query("channel[]=b&channel%5B%5D=a&channel[0]=c&channel[12]=d&event[]=x");
	expect_good();
	expect_list(&request.channels, "a|b|c|d|");
	expect_list(&request.events, "x|");
	ask_json("{\"channel[]\": [\"a\", \"b\"]}");
	expect_good();
	expect_list(&request.channels, "a|b|");
}

static void test_similar_name_is_refused(void **state)
{
	static const char *const misses[][2] = {
		{"Channel=a", "there is no parameter \"Channel\"; write \"channel\""},
		{"channels=a", "there is no parameter \"channels\"; write \"channel\""},
		{"CHANNELS[]=a", "there is no parameter \"CHANNELS[]\"; write \"channel\""},
		{"events=a", "there is no parameter \"events\"; write \"event\""},
		{"Tail=5", "there is no parameter \"Tail\"; write \"tail\""},
		{"channel[x]=a", "there is no parameter \"channel[x]\"; write \"channel\""},
		{"channel[0][]=a", "there is no parameter \"channel[0][]\"; write \"channel\""},
		{"position=0", "there is no parameter \"position\"; write \"positions\""},
		{"ENVELOPE=json", "there is no parameter \"ENVELOPE\"; write \"envelope\""},
		{"access-token=x",
			"there is no parameter \"access-token\"; write \"access_token\""},
	};

	for (size_t i = 0; i < sizeof(misses) / sizeof(misses[0]); i++) {
		ask_query(misses[i][0]);
		expect_refusal(400, misses[i][1]);
	}
	ask_json("{\"channels\": [\"a\"]}");
	expect_refusal(400, "there is no parameter \"channels\"; write \"channel\"");
}

static void test_unrelated_names_are_ignored(void **state)
{
	ask_query("_=17&utm_source=x&chan=a&channe=b&channelss=c&s=1&=2&[]=3&"
		  "channel]=5&[0]=6&ss=7&S=8");
	expect_good();
	expect_list(&request.channels, "default|");
}

static void test_similar_position_names_are_accepted(void **state)
{
	static const char *const names[] = {"last-event-id", "LAST_EVENT_ID", "lasteventid",
		"Since", "last_event_ids", "evs-last-event-id", "last_event_id[]"};
	char query[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(query, sizeof(query), "%s=41", names[i]);
		ask_query(query);
		expect_good();
		assert_int_equal(request.position.id, 41);
	}
}

static void test_largest_of_several_positions_wins(void **state)
{
	static const char *const queries[] = {"since=5,9", "since=9,5", "since=9&last_event_id=5",
		"since=x,9", "since=,,9,", "since=+5+,+9+", "since=99999999999999999999,9"};

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		ask_query(queries[i]);
		expect_good();
		assert_int_equal(request.position.kind, POSITION_AT);
		assert_int_equal(request.position.id, 9);
	}
	ask_query("since=x,y");
	expect_good();
	assert_int_equal(request.position.kind, POSITION_MALFORMED);
}

static void test_every_header_with_a_position_is_read(void **state)
{
	ASK("HTTP_LAST_EVENT_ID=5", "HTTP_LAST_EVENT_ID=9", "QUERY_STRING=since=7");
	expect_good();
	assert_int_equal(request.position.id, 9);
	ASK("HTTP_LAST_EVENT_ID=5, 9");
	expect_good();
	assert_int_equal(request.position.id, 9);
}

static void test_lengths(void **state)
{
	char query[280];

	memset(query, 'x', sizeof(query));
	memcpy(query, "channel=", 8);
	query[8 + 255] = '\0';
	ask_query(query);
	expect_good();
	assert_int_equal(request.channels.length[0], 255);
	memcpy(query, "channel=", 8);
	memset(query + 8, 'x', 256);
	query[8 + 256] = '\0';
	ask_query(query);
	expect_refusal(
		400, "channel: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\" is not a channel");
	memcpy(query, "x&event=", 8);
	ask_query(query);
	expect_refusal(400, "is not an event type: 1 to 255 bytes");
	query[8 + 255] = '\0';
	ask_query(query);
	expect_good();
	assert_int_equal(request.events.length[0], 255);
}

static void test_events(void **state)
{
	ask_query("event=update&event=message&event=a+b&event=update");
	expect_list(&request.events, "a b|message|update|");
	expect_list(&request.channels, "default|");
	ask_query("event=a%09*%7F");
	expect_list(&request.events, "a\t*\x7f|");
	ask_query("event=");
	expect_refusal(
		400, "event: \"\" is not an event type: 1 to 255 bytes of UTF-8 on one line");
	ask_query("event=a%0A");
	expect_refusal(400, "event: \"a�\" is not");
	ask_query("event=a%0D");
	expect_refusal(400, "event: \"a�\" is not");
	ask_query("event=a%00");
	expect_refusal(400, "event: \"a�\" is not");
	ask_query("event=%C3");
	expect_refusal(400, "event: \"�\" is not");
}

static void test_every_spelling_of_the_position(void **state)
{
	static const char *const names[] = {"last_event_id", "lastEventId", "lastEventID",
		"Last-Event-ID", "evs_last_event_id", "since"};
	char text[100];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(text, sizeof(text), "%s=%zu", names[i], i + 40);
		ask_query(text);
		expect_good();
		assert_int_equal(request.position.kind, POSITION_AT);
		assert_int_equal(request.position.id, i + 40);
		snprintf(text, sizeof(text), "{\"%s\":%zu}", names[i], i + 50);
		ask_json(text);
		expect_good();
		assert_int_equal(request.position.kind, POSITION_AT);
		assert_int_equal(request.position.id, i + 50);
	}
}

static void test_positions(void **state)
{
	static const struct {
		const char *header, *query;
		enum position_kind kind;
		int64_t position;
		const char *text;
	} cases[] = {
		{"", "", POSITION_NONE, 0, ""},
		{"", "since=&lastEventId=%20%09", POSITION_NONE, 0, ""},
		{" \t", "", POSITION_NONE, 0, ""},
		{"0", "", POSITION_AT, 0, ""},
		{" \t12\t ", "", POSITION_AT, 12, ""},
		{"7", "lastEventId=9&last_event_id=8", POSITION_AT, 9, ""},
		{"10", "lastEventId=9&last_event_id=8", POSITION_AT, 10, ""},
		{"", "since=3&since=5&since=4", POSITION_AT, 5, ""},
		{"", "since=0&since=", POSITION_AT, 0, ""},
		{"x", "since=0", POSITION_AT, 0, ""},
		{"4", "since=x", POSITION_AT, 4, ""},
		{"99999999999999999999", "since=5", POSITION_AT, 5, ""},
		{"5", "since=99999999999999999999", POSITION_AT, 5, ""},
		{"9223372036854775807", "", POSITION_AT, INT64_MAX, ""},
		{"9223372036854775808", "", POSITION_BEYOND, 0, "9223372036854775808"},
		{"x", "since=9223372036854775808&since=y", POSITION_BEYOND, 0,
			"9223372036854775808"},
		{"-1", "", POSITION_MALFORMED, 0, "-1"},
		{" a b ", "since=c", POSITION_MALFORMED, 0, "a b"},
		{"4, 5", "", POSITION_AT, 5, ""},
		{"a, b", "", POSITION_MALFORMED, 0, "a"},
		{"", "since=1.5", POSITION_MALFORMED, 0, "1.5"},
		{"", "since=%FF%00%07", POSITION_MALFORMED, 0, "��\a"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char header[100], query[100];

		snprintf(header, sizeof(header), "HTTP_LAST_EVENT_ID=%s", cases[i].header);
		snprintf(query, sizeof(query), "QUERY_STRING=%s", cases[i].query);
		ASK(header, query);
		expect_good();
		if (request.position.kind != cases[i].kind)
			fail_msg("%s and %s: kind %d", header, query, (int)request.position.kind);
		assert_int_equal(request.position.id, cases[i].position);
		assert_string_equal(request.position.text, cases[i].text);
	}
}

static void test_long_positions_are_truncated_between_characters(void **state)
{
	char header[200] = "HTTP_LAST_EVENT_ID=";
	size_t at = strlen(header);

	memset(header + at, 'p', 100);
	header[at + 100] = '\0';
	ASK(header);
	assert_int_equal(strlen(request.position.text), POSITION_TEXT_MAX);
	memcpy(header + at + 62, "\342\202\254", 3);
	ASK(header);
	assert_int_equal(strlen(request.position.text), 62);
	memcpy(header + at + 61, "\342\202\254", 3);
	ASK(header);
	assert_int_equal(strlen(request.position.text), 64);
}

static void test_tail(void **state)
{
	ask_query("tail=0");
	expect_good();
	assert_int_equal(request.position.tail, 0);
	ask_query("tail=9223372036854775807");
	expect_good();
	assert_int_equal(request.position.tail, INT64_MAX);
	ask_query("tail=9223372036854775808");
	expect_refusal(400, "tail: \"9223372036854775808\" is not a number of records: write 0 to"
			    " 9223372036854775807 in digits");
	ask_query("tail=-1");
	expect_refusal(400, "tail: \"-1\"");
	ask_query("tail=");
	expect_refusal(400, "tail: \"\"");
	ask_query("tail=ten");
	expect_refusal(400, "tail: \"ten\"");
}

static void test_format_json(void **state)
{
	ask_query("channel=a");
	expect_good();
	assert_false(request.json);
	ask_query("format=json");
	expect_good();
	assert_true(request.json);
	assert_int_equal(request.limit, 100);
	assert_int_equal(request.wait_s, 0);
	assert_int_equal(request.before, -1);
	ask_query("limit=1000&wait=60&format=json&since=5");
	expect_good();
	assert_int_equal(request.limit, 1000);
	assert_int_equal(request.wait_s, 60);
	ask_json("{\"format\": \"json\", \"before\": 7, \"limit\": \"1\"}");
	expect_good();
	assert_int_equal(request.before, 7);
	assert_int_equal(request.limit, 1);
	ask_query("format=xml");
	expect_refusal(400, "format: \"xml\" is not a format; write \"json\"");
	ask_query("format=");
	expect_refusal(400, "format: \"\" is not a format");
}

static void test_format_json_bounds_its_numbers(void **state)
{
	static const char *const wrong[][2] = {
		{"limit=0", "limit: \"0\" is not a number from 1 to 1000"},
		{"limit=1001", "limit: \"1001\" is not"},
		{"limit=ten", "limit: \"ten\" is not"},
		{"limit=%zz", "limit: a \"%\" must be followed by two hexadecimal digits"},
		{"wait=61", "wait: \"61\" is not a number from 0 to 60"},
		{"wait=1.5", "wait: \"1.5\" is not"},
		{"wait=", "wait: \"\" is not"},
		{"before=-1", "before: \"-1\" is not"},
		{"Limit=5", "there is no parameter \"Limit\"; write \"limit\""},
		{"before=9&since=1", "before: it asks for older rows"},
		{"before=9&wait=1", "before: it asks for older rows"},
		{"before=9&tail=1", "before: it asks for older rows"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char query[64];

		snprintf(query, sizeof(query), "format=json&%s", wrong[i][0]);
		ask_query(query);
		expect_refusal(400, wrong[i][1]);
		snprintf(query, sizeof(query), "%s&format=json", wrong[i][0]);
		ask_query(query);
		expect_refusal(400, wrong[i][1]);
		/* A page that follows a stream may have such names of its own. */
		ask_query(wrong[i][0]);
		expect_good();
	}
	ask_json("{\"limit\": true, \"format\": \"json\"}");
	expect_refusal(400, "limit: in JSON this must be a string or an integer");
	ask_json("{\"limit\": true}");
	expect_good();
}

static void test_format_json_wants_plain_refusals(void **state)
{
	ASK("REQUEST_METHOD=GET", "QUERY_STRING=", "HTTP_ACCEPT=text/event-stream");
	assert_true(request.accepts_stream);
	ASK("REQUEST_METHOD=GET", "QUERY_STRING=format=json", "HTTP_ACCEPT=text/event-stream");
	assert_false(request.accepts_stream);
}

static void test_envelope_and_positions(void **state)
{
	ask_query("envelope=json&positions=0");
	expect_good();
	assert_true(request.envelope);
	assert_false(request.positions);
	ask_query("positions=1");
	expect_good();
	assert_false(request.envelope);
	assert_true(request.positions);
	ask_query("envelope=xml");
	expect_refusal(400, "envelope: \"xml\" is not an envelope; the only one is \"json\"");
	ask_query("envelope=");
	expect_refusal(400, "envelope: \"\"");
	ask_query("positions=2");
	expect_refusal(400, "positions: \"2\" is neither 0 nor 1");
	ask_query("positions=true");
	expect_refusal(400, "positions: \"true\"");
	ask_query("positions=");
	expect_refusal(400, "positions: \"\"");
}

static void test_last_of_repeated_single_values_wins(void **state)
{
	ask_query("tail=5&tail=3&positions=0&positions=1&access_token=a&access_token=b%20c");
	expect_good();
	assert_int_equal(request.position.tail, 3);
	assert_true(request.positions);
	assert_string_equal(request.access_token, "b c");
}

static void test_unknown_parameters_are_ignored(void **state)
{
	ask_query("_=1&utm=100%&chan=*x&channel%00=x*&channelss=a&%63hannel=b&chann%zzel=c");
	expect_list(&request.channels, "b|");
}

static void test_bad_escapes(void **state)
{
	ask_query("channel=100%");
	expect_refusal(400, "channel: a \"%\" must be followed by two hexadecimal digits; write a"
			    " percent sign as \"%25\"");
	ask_query("since=%1");
	expect_refusal(400, "since: a \"%\"");
}

static void test_tokens_are_never_repeated(void **state)
{
	ask_query("access_token=s3cret%zz");
	expect_refusal(400, "access_token: a \"%\"");
	assert_null(strstr(problem.sentence, "s3cret"));
	ask_query("access_token=s3cret%00");
	expect_refusal(400, "access_token: a token cannot contain a NUL character");
	assert_null(strstr(problem.sentence, "s3cret"));
	ask_json("{\"access_token\":[\"s3cret\"]}");
	expect_refusal(400, "access_token: in JSON this must be a string");
	assert_null(strstr(problem.sentence, "s3cret"));
	ask_json("{\"access_token\":\"s3cret\"x}");
	expect_refusal(400, "the JSON body cannot be read");
	assert_null(strstr(problem.sentence, "s3cret"));
}

static void test_json(void **state)
{
	ask_json("{\"channel\":[\"b\",\"a/*\",\"b\"],\"event\":\"up\\u0064ate\",\"tail\":7,"
		 "\"envelope\":\"json\",\"positions\":1,\"access_token\":\"t\",\"since\":\"12\","
		 "\"last_event_id\":11,\"other\":{\"channel\":[1,{}]}}");
	expect_list(&request.channels, "a/*|b|");
	expect_list(&request.events, "update|");
	assert_int_equal(request.position.tail, 7);
	assert_true(request.envelope);
	assert_true(request.positions);
	assert_string_equal(request.access_token, "t");
	assert_int_equal(request.position.id, 12);
	ask_json("{\"channel\":\"a\",\"event\":[\"x\",\"y\"],\"tail\":\"8\",\"positions\":true}");
	expect_list(&request.channels, "a|");
	expect_list(&request.events, "x|y|");
	assert_int_equal(request.position.tail, 8);
	assert_true(request.positions);
}

static void test_json_null_means_not_given(void **state)
{
	ask_json("{\"channel\":null,\"event\":null,\"tail\":null,\"envelope\":null,"
		 "\"positions\":null,\"access_token\":null,\"last_event_id\":null}");
	expect_list(&request.channels, "default|");
	expect_list(&request.events, "");
	assert_int_equal(request.position.tail, -1);
	assert_false(request.envelope || request.positions);
	assert_null(request.access_token);
	assert_int_equal(request.position.kind, POSITION_NONE);
	ask_json("{\"channel\":[],\"event\":[]}");
	expect_list(&request.channels, "default|");
	expect_list(&request.events, "");
}

static void test_json_switch(void **state)
{
	static const char *const off[] = {"0", "\"0\"", "false"}, *const on[] = {
									  "1", "\"1\"", "true"};
	char body[60];

	for (size_t i = 0; i < 3; i++) {
		snprintf(body, sizeof(body), "{\"positions\":%s}", on[i]);
		ask_json(body);
		expect_good();
		assert_true(request.positions);
		snprintf(body, sizeof(body), "{\"positions\":%s}", off[i]);
		ask_json(body);
		expect_good();
		assert_false(request.positions);
	}
	ask_json("{\"positions\":2}");
	expect_refusal(400, "positions: \"2\" is neither 0 nor 1");
}

static void test_json_positions_keep_every_digit(void **state)
{
	ask_json("{\"since\":9223372036854775807}");
	expect_good();
	assert_int_equal(request.position.id, INT64_MAX);
	ask_json("{\"since\":18446744073709551617}");
	expect_good();
	assert_int_equal(request.position.kind, POSITION_BEYOND);
	assert_string_equal(request.position.text, "18446744073709551617");
	ask_json("{\"since\":-5}");
	expect_good();
	assert_int_equal(request.position.kind, POSITION_MALFORMED);
	assert_string_equal(request.position.text, "-5");
}

static void test_json_of_other_types(void **state)
{
	static const char *const cases[][2] = {
		{"{\"channel\":5}", "channel: in JSON this must be a string or a list of strings"},
		{"{\"channel\":12345678901234567890}", "channel: in JSON"},
		{"{\"channel\":[\"a\",null]}", "channel: in JSON"},
		{"{\"channel\":[[\"a\"]]}", "channel: in JSON"},
		{"{\"channel\":[5]}", "channel: in JSON"},
		{"{\"channel\":{}}", "channel: in JSON"},
		{"{\"event\":true}", "event: in JSON this must be a string or a list of strings"},
		{"{\"last_event_id\":1.5}",
			"last_event_id: in JSON this must be a string or an integer"},
		{"{\"since\":1e3}", "since: in JSON"},
		{"{\"lastEventId\":[1]}", "lastEventId: in JSON"},
		{"{\"lastEventID\":false}", "lastEventID: in JSON"},
		{"{\"tail\":[]}", "tail: in JSON this must be a string or an integer"},
		{"{\"tail\":1.0}", "tail: in JSON"},
		{"{\"envelope\":true}", "envelope: in JSON this must be a string"},
		{"{\"positions\":[1]}", "positions: in JSON this must be 0, 1, true or false"},
		{"{\"positions\":0.0}", "positions: in JSON"},
		{"{\"access_token\":5}", "access_token: in JSON this must be a string"},
		{"{\"tail\":-5}", "tail: \"-5\" is not a number of records"},
		{"{\"channel\":\"a*\"}", "channel: \"a*\" is not a channel"},
		{"[\"a\"]", "it is an array, not an object; send an object such as {\"channel\":"},
		{"{\"channel\":\"a\",\"channel\":\"b\"}",
			"an object has two members of the same name"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ask_json(cases[i][0]);
		expect_refusal(400, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_channels),
		cmocka_unit_test(test_invalid_channels),
		cmocka_unit_test(test_at_most_a_hundred_channels),
		cmocka_unit_test(test_list_brackets_are_removed),
		cmocka_unit_test(test_similar_name_is_refused),
		cmocka_unit_test(test_unrelated_names_are_ignored),
		cmocka_unit_test(test_similar_position_names_are_accepted),
		cmocka_unit_test(test_largest_of_several_positions_wins),
		cmocka_unit_test(test_every_header_with_a_position_is_read),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_every_spelling_of_the_position),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_long_positions_are_truncated_between_characters),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_format_json),
		cmocka_unit_test(test_format_json_bounds_its_numbers),
		cmocka_unit_test(test_format_json_wants_plain_refusals),
		cmocka_unit_test(test_envelope_and_positions),
		cmocka_unit_test(test_last_of_repeated_single_values_wins),
		cmocka_unit_test(test_unknown_parameters_are_ignored),
		cmocka_unit_test(test_bad_escapes),
		cmocka_unit_test(test_tokens_are_never_repeated),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_null_means_not_given),
		cmocka_unit_test(test_json_switch),
		cmocka_unit_test(test_json_positions_keep_every_digit),
		cmocka_unit_test(test_json_of_other_types),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
