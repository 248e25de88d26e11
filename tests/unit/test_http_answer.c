/* links: server/http_answer base/buffer */
/* CGI output as an HTTP head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http_answer.h"

static void check(const char *cgi, struct http_frame frame, const char *expected, size_t head)
{
	struct buffer out;

	buffer_init(&out, 4096);
	assert_int_equal(http_answer_head(&out, (const uint8_t *)cgi, strlen(cgi), &frame), head);
	buffer_append(&out, "", 1);
	assert_false(out.failed);
	assert_string_equal((char *)out.data, expected);
	buffer_free(&out);
}

#define DATE "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"

static void test_heads(void **state)
{
	const char *cgi = "Status: 200 OK\r\nA: b\r\n\r\nbody";

	check(cgi, (struct http_frame){.body = HTTP_BODY_LENGTH},
		"HTTP/1.1 200 OK\r\n" DATE "A: b\r\nContent-Length: 4\r\n\r\n", 24);
	check(cgi, (struct http_frame){.body = HTTP_BODY_CHUNKED, .close = true},
		"HTTP/1.1 200 OK\r\n" DATE
		"A: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
		24);
	check(cgi, (struct http_frame){.body = HTTP_BODY_NONE},
		"HTTP/1.1 200 OK\r\n" DATE "A: b\r\n\r\n", 24);
	check("Status: 204 No Content\r\n\r\n", (struct http_frame){.body = HTTP_BODY_LENGTH},
		"HTTP/1.1 204 No Content\r\n" DATE "\r\n", 26);
}

static void test_output_without_a_status_fails(void **state)
{
	static const char *const bad[] = {"", "A: b\r\n\r\n", "Status: 200 OK\r\n"};
	struct buffer out;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buffer_init(&out, 4096);
		http_answer_head(&out, (const uint8_t *)bad[i], strlen(bad[i]),
			&(struct http_frame){.body = HTTP_BODY_LENGTH});
		assert_true(out.failed);
		buffer_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_output_without_a_status_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
