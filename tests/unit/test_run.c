/* links: stream/run */
/* Records in one vectored write: every number of bytes that a socket may have taken. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/run.h"

enum { MEMORY = 4096 };

static struct run run;
static uint8_t memory[MEMORY];
static uint8_t joined[MEMORY]; /* the records' bytes, one after another */
static size_t joined_length;

static void add(int64_t id, size_t at, size_t length)
{
	assert_false(run_is_full(&run));
	run_add(&run,
		&(struct run_record){.id = id, .bytes = memory + at, .length = (uint32_t)length});
	memcpy(joined + joined_length, memory + at, length);
	joined_length += length;
}

static int set_up(void **state)
{
	srandom(3);
	for (size_t i = 0; i < MEMORY; i++)
		memory[i] = (uint8_t)random();
	memset(&run, 0x55, sizeof(run));
	run_clear(&run);
	joined_length = 0;
	return 0;
}

/* What a write of the pieces would send. */
static void expect_joined(void)
{
	size_t at = 0;

	for (int i = 0; i < run.piece_count; i++) {
		assert_true(at + run.pieces[i].iov_len <= joined_length);
		assert_memory_equal(run.pieces[i].iov_base, joined + at, run.pieces[i].iov_len);
		at += run.pieces[i].iov_len;
	}
	assert_int_equal(at, joined_length);
	assert_int_equal(run.total, joined_length);
}

/* For `sent` bytes: the complete records, and the bytes of the next. */
static void expect_whole(size_t sent)
{
	size_t whole = 0, left = sent;
	uint32_t cut;

	while (whole < run.count && left >= run.records[whole].length)
		left -= run.records[whole++].length;
	assert_int_equal(run_whole(&run, sent, &cut), whole);
	assert_int_equal(cut, left);
}

static void test_empty_run(void **state)
{
	uint32_t cut = 1;

	assert_false(run_is_full(&run));
	assert_int_equal(run_whole(&run, 0, &cut), 0);
	assert_int_equal(cut, 0);
	expect_joined();
}

static void test_adjacent_bytes_are_one_piece(void **state)
{
	add(1, 0, 10);
	add(2, 10, 20);
	add(4, 30, 1);
	assert_int_equal(run.piece_count, 1);
	expect_joined();
	add(5, 32, 5); /* one byte further */
	assert_int_equal(run.piece_count, 2);
	add(6, 30, 2); /* before, not behind */
	assert_int_equal(run.piece_count, 3);
	expect_joined();
}

static void test_every_partial_write(void **state)
{
	for (int round = 0; round < 50; round++) {
		size_t at = 0;

		run_clear(&run);
		joined_length = 0;
		for (int64_t id = 1; at < 300; id++) {
			size_t length = 1 + (size_t)random() % 40;

			add(id, at, length);
			at += length + (random() % 2 ? 0 : 3);
		}
		expect_joined();
		for (size_t sent = 0; sent <= run.total; sent++)
			expect_whole(sent);
	}
}

static void test_full_of_records(void **state)
{
	for (int64_t id = 1; id <= RUN_RECORDS; id++)
		add(id, (size_t)id * 2, 1);
	assert_true(run_is_full(&run));
	/* One writev(2) takes them all. */
	assert_true(run.piece_count <= IOV_MAX);
	expect_joined();
	run_clear(&run);
	joined_length = 0;
	assert_false(run_is_full(&run));
	add(1, 0, 5);
	expect_joined();
	expect_whole(2);
}

static void test_full_of_bytes(void **state)
{
	static uint8_t large[RUN_BYTES + 1];
	struct run_record record = {.id = 1, .bytes = large, .length = RUN_BYTES - 1};

	run_add(&run, &record);
	assert_false(run_is_full(&run));
	record.length = 1;
	run_add(&run, &record);
	assert_true(run_is_full(&run));
	run_clear(&run);
	record.length = RUN_BYTES + 1;
	run_add(&run, &record);
	assert_true(run_is_full(&run));
	expect_whole(RUN_BYTES);
	expect_whole(RUN_BYTES + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty_run, set_up),
		cmocka_unit_test_setup(test_adjacent_bytes_are_one_piece, set_up),
		cmocka_unit_test_setup(test_every_partial_write, set_up),
		cmocka_unit_test_setup(test_full_of_records, set_up),
		cmocka_unit_test_setup(test_full_of_bytes, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
