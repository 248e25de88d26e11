/* links: base/json */
/* libs: -ljansson --for-linker --wrap --for-linker malloc */
/* JSON objects are flattened to texts with every digit, within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "no_memory.h"

static struct json_members members;
static struct json_problem problem;

/* Parses a copy and frees it before the checks. */
static int parse(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);
	int result;

	assert_non_null(copy);
	memcpy(copy, text, length);
	memset(&problem, 0x55, sizeof(problem));
	result = json_parse(&members, copy, length, &problem);
	free(copy);
	if (result != 0) {
		assert_null(members.memory);
		assert_int_equal(members.count, 0);
	}
	return result;
}

/* Writes the members as name:kind:text, with '-' before an element of an array. */
static void expect(const char *text, const char *flat)
{
	static const char kinds[] = {[JSON_KIND_STRING] = 's',
		[JSON_KIND_INTEGER] = 'i',
		[JSON_KIND_REAL] = 'r',
		[JSON_KIND_BOOLEAN] = 'b',
		[JSON_KIND_NULL] = 'n',
		[JSON_KIND_ARRAY] = 'a',
		[JSON_KIND_OBJECT] = 'o'};
	char got[512] = "";

	if (parse(text, strlen(text)) != 0)
		fail_msg("%s: %s", text, problem.reason);
	for (size_t i = 0; i < members.count; i++) {
		const struct json_value *v = &members.value[i];
		size_t used = strlen(got);

		assert_int_equal(strlen(v->text), v->length);
		snprintf(got + used, sizeof(got) - used, "%s%s%s:%c:%s", used ? " " : "",
			v->listed ? "-" : "", v->name, kinds[v->kind], v->text);
	}
	assert_string_equal(got, flat);
	json_free(&members);
}

/* The reason may be longer: jansson decides on the column. */
static void expect_refusal(const char *text, size_t length, const char *reason)
{
	if (parse(text, length) == 0)
		fail_msg("accepted: %s", text);
	assert_false(problem.no_memory);
	if (strncmp(problem.reason, reason, strlen(reason)) != 0)
		fail_msg("%s: %s, not %s", text, problem.reason, reason);
}

#define REFUSE(text, reason) expect_refusal(text, sizeof(text) - 1, reason)

static void test_members_come_in_order(void **state)
{
	expect("{}", "");
	expect(" \t\r\n{ } ", "");
	expect("{\"b\":\"1\",\"a\":2,\"\":true,\"d\":false,\"e\":null}",
		"b:s:1 a:i:2 :b:true d:b:false e:n:");
	expect("{\"r\":1.0,\"s\":1e2,\"t\":-0.5}", "r:r:1 s:r:100 t:r:-0.5");
}

static void test_arrays_and_objects(void **state)
{
	expect("{\"a\":[\"x\",2,true,null,[1],{\"y\":1},3.5],\"b\":[]}",
		"a:a: -a:s:x -a:i:2 -a:b:true -a:n: -a:a: -a:o: -a:r:3.5 b:a:");
	expect("{\"o\":{\"a\":1,\"b\":[\"]\"]},\"c\":\"}\"}", "o:o: c:s:}");
}

static void test_strings_are_decoded(void **state)
{
	expect("{\"a\":\"\\u00e4 \\ud83d\\udc3f \\\"\\\\\\/\\t\"}",
		"a:s:\303\244 \360\237\220\277 \"\\/\t");
	expect("{\"\\u0061\":\"\342\202\254\"}", "a:s:\342\202\254");
	expect("{\"a\":\"\\\\u0000\"}", "a:s:\\u0000");
	expect("{\"a\":\"\\\\\\\\\",\"b\":\"12345678901234567890\"}",
		"a:s:\\\\ b:s:12345678901234567890");
}

