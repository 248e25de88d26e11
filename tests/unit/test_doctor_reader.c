/*
 * rowtail-doctor reads event streams and heads as a browser does, in any pieces, and prints no
 * secret.
 * links: doctor/reader doctor/head doctor/target doctor/secret doctor/mark base/buffer base/text base/utf8
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doctor/head.h"
#include "doctor/mark.h"
#include "doctor/reader.h"
#include "doctor/secret.h"
#include "doctor/target.h"

static char seen[4096];

static void note(const char *kind, const char *text)
{
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s[%s]", kind, text);
}

static void on_event(void *context, const struct reader_event *event)
{
	note(event->type, event->data);
	note("id", event->id);
}

static void on_comment(void *context, const char *text)
{
	note("comment", text);
}

static void on_retry(void *context, int64_t ms)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)ms);
	note("retry", text);
}

static void on_stray(void *context, const char *line)
{
	note("stray", line);
}

static void read_in_pieces(const char *text, size_t length, size_t piece)
{
	struct reader r;

	seen[0] = '\0';
	reader_init(&r);
	r.event = on_event;
	r.comment = on_comment;
	r.retry = on_retry;
	r.stray = on_stray;
	for (size_t at = 0; at < length; at += piece)
		reader_feed(&r, text + at, length - at < piece ? length - at : piece);
	reader_free(&r);
}

static void reads(const char *text, const char *wanted)
{
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		read_in_pieces(text, strlen(text), piece);
		assert_string_equal(seen, wanted);
	}
}

static void test_streams(void **state)
{
	reads("retry: 2417\nevent: position\ndata: 41\nid: 41\n\n",
		"retry[2417]position[41]id[41]");
	reads("data: a\r\ndata:b\r\rdata\r\n\r\n", "message[a\nb]id[]message[]id[]");
	reads(":\n: why\nid: 7\n\ndata: x\n\n", "comment[]comment[why]message[x]id[7]");
	reads("\xef\xbb\xbf"
	      "data: x\n\ndata: unfinished\n",
		"message[x]id[]");
	reads("data: x\n\n<html>\nretry: soon\n", "message[x]id[]stray[<html>]");
}

static void test_endless_line_is_cut(void **state)
{
	size_t length = 3 * READER_MAX;
	char *text = malloc(length);

	assert_non_null(text);
	memset(text, 'x', length);
	read_in_pieces(text, length, 1000);
	free(text);
	assert_string_equal(seen, "");
}

static void test_heads(void **state)
{
	static const char *const lines[] = {"HTTP/1.1 103 Early Hints\r\n", "Server: hint\r\n",
		"\r\n", "HTTP/2 200 \r\n", "server: nginx\r\n",
		"ACCESS-CONTROL-ALLOW-ORIGIN: a\r\n", "access-control-allow-origin: b\r\n",
		"age:  12\r\n", "cf-ray: 1\r\n", "no colon\r\n"};
	struct answer a = {.age_s = -1};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_false(head_line(&a, lines[i], strlen(lines[i])));
	assert_true(head_line(&a, "\r\n", 2));
	assert_int_equal(a.status, 200);
	assert_int_equal(a.version, 20);
	assert_string_equal(a.server, "nginx");
	assert_int_equal(a.allow_origins, 2);
	assert_string_equal(a.allow_origin, "a, b");
	assert_int_equal(a.age_s, 12);
	assert_string_equal(a.cdn, "Cloudflare");
}

static void test_urls(void **state)
{
	struct target t;
	const char *advice;
	char url[TARGET_MAX];

	assert_true(target_read(
		&t, "https://a.example:8443/events/?channel=a&x=1&channel[]=b#c", &advice));
	assert_true(t.secure);
	target_drop_channels(&t);
	target_write(url, &t, "/more", "tail=1");
	assert_string_equal(url, "https://a.example:8443/events/more?x=1&tail=1");
	assert_true(target_read(&t, "http://127.0.0.1", &advice) && t.loopback);
	target_write(url, &t, "", "");
	assert_string_equal(url, "http://127.0.0.1/");
	assert_false(target_read(&t, "ftp://a/", &advice));
	assert_false(target_read(&t, "http://ann:secret@a/", &advice));
	assert_false(target_read(&t, "http:///x", &advice));
	assert_false(target_read(&t, "/events", &advice));
}

static void test_secrets_are_hidden(void **state)
{
	struct options o = {.headers = {"Authorization: Bearer abcdef123==",
				    "Cookie: session=zyxw9876; a=b", "X-Key:hidden-key"}};
	const char *advice;
	char text[256] =
		"got abcdef123== and zyxw9876 and hidden-key and tok-in-url. Bearer session";

	assert_true(target_read(&o.target, "http://a/events?access_token=tok-in-url", &advice));
	secret_hide(text, sizeof(text), &o);
	assert_string_equal(text, "got *** and *** and *** and ***. Bearer session");
}

static void test_rows_are_known_again(void **state)
{
	char text[MARK_MAX];
	bool same = false;

	mark_text(text, 3);
	assert_int_equal(mark_number(text, &same), 3);
	assert_true(same);
	text[strlen(text) - 1] = '?';
	assert_int_equal(mark_number(text, &same), 3);
	assert_false(same);
	assert_int_equal(mark_number("somebody's row", &same), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_endless_line_is_cut),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_secrets_are_hidden),
		cmocka_unit_test(test_rows_are_known_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
