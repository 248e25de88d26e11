/* links: publish/submission publish/submission_body base/json base/text base/utf8 log/channel request/form request/path request/request request/parameters */
/* libs: -ljansson */
/* What a POST wants to publish: hostile and odd bodies, each in memory of exactly its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "publish/submission.h"

static struct submission s;
static struct request_problem problem;

/* Parses a body that has nothing behind it. Returns the status, or 0. */
static int parse(const char *type, const char *body, size_t length, const char *query)
{
	static char kind[200], asked[200];
	char *params[] = {kind, asked, NULL};
	char *exact = malloc(length ? length : 1);
	int status;

	snprintf(kind, sizeof(kind), "CONTENT_TYPE=%s", type);
	snprintf(asked, sizeof(asked), "QUERY_STRING=%s", query);
	memcpy(exact, body, length);
	status = submission_parse(&s, params, exact, length, &problem) == 0 ? 0 : problem.status;
	if (status == 0)
		for (size_t i = 0; i < s.count; i++)
			assert_true(s.message[i].channel.length > 0);
	else
		assert_true(strlen(problem.sentence) > 10);
	submission_free(&s);
	free(exact);
	return status;
}

static void test_bodies_without_a_nul_behind_them(void **state)
{
	static const char *const types[] = {"text/plain", "application/json",
		"application/x-www-form-urlencoded", "", "text/plain; charset=\"utf-8\""};
	static const char *const bodies[] = {"", "a", "data=", "data", "=", "&", "data=%",
		"data=%4", "&&data=1&", "{", "[", "[{}]", "{\"data\":\"", "{\"data\":\"a\"}",
		"[{\"data\":\"a\"},{\"event\":\"b\"}]", "{\"data\":[\"a\"]}", "\xff", "\xc3",
		"channel=a&data=b", "[[{}]]"};

	for (size_t t = 0; t < sizeof(types) / sizeof(*types); t++)
		for (size_t b = 0; b < sizeof(bodies) / sizeof(*bodies); b++)
			parse(types[t], bodies[b], strlen(bodies[b]), "channel=a");
}

static void test_every_byte_in_every_place(void **state)
{
	static const char body[] = "[{\"data\":\"a\",\"retry\":1},{\"event\":\"b\"}]";
	char changed[sizeof(body)];

	for (size_t i = 0; i < sizeof(body) - 1; i++)
		for (int byte = 0; byte < 256; byte += 3) {
			memcpy(changed, body, sizeof(body));
			changed[i] = (char)byte;
			parse("application/json", changed, sizeof(body) - 1, "");
			parse("application/x-www-form-urlencoded", changed, sizeof(body) - 1, "");
		}
}

static void test_what_is_a_form(void **state)
{
	assert_int_equal(parse("application/x-www-form-urlencoded", "a=b", 3, ""), 0);
	assert_int_equal(parse("application/x-www-form-urlencoded", "DATA=b", 6, ""), 400);
	assert_int_equal(parse("application/x-www-form-urlencoded", "event=b", 7, ""), 0);
	assert_int_equal(parse("application/x-www-form-urlencoded", "retry=1", 7, ""), 400);
	assert_int_equal(parse("image/png", "a", 1, ""), 415);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies_without_a_nul_behind_them),
		cmocka_unit_test(test_every_byte_in_every_place),
		cmocka_unit_test(test_what_is_a_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
