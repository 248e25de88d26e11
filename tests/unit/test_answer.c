/* links: server/answer base/buffer base/origin protocol/sse protocol/wire log/gap base/text base/utf8 */
/* Heads of streams and finite answers, read back as a web server reads CGI output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/answer.h"

static struct buffer out;
static const struct answer_cors none = {NULL, false};

static int set_up(void **state)
{
	buffer_init(&out, 100000);
	return 0;
}

static int tear_down(void **state)
{
	buffer_free(&out);
	return 0;
}

/* The output, NUL-terminated; every line of the head is a field and ends in CR LF. */
static const char *text(void)
{
	const char *p, *end;

	assert_false(out.failed);
	assert_true(buffer_append(&out, "", 1));
	out.length--;
	p = (const char *)out.data;
	assert_non_null(end = strstr(p, "\r\n\r\n"));
	while (p <= end) {
		const char *stop = strstr(p, "\r\n");

		assert_in_range(strcspn(p, ":\r\n"), 1, stop - p - 1);
		assert_true(strcspn(p, "\n") == (size_t)(stop - p) + 1);
		p = stop + 2;
	}
	return (const char *)out.data;
}

/* The value of a field, or NULL; it occurs at most once. Valid until the next call. */
static const char *field(const char *name)
{
	static char value[300];
	const char *p = text(), *found = NULL, *body = strstr(p, "\r\n\r\n");

	for (; p < body + 2; p = strstr(p, "\r\n") + 2)
		if (!strncmp(p, name, strlen(name)) && p[strlen(name)] == ':') {
			assert_null(found);
			found = p + strlen(name) + 2;
		}
	if (!found)
		return NULL;
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(found, "\r"), found);
	return value;
}

static const char *body(void)
{
	return strstr(text(), "\r\n\r\n") + 4;
}

static void test_origins(void **state)
{
	static const char *const some[] = {"https://a.example", "https://b.example", NULL};
	static const char *const any[] = {"*", NULL};
	static const char *const nobody[] = {"null", "https://a.example", NULL};
	static const char *const both[] = {"*", "https://a.example", NULL};
	struct answer_cors cors;

	assert_null(answer_cors_of(NULL, any).origin);
	assert_null(answer_cors_of("https://a.example", NULL).origin);
	assert_null(answer_cors_of("https://c.example", some).origin);
	assert_null(answer_cors_of("https://a.example.org", some).origin);
	assert_null(answer_cors_of("https://a.exampl", some).origin);
	cors = answer_cors_of("https://b.example", some);
	assert_string_equal(cors.origin, "https://b.example");
	assert_false(cors.any);
	assert_true(answer_cors_of("https://c.example", any).any);
	/* There is no such origin, so "*" does not cover it. */
	assert_true(answer_cors_of("*", any).any);
	/* Any site can make a page of origin null. */
	assert_string_equal(answer_cors_of("null", nobody).origin, "null");
	assert_true(answer_cors_of("null", nobody).any);
	assert_false(answer_cors_of("https://a.example", nobody).any);
	assert_null(answer_cors_of("https://b.example", nobody).origin);
	assert_null(answer_cors_of("null", some).origin);
	/* A named origin is allowed with cookies, wherever the "*" is. */
	assert_false(answer_cors_of("https://a.example", both).any);
	assert_true(answer_cors_of("https://b.example", both).any);
}

static void test_head_of_a_stream(void **state)
{
	answer_stream_head(&out, &none);
	assert_string_equal(field("Status"), "200 OK");
	assert_string_equal(field("Content-Type"), "text/event-stream");
	assert_non_null(strstr(field("Cache-Control"), "no-cache"));
	assert_non_null(strstr(field("Cache-Control"), "no-transform"));
	assert_string_equal(field("X-Accel-Buffering"), "no");
	assert_null(field("Access-Control-Allow-Origin"));
	assert_string_equal(body(), "");
}

/* Fetch: with credentials the origin must be named, "*" goes without. */
static void test_cors_fields(void **state)
{
	answer_stream_head(&out, &(struct answer_cors){"https://a.example", false});
	assert_string_equal(field("Access-Control-Allow-Origin"), "https://a.example");
	assert_string_equal(field("Access-Control-Allow-Credentials"), "true");
	assert_string_equal(field("Vary"), "Origin");
	buffer_clear(&out);
	answer_sentence(&out, 403, "No.", false, &(struct answer_cors){"https://a.example", true});
	assert_string_equal(field("Access-Control-Allow-Origin"), "*");
	assert_null(field("Access-Control-Allow-Credentials"));
}