static void test_integers_keep_every_digit(void **state)
{
	expect("{\"a\":0,\"b\":-1,\"c\":123456789012345678}",
		"a:i:0 b:i:-1 c:i:123456789012345678");
	expect("{\"a\":9223372036854775807,\"b\":-9223372036854775808}",
		"a:i:9223372036854775807 b:i:-9223372036854775808");
	expect("{\"a\":9223372036854775808, \"b\":[18446744073709551616,-99999999999999999999]}",
		"a:i:9223372036854775808 b:a: -b:i:18446744073709551616"
		" -b:i:-99999999999999999999");
	expect("{\"a\":\"1234567890123456789012\",\"b\":1234567890123456789012}",
		"a:s:1234567890123456789012 b:i:1234567890123456789012");
	expect("{\"o\":{\"x\":12345678901234567890},\"a\":12345678901234567890123456789012345678901"
	       "234567890123456789012345678901234567890}",
		"o:o: a:i:1234567890123456789012345678901234567890123456789012345678901234567890123"
		"4567890");
	expect("{\"a\":12345678901234567890.5,\"b\":12345678901234567890e1}",
		"a:r:1.2345678901234567e+19 b:r:1.2345678901234568e+20");
}

static void test_malformed_json_with_long_numbers_is_refused(void **state)
{
	REFUSE("12345678901234567890", "it is not a JSON object: line 1, column ");
	REFUSE("[12345678901234567890]", "it is an array, not an object");
	REFUSE("{12345678901234567890:1}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":012345678901234567890}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":--12345678901234567890}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":1 12345678901234567890}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":tru12345678901234567890}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":12345678901234567890x}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":1e12345678901234567890}", "a number in it is too large");
}

static void test_long_integers_do_not_shift_error_columns(void **state)
{
	char reason[JSON_REASON_MAX];

	REFUSE("{\"a\":\"345678901234567890\", \"b\":01}",
		"it is not a JSON object: line 1, column ");
	memcpy(reason, problem.reason, sizeof(reason));
	REFUSE("{\"a\":12345678901234567890, \"b\":01}", reason);
}

static void test_non_objects_are_refused(void **state)
{
	REFUSE("", "it ends too early");
	REFUSE("null", "it is not a JSON object: line 1, column ");
	REFUSE("\"a\"", "it is not a JSON object: line 1, column ");
	REFUSE("[]", "it is an array, not an object");
	REFUSE("{\"a\":1", "it ends too early");
	REFUSE("{\n\"a\":'1'}", "it is not a JSON object: line 2, column ");
	REFUSE("{} {}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":1,}", "it is not a JSON object: line 1, column ");
	REFUSE("channel=a", "it is not a JSON object: line 1, column ");
	REFUSE("\xef\xbb\xbf{}", "it is not a JSON object: line 1, column ");
	REFUSE("]]{}", "it is not a JSON object: line 1, column ");
	REFUSE("{}\0", "it is not a JSON object: line 1, column ");
}

static void test_hostile_documents(void **state)
{
	REFUSE("{\"a\":1,\"b\":2,\"a\":3}", "an object has two members of the same name");
	REFUSE("{\"a\":1,\"\\u0061\":3}", "an object has two members of the same name");
	REFUSE("{\"o\":{\"a\":1,\"a\":3}}", "an object has two members of the same name");
	REFUSE("{\"a\":\"x\\u0000y\"}", "a string holds a NUL character");
	REFUSE("{\"a\":\"\\\\\\u0000\"}", "a string holds a NUL character");
	REFUSE("{\"a\":\"\\u000000000000012345\"}", "a string holds a NUL character");
	REFUSE("{\"a\\u0000\":1}", "a string holds a NUL character");
	REFUSE("{\"o\":[[{\"\\u0000\":1}]]}", "a string holds a NUL character");
	REFUSE("{\"a\":\"x\0y\"}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":\"\xff\"}", "it is not UTF-8");
	REFUSE("{\"a\":\"\xed\xa0\x80\"}", "it is not UTF-8");
	REFUSE("{\"a\":\"\\ud800\"}", "it is not a JSON object: line 1, column ");
	REFUSE("{\"a\":1e999}", "a number in it is too large");
}

/* An object with `depth` - 1 arrays within each other in it. */
static char *nested(size_t depth)
{
	size_t arrays = depth - 1, length = arrays * 2 + 6;
	char *text = malloc(length + 1);

	assert_non_null(text);
	memcpy(text, "{\"a\":", 5);
	memset(text + 5, '[', arrays);
	memset(text + 5 + arrays, ']', arrays);
	memcpy(text + length - 1, "}", 2);
	return text;
}

