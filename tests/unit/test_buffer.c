/* links: base/buffer */
/* libs: --for-linker --wrap --for-linker realloc */
/* Bytes that grow up to a maximum; what does not fit, or gets no memory, changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

static long growths_left = 1000000;

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_realloc(void *old, size_t size)
{
	return growths_left-- > 0 ? __real_realloc(old, size) : NULL;
}

static void test_new_buffer_allocates_nothing(void **state)
{
	struct buffer b;

	growths_left = 0;
	buffer_init(&b, 10);
	assert_null(b.data);
	assert_int_equal(b.length, 0);
	assert_false(b.failed);
	growths_left = 1000000;
	buffer_free(&b);
}

static void test_appended_bytes_are_stored(void **state)
{
	static char wanted[40000];
	struct buffer b;
	size_t length = 0;

	buffer_init(&b, sizeof(wanted));
	for (size_t n = 0; length + n + 40 < sizeof(wanted); n += 7) {
		memset(wanted + length, 'a' + (int)(n % 26), n);
		assert_true(buffer_append(&b, wanted + length, n));
		length += n;
		assert_true(buffer_text(&b, "text"));
		assert_true(buffer_printf(&b, "%zu,%s", n, ""));
		length += (size_t)snprintf(wanted + length, 40, "text%zu,", n);
		assert_int_equal(b.length, length);
	}
	assert_memory_equal(b.data, wanted, length);
	assert_false(b.failed);
	buffer_free(&b);
	assert_null(b.data);
	assert_int_equal(b.length, 0);
}

/* Up to the maximum and not one byte more, from every previous length. */
static void test_the_maximum(void **state)
{
	static const char bytes[700];

	for (size_t before = 0; before <= 600; before += 37) {
		struct buffer b;

		buffer_init(&b, 600);
		assert_true(buffer_append(&b, bytes, before));
		assert_false(buffer_append(&b, bytes, 600 - before + 1));
		assert_true(b.failed);
		assert_int_equal(b.length, before);
		/* It stays set, though this fits. */
		assert_true(buffer_append(&b, bytes, 600 - before));
		assert_true(b.failed);
		assert_int_equal(b.length, 600);
		buffer_clear(&b);
		assert_false(b.failed);
		assert_int_equal(b.length, 0);
		assert_true(buffer_append(&b, bytes, 600));
		buffer_free(&b);
		/* The maximum stays. */
		assert_false(buffer_append(&b, bytes, 601));
		buffer_free(&b);
	}
}

static void test_absurd_lengths_do_not_fit(void **state)
{
	struct buffer b;

	buffer_init(&b, 600);
	buffer_text(&b, "x");
	assert_null(buffer_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
	buffer_clear(&b);
	assert_null(buffer_reserve(&b, SIZE_MAX - 1));
	assert_true(b.failed);
	buffer_free(&b);
}

static void test_reserved_bytes_are_writable(void **state)
{
	struct buffer b;
	uint8_t *room;

	buffer_init(&b, 5000);
	buffer_text(&b, "head");
	for (size_t more = 0; more + b.length < 5000; more += 61) {
		assert_non_null(room = buffer_reserve(&b, more));
		memset(room, 'r', more);
		assert_ptr_equal(room, b.data + b.length);
		b.length += more;
	}
	assert_memory_equal(b.data, "headr", 5);
	assert_int_equal(b.data[b.length - 1], 'r');
	buffer_free(&b);
}

static void test_appending_nothing_changes_nothing(void **state)
{
	struct buffer b;

	buffer_init(&b, 0);
	assert_true(buffer_append(&b, NULL, 0));
	assert_true(buffer_text(&b, ""));
	assert_int_equal(b.length, 0);
	assert_false(buffer_text(&b, "x"));
	buffer_free(&b);
}

static bool append_some(struct buffer *b, int kind)
{
	static const char bytes[1000];

	if (kind == 0)
		return buffer_append(b, bytes, sizeof(bytes));
	if (kind == 1)
		return buffer_printf(b, "%1000d", 7);
	return buffer_reserve(b, 1000) != NULL;
}

static void test_out_of_memory_leaves_the_buffer_unchanged(void **state)
{
	for (int kind = 0; kind < 3; kind++)
		for (long good = 0; good < 2; good++) {
			struct buffer b;

			buffer_init(&b, 100000);
			growths_left = good;
			assert_int_equal(buffer_text(&b, "before"), good == 1);
			assert_false(append_some(&b, kind));
			growths_left = 1000000;
			assert_true(b.failed);
			assert_int_equal(b.length, good ? 6 : 0);
			if (good)
				assert_memory_equal(b.data, "before", 6);
			buffer_clear(&b);
			assert_true(append_some(&b, kind));
			assert_false(b.failed);
			buffer_free(&b);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_buffer_allocates_nothing),
		cmocka_unit_test(test_appended_bytes_are_stored),
		cmocka_unit_test(test_the_maximum),
		cmocka_unit_test(test_absurd_lengths_do_not_fit),
		cmocka_unit_test(test_reserved_bytes_are_writable),
		cmocka_unit_test(test_appending_nothing_changes_nothing),
		cmocka_unit_test(test_out_of_memory_leaves_the_buffer_unchanged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
