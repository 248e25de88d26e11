/* links: stream/poll protocol/wire log/gap log/row base/buffer base/utf8 */
/* The text of a JSON answer, and when it is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/poll.h"

static struct poll *poll_that(int64_t limit, int64_t before)
{
	struct poll *p = poll_new(&(struct poll_ask){.limit = limit, .before = before});
	struct buffer head, later;

	assert_non_null(p);
	buffer_init(&head, 64);
	buffer_init(&later, 64);
	buffer_text(&head, "head\n");
	buffer_text(&later, "later\n");
	assert_true(poll_set_texts(&p, &head, &later));
	buffer_free(&head);
	buffer_free(&later);
	return p;
}

static void add(struct poll *p, const char *object)
{
	assert_true(poll_add(p, (const uint8_t *)object, strlen(object)));
}

/* An object of so many bytes, which begins with its number. */
static void add_large(struct poll *p, int number, size_t length)
{
	char *object = malloc(length + 1);

	assert_non_null(object);
	memset(object, ' ', length);
	object[0] = (char)('0' + number);
	assert_true(poll_add(p, (const uint8_t *)object, length));
	free(object);
}

static void expect_answer(const struct poll *p, int64_t position, bool more, const char *expected)
{
	struct buffer out;

	buffer_init(&out, 1 << 20);
	poll_write(p, &out, position, more, false);
	assert_false(out.failed);
	buffer_append(&out, "", 1);
	assert_string_equal((const char *)out.data, expected);
	buffer_free(&out);
}

static void test_answer_without_rows(void **state)
{
	struct poll *p = poll_that(10, -1);

	expect_answer(p, 0, false,
		"head\n{\"position\":0,\"more\":false,\"end\":false,\"gap\":null,\"events\":[]}\n");
	assert_memory_equal(poll_later(p), "later\n", 6);
	poll_free(p);
}

static void test_answer_with_rows(void **state)
{
	struct poll *p = poll_that(10, -1);

	add(p, "{\"id\":1}");
	add(p, "{\"id\":2}");
	expect_answer(p, 2, true,
		"head\n{\"position\":2,\"more\":true,\"end\":false,\"gap\":null,"
		"\"events\":[{\"id\":1},{\"id\":2}]}\n");
	poll_free(p);
}

static void test_head_is_written_once(void **state)
{
	struct poll *p = poll_that(10, -1);

	p = poll_shrink(p);
	p->head_sent = true;
	expect_answer(p, 7, false,
		"{\"position\":7,\"more\":false,\"end\":false,\"gap\":null,\"events\":[]}\n");
	poll_free(p);
}

static void test_one_gap(void **state)
{
	struct poll *p = poll_that(10, -1);
	struct eventlog_bounds bounds = {.oldest = 3, .newest = 9};

	add(p, "{\"id\":1}");
	assert_true(poll_set_gap(p, "1", &bounds, GAP_PRUNED));
	assert_true(poll_set_gap(p, "\"a", &bounds, GAP_MALFORMED));
	poll_forget_rows(p);
	expect_answer(p, 9, false,
		"head\n{\"position\":9,\"more\":false,\"end\":false,\"gap\":{\"requested\":"
		"\"\\\"a\","
		"\"oldest\":3,\"newest\":9,\"reason\":\"malformed\"},\"events\":[]}\n");
	poll_free(p);
}

static void test_limit_makes_it_full(void **state)
{
	struct poll *p = poll_that(2, -1);

	assert_false(poll_is_full(p));
	add(p, "1");
	assert_false(poll_is_full(p));
	add(p, "2");
	assert_true(poll_is_full(p));
	poll_free(p);
}

static void test_bytes_make_it_full(void **state)
{
	struct poll *p = poll_that(POLL_ROWS_MAX, -1);

	add_large(p, 1, POLL_BYTES / 2);
	assert_false(poll_is_full(p));
	add_large(p, 2, POLL_BYTES);
	assert_true(poll_is_full(p));
	poll_free(p);
}

/* A page of older rows keeps the newest. */
static void test_page_loses_its_oldest_rows(void **state)
{
	struct poll *p = poll_that(9, 100);

	for (int i = 1; i <= 9; i++) {
		assert_false(poll_is_full(p));
		add_large(p, i, POLL_BYTES / 3);
	}
	assert_true(poll_is_full(p));
	assert_true(p->older);
	assert_int_equal(p->count, 2);
	assert_int_equal(p->rows.data[p->start], '8');
	poll_free(p);
	p = poll_that(3, 100);
	assert_int_equal(poll_overflows(p), 0);
	add_large(p, 1, 10);
	add_large(p, 2, POLL_BYTES * 2);
	assert_int_equal(p->count, 1);
	assert_int_equal(p->rows.data[p->start], '2');
	poll_free(p);
}

/* A large page begins again with fewer rows, instead of reading many in vain. */
static void test_page_overflows(void **state)
{
	struct poll *p = poll_that(100, 1000);

	add_large(p, 1, POLL_BYTES);
	assert_int_equal(poll_overflows(p), 0);
	add_large(p, 2, POLL_BYTES);
	assert_int_equal(poll_overflows(p), 49);
	poll_free(p);
	p = poll_that(2 + POLL_ROWS_DROPPED, 1000);
	add_large(p, 1, POLL_BYTES);
	add_large(p, 2, POLL_BYTES);
	assert_int_equal(poll_overflows(p), 0);
	poll_free(p);
}

static void test_large_rows_come_alone(void **state)
{
	struct poll *p = poll_that(10, -1);

	assert_true(poll_has_room(p, POLL_BYTES_ALONE));
	add(p, "{}");
	assert_true(poll_has_room(p, POLL_BYTES_ALONE - 1));
	assert_false(poll_has_room(p, POLL_BYTES_ALONE));
	poll_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_without_rows),
		cmocka_unit_test(test_answer_with_rows),
		cmocka_unit_test(test_head_is_written_once),
		cmocka_unit_test(test_one_gap),
		cmocka_unit_test(test_limit_makes_it_full),
		cmocka_unit_test(test_bytes_make_it_full),
		cmocka_unit_test(test_page_loses_its_oldest_rows),
		cmocka_unit_test(test_page_overflows),
		cmocka_unit_test(test_large_rows_come_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