static void test_depth(void **state)
{
	char *deepest = nested(JSON_DEPTH_MAX), *deeper = nested(JSON_DEPTH_MAX + 1);
	char *abyss = nested(30000);

	expect(deepest, "a:a: -a:a:");
	expect_refusal(deeper, strlen(deeper), "it is nested too deep");
	expect_refusal(abyss, strlen(abyss), "it is nested too deep");
	expect("{\"a\":\"[[[[[[[[[[[[[[[[[\\\"{{{{\",\"b\":[[],[],[],[],[],[],[],[],[],[],[],[]]}",
		"a:s:[[[[[[[[[[[[[[[[[\"{{{{ b:a: -b:a: -b:a: -b:a: -b:a: -b:a: -b:a: -b:a: -b:a:"
		" -b:a: -b:a: -b:a: -b:a:");
	free(deepest);
	free(deeper);
	free(abyss);
}

/* {"a":[1,1,…,1]} with so many commas. */
static char *list_of(size_t commas)
{
	size_t at = 6, length = at + commas * 2 + 3;
	char *text = malloc(length + 1);

	assert_non_null(text);
	memcpy(text, "{\"a\":[", at);
	for (size_t i = 0; i < commas; i++, at += 2)
		memcpy(text + at, "1,", 2);
	memcpy(text + at, "1]}", 4);
	return text;
}

static void test_number_of_values(void **state)
{
	char *full = list_of(JSON_COMMAS_MAX), *over = list_of(JSON_COMMAS_MAX + 1);

	assert_int_equal(parse(full, strlen(full)), 0);
	assert_int_equal(members.count, JSON_COMMAS_MAX + 2);
	assert_string_equal(members.value[JSON_COMMAS_MAX + 1].text, "1");
	json_free(&members);
	expect_refusal(over, strlen(over), "it holds too many values");
	free(full);
	free(over);
}

static const char rich[] = "{\"a\":[\"x\\u00e4\",12345678901234567890,null], \"b\":-1.5e+3,\n"
			   "\"c\":{\"d\":[true,false]},\"e\":9007199254740993}";

static void test_every_cut_is_refused(void **state)
{
	for (size_t length = 0; length < sizeof(rich) - 1; length++)
		if (parse(rich, length) == 0)
			fail_msg("accepted the first %zu bytes", length);
	assert_int_equal(parse(rich, sizeof(rich) - 1), 0);
	json_free(&members);
}

static void test_every_changed_byte_is_handled(void **state)
{
	static const char changes[] = "\0\"\\{}[]:,0-9eE.u \xff\xc3\xa4";
	char text[sizeof(rich)];

	for (size_t at = 0; at < sizeof(rich) - 1; at++) {
		for (size_t change = 0; change < sizeof(changes); change++) {
			memcpy(text, rich, sizeof(rich));
			text[at] = changes[change];
			if (parse(text, sizeof(rich) - 1) != 0)
				assert_in_range(strlen(problem.reason), 1, JSON_REASON_MAX - 1);
			json_free(&members);
		}
	}
}

static void test_out_of_memory_is_reported_as_such(void **state)
{
	bool failed = true;
	long good;

	for (good = 0; failed; good++) {
		int result;

		allow_allocations(good);
		result = json_parse(&members, rich, sizeof(rich) - 1, &problem);
		failed = allow_all_allocations();
		assert_int_equal(result, failed ? -1 : 0);
		if (failed)
			assert_true(problem.no_memory);
		json_free(&members);
	}
	assert_true(good > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members_come_in_order),
		cmocka_unit_test(test_arrays_and_objects),
		cmocka_unit_test(test_strings_are_decoded),
		cmocka_unit_test(test_integers_keep_every_digit),
		cmocka_unit_test(test_malformed_json_with_long_numbers_is_refused),
		cmocka_unit_test(test_long_integers_do_not_shift_error_columns),
		cmocka_unit_test(test_non_objects_are_refused),
		cmocka_unit_test(test_hostile_documents),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_number_of_values),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_every_changed_byte_is_handled),
		cmocka_unit_test(test_out_of_memory_is_reported_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
