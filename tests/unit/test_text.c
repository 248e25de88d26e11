/* links: base/text base/utf8 */
/* Client input is parsed strictly, and quoted safely. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void test_digits(void **state)
{
	static const struct {
		const char *text;
		enum text_digits digits;
		int64_t number;
	} cases[] = {
		{"0", TEXT_NUMBER, 0}, {"007", TEXT_NUMBER, 7},
		{"9223372036854775807", TEXT_NUMBER, INT64_MAX},
		{"00000000000000000000000000009223372036854775807", TEXT_NUMBER, INT64_MAX},
		{"9223372036854775808", TEXT_BEYOND, 0}, {"18446744073709551617", TEXT_BEYOND, 0},
		{"92233720368547758070", TEXT_BEYOND, 0},
		{"99999999999999999999999999999999999999999999", TEXT_BEYOND, 0},
		{"", TEXT_NONE, 0}, {"-1", TEXT_NONE, 0}, {"+1", TEXT_NONE, 0},
		{" 1", TEXT_NONE, 0}, {"1 ", TEXT_NONE, 0}, {"1.0", TEXT_NONE, 0},
		{"0x10", TEXT_NONE, 0}, {"99999999999999999999999x", TEXT_NONE, 0},
		{"\331\241", TEXT_NONE, 0}, /* ARABIC-INDIC DIGIT ONE */
	};
	int64_t number;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t length = strlen(cases[i].text);

		assert_int_equal(text_digits(cases[i].text, length, &number), cases[i].digits);
		if (cases[i].digits == TEXT_NUMBER)
			assert_int_equal(number, cases[i].number);
	}
	assert_int_equal(text_digits("12\0", 3, &number), TEXT_NONE);
	assert_int_equal(text_digits("1234", 2, &number), TEXT_NUMBER);
	assert_int_equal(number, 12);
}

static void test_harmless_keeps_text(void **state)
{
	const char *text = "a \303\244 \342\202\254 \360\237\220\277";
	char to[32];

	assert_int_equal(
		text_harmless(to, sizeof(to) - 1, text, strlen(text), false), strlen(text));
	assert_string_equal(to, text);
}

static void test_harmless_replaces_non_text(void **state)
{
	static const char text[] = "\x1b[2J\0\r\n\x7f\302\205|\xff\xc3";
	char to[64];

	text_harmless(to, sizeof(to) - 1, text, sizeof(text) - 1, false);
	assert_string_equal(to, "�[2J�����|��");
	text_harmless(to, sizeof(to) - 1, text, sizeof(text) - 1, true);
	assert_string_equal(to, "\x1b[2J�\r\n\x7f\302\205|��");
}

/* At every size, the copy is a prefix, ends with a complete character, and fits. */
static void test_harmless_truncates_between_characters(void **state)
{
	const char *text = "x\303\244\342\202\254\360\237\220\277\xfez";
	const size_t ends[] = {0, 1, 3, 6, 10, 13, 14}, taken[] = {0, 1, 3, 6, 10, 11, 12};
	size_t n = 0;

	for (size_t max = 0; max <= 14; max++) {
		char *to = malloc(max + 1);

		assert_non_null(to);
		if (n < 6 && max >= ends[n + 1])
			n++;
		assert_int_equal(text_harmless(to, max, text, strlen(text), false), taken[n]);
		assert_int_equal(strlen(to), ends[n]);
		free(to);
	}
}

static void test_quote(void **state)
{
	struct text_quote q;
	char text[50];

	memset(text, 'a', sizeof(text));
	assert_string_equal(text_quote(&q, text, 0), "");
	assert_string_equal(text_quote(&q, text, 40), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	assert_string_equal(text_quote(&q, text, 41), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…");
	memcpy(text + 38, "\342\202\254", 3);
	assert_string_equal(text_quote(&q, text, 50), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…");
	memset(text, '\n', sizeof(text));
	assert_string_equal(text_quote(&q, text, 50), "�������������…");
}

/* A web server that processes templates finds no command in a quote. */
static void test_quote_of_a_command(void **state)
{
	struct text_quote q;
	const char *text = "{{env \"X\"}} <!--#exec-->";
	char many[50];

	assert_string_equal(
		text_quote(&q, text, strlen(text)), "\\x7b\\x7benv \"X\"}} \\x3c!--#exec-->");
	memset(many, '{', sizeof(many));
	assert_string_equal(
		text_quote(&q, many, 10), "\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b");
	assert_string_equal(
		text_quote(&q, many, 11), "\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b…");
	assert_string_equal(
		text_quote(&q, many, 50), "\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b\\x7b…");
}

static bool is_json(const char *text)
{
	return text_is_media_type(text, strlen(text), "application/json");
}

static void test_media_types(void **state)
{
	assert_true(is_json("application/json"));
	assert_true(is_json("Application/JSON"));
	assert_true(is_json("application/json;charset=utf-8"));
	assert_true(is_json(" application/json ; charset=\"x, y\""));
	assert_false(is_json(""));
	assert_false(is_json("application/jso"));
	assert_false(is_json("application/jsonp"));
	assert_false(is_json("application/json+x"));
	assert_false(is_json("text/plain; application/json"));
	assert_true(text_is_media_type("application/jsonp", 16, "application/json"));
}

static void test_accept(void **state)
{
	static const char *const good[] = {
		"text/event-stream",
		"TEXT/Event-Stream",
		"text/event-stream, */*;q=0.1",
		"text/html,application/json;q=0.9 ,\ttext/event-stream;q=0.5",
		"text/event-stream;q=1.000",
		"text/event-stream; Q=0.001",
		"text/event-stream;charset=utf-8",
		"text/event-stream;q=0, text/event-stream",
		"text/event-stream;q=",
	};
	static const char *const bad[] = {
		"",
		"*/*",
		"text/*",
		"application/json",
		"text/event-streams",
		"text/event-stream;q=0",
		"text/event-stream;q=0.0;x=1",
		"text/event-stream; charset=utf-8; q=0.000",
		"text/event-stream ;q=0. , text/html",
		"text/html;x=text/event-stream",
		",,",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!text_accepts(good[i], "text/event-stream"))
			fail_msg("refuses %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (text_accepts(bad[i], "text/event-stream"))
			fail_msg("accepts %s", bad[i]);
}

static void test_shell_words(void **state)
{
	static const char *const words[] = {"/var/lib/rowtail/events.db", "", "it's", "a b",
		"$HOME", "`id`", "\\", "\"", "*", "'", "''", "a\nb", "~", "#", "é"};
	char out[64], command[80], read_back[64];

	assert_string_equal(text_shell(out, sizeof(out), words[0]), words[0]);
	assert_string_equal(text_shell(out, sizeof(out), ""), "''");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		FILE *shell;
		size_t length;

		snprintf(command, sizeof(command), "printf %%s %s",
			text_shell(out, sizeof(out), words[i]));
		shell = popen(command, "r");
		assert_non_null(shell);
		length = fread(read_back, 1, sizeof(read_back) - 1, shell);
		read_back[length] = '\0';
		assert_int_equal(pclose(shell), 0);
		assert_string_equal(read_back, words[i]);
	}
	assert_string_equal(text_shell(out, 8, "it's too long"), "");
	assert_string_equal(text_shell(out, 4, "plain"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digits),
		cmocka_unit_test(test_harmless_keeps_text),
		cmocka_unit_test(test_harmless_replaces_non_text),
		cmocka_unit_test(test_harmless_truncates_between_characters),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_quote_of_a_command),
		cmocka_unit_test(test_media_types),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_shell_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