static void test_statuses(void **state)
{
	static const int all[] = {200, 204, 400, 401, 403, 405, 408, 413, 415, 429, 500, 503};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int status = 0, used = 0;

		buffer_clear(&out);
		answer_sentence(&out, all[i], "Why.", false, &none);
		assert_int_equal(sscanf(field("Status"), "%3d %n", &status, &used), 1);
		assert_int_equal(status, all[i]);
		assert_true(strlen(field("Status")) > (size_t)used);
		assert_string_equal(field("Cache-Control"), "no-store");
		assert_string_equal(field("Content-Type"), "text/plain; charset=utf-8");
		assert_string_equal(field("X-Content-Type-Options"), "nosniff");
		assert_int_equal(field("Allow") != NULL, all[i] == 405);
		assert_int_equal(field("WWW-Authenticate") != NULL, all[i] == 401);
		assert_int_equal(field("Retry-After") != NULL, all[i] == 429);
		assert_string_equal(body(), "Why.\n");
	}
}

static void test_head_has_no_body(void **state)
{
	answer_sentence(&out, 400, "Why.", true, &none);
	assert_string_equal(field("Content-Type"), "text/plain; charset=utf-8");
	assert_string_equal(body(), "");
	buffer_clear(&out);
	answer_later(&out, "Later.", 2000, false, true, &none);
	assert_string_equal(body(), "");
	buffer_clear(&out);
	answer_later(&out, "Later.", 2000, true, true, &none);
	assert_string_equal(field("Content-Type"), "text/event-stream");
	assert_string_equal(body(), "");
}

static void test_bodies_are_bytes(void **state)
{
	struct answer a = {
		.status = 200, .type = "application/x", .body = "a\0b", .body_length = 3};

	answer_write(&out, &a, &none);
	assert_string_equal(field("Content-Type"), "application/x");
	assert_memory_equal(body(), "a\0b", 3);
	assert_ptr_equal(body() + 3, out.data + out.length);
	buffer_clear(&out);
	a.body = NULL;
	answer_write(&out, &a, &none);
	assert_null(field("Content-Type"));
}

static void test_preflight(void **state)
{
	const struct answer_cors allowed = {"https://a.example", false};

	answer_preflight(&out, "last-event-id, authorization", &allowed);
	assert_string_equal(field("Status"), "204 No Content");
	assert_non_null(strstr(field("Access-Control-Allow-Methods"), "GET"));
	assert_non_null(strstr(field("Access-Control-Allow-Methods"), "POST"));
	assert_string_equal(field("Access-Control-Allow-Headers"), "last-event-id, authorization");
	assert_int_equal(atoll(field("Access-Control-Max-Age")) > 0, 1);
	buffer_clear(&out);
	answer_preflight(&out, "x", &none);
	assert_null(field("Access-Control-Allow-Methods"));
	assert_null(field("Access-Control-Allow-Headers"));
	assert_non_null(field("Allow"));
}

/* Client input is echoed only where it cannot inject anything. */
static void test_forged_header_names(void **state)
{
	static const char *const all[] = {
		"a\r\nSet-Cookie: x", "a\nb", "a: b", "a;b", "caf\xc3\xa9", "", "\"a\""};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		buffer_clear(&out);
		answer_preflight(&out, all[i], &(struct answer_cors){"https://a.example", true});
		assert_null(field("Access-Control-Allow-Headers"));
		assert_null(field("Set-Cookie"));
	}
	buffer_clear(&out);
	answer_preflight(&out, NULL, &(struct answer_cors){"https://a.example", true});
	assert_null(field("Access-Control-Allow-Headers"));
}

static void test_answers_that_ask_to_reconnect(void **state)
{
	answer_later(&out, "The log is gone.", 2000, true, false, &none);
	assert_string_equal(field("Status"), "200 OK");
	assert_string_equal(body(), "retry: 2000\n: The log is gone.\n");
	buffer_clear(&out);
	answer_later(&out, "The log is gone.", 2001, false, false, &none);
	assert_string_equal(field("Status"), "503 Service Unavailable");
	/* Whole seconds, rounded up. */
	assert_string_equal(field("Retry-After"), "3");
	assert_string_equal(body(), "The log is gone.\n");
	/* If streams begin without a waiting time (--retry 0), a 503 still has the field. */
	buffer_clear(&out);
	answer_later(&out, "The log is gone.", 0, false, false, &none);
	assert_string_equal(field("Retry-After"), "1");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_origins),
		TEST(test_head_of_a_stream),
		TEST(test_cors_fields),
		TEST(test_statuses),
		TEST(test_head_has_no_body),
		TEST(test_bodies_are_bytes),
		TEST(test_preflight),
		TEST(test_forged_header_names),
		TEST(test_answers_that_ask_to_reconnect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
