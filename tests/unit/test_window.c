/* links: stream/window */
/* libs: --for-linker --wrap --for-linker malloc */
/*
 * The window against a model: a plain array of all rows. Whatever is evicted, the newest rows
 * remain unchanged, and a cursor inside finds exactly those above it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "no_memory.h"
#include "stream/window.h"

enum { BYTES = 1000, ENTRIES = 8, ROWS = 4000 };

struct row {
	int64_t id;
	uint8_t *bytes;
	uint32_t length;
	char channel[24];
	char event[24]; /* empty: none */
};

static struct {
	struct window *window;
	struct row rows[ROWS]; /* all that were ever appended */
	size_t count;
	size_t gone; /* rows removed by a reset or a failure: they must not appear again */
	int64_t last;
	uint64_t next;
} model;

static int set_up(void **state)
{
	srandom(20);
	memset(&model, 0, sizeof(model));
	model.window = window_new(BYTES, ENTRIES);
	assert_non_null(model.window);
	window_reset(model.window, 0);
	return 0;
}

static int tear_down(void **state)
{
	allow_all_allocations();
	window_free(model.window);
	for (size_t i = 0; i < model.count; i++)
		free(model.rows[i].bytes);
	return 0;
}

static size_t below(size_t limit)
{
	return (size_t)random() % limit;
}

static struct row *make_row(size_t length)
{
	struct row *row = &model.rows[model.count];

	assert_true(model.count < ROWS);
	row->id = model.last + 1 + (int64_t)below(3);
	row->length = (uint32_t)length;
	row->bytes = malloc(length);
	for (size_t i = 0; i < length; i++)
		row->bytes[i] = (uint8_t)random();
	snprintf(row->channel, sizeof(row->channel), "c%.*s", (int)below(20),
		"abcdefghijklmnopqrstu");
	snprintf(row->event, sizeof(row->event), "%.*s", (int)below(20), "ABCDEFGHIJKLMNOPQRSTU");
	return row;
}

/* Appends from copies that are then freed. */
static bool append(const struct row *row)
{
	struct row copy = *row;
	struct window_entry entry = {.id = row->id,
		.length = row->length,
		.content = row->length / 2,
		.channel = copy.channel,
		.event = *copy.event ? copy.event : NULL,
		.channel_length = (uint16_t)strlen(copy.channel),
		.event_length = (uint16_t)strlen(copy.event)};
	bool done;

	entry.bytes = copy.bytes = malloc(row->length);
	memcpy(copy.bytes, row->bytes, row->length);
	done = window_append(model.window, &entry);
	memset(copy.bytes, 0xee, row->length);
	free(copy.bytes);
	memset(&copy, 0xee, sizeof(copy));
	return done;
}

static void push(size_t length)
{
	struct row *row = make_row(length);

	assert_true(append(row));
	model.count++;
	model.next++;
	model.last = row->id;
}

static void expect_entry(const struct window_entry *e, const struct row *row)
{
	assert_int_equal(e->id, row->id);
	assert_int_equal(e->length, row->length);
	assert_int_equal(e->content, row->length / 2);
	assert_memory_equal(e->bytes, row->bytes, row->length);
	assert_int_equal(e->hash, window_hash(row->bytes, row->length));
	assert_int_equal(e->channel_length, strlen(row->channel));
	assert_memory_equal(e->channel, row->channel, e->channel_length);
	if (!*row->event) {
		assert_null(e->event);
		return;
	}
	assert_int_equal(e->event_length, strlen(row->event));
	assert_memory_equal(e->event, row->event, e->event_length);
}

/* A cursor: below the base it replays; inside, it continues at the first row above it. */
static void expect_found(int64_t cursor, size_t kept)
{
	uint64_t sequence;
	bool inside = window_find(model.window, cursor, &sequence);

	assert_int_equal(inside, cursor >= window_base(model.window));
	if (!inside)
		return;
	while (kept < model.count && model.rows[kept].id <= cursor)
		kept++;
	assert_int_equal(window_next(model.window) - sequence, model.count - kept);
}

/* The window contains the newest rows of the model, and all rows after the base. */
static void expect_window(void)
{
	const struct window *w = model.window;
	size_t kept = model.count - (size_t)(window_next(w) - window_first(w));

	assert_int_equal(window_next(w), model.next);
	assert_true(window_next(w) - window_first(w) <= ENTRIES);
	assert_true(kept >= model.gone && kept <= model.count);
	assert_int_equal(window_last(w), model.last);
	for (size_t i = kept; i < model.count; i++)
		expect_entry(window_at(w, window_first(w) + (i - kept)), &model.rows[i]);
	if (kept > 0)
		assert_true(window_base(w) >= model.rows[kept - 1].id);
	if (kept < model.count)
		assert_true(window_base(w) < model.rows[kept].id);
	for (int64_t cursor = window_base(w) - 3; cursor <= model.last + 2; cursor++)
		expect_found(cursor, kept);
}

static void test_new_window_is_empty(void **state)
{
	uint64_t sequence;

	assert_int_equal(window_first(model.window), window_next(model.window));
	assert_true(window_find(model.window, 0, &sequence));
	assert_int_equal(sequence, window_next(model.window));
	window_reset(model.window, 7);
	assert_int_equal(window_base(model.window), 7);
	assert_int_equal(window_last(model.window), 7);
	assert_false(window_find(model.window, 6, &sequence));
	assert_true(window_find(model.window, 7, &sequence));
}

static void test_entries_push_out_the_oldest(void **state)
{
	for (int i = 0; i < 3 * ENTRIES; i++) {
		push(1);
		expect_window();
		/* Nothing is evicted too early. */
		assert_int_equal(window_next(model.window) - window_first(model.window),
			i < ENTRIES ? i + 1 : ENTRIES);
	}
}

static void test_bytes_push_out_the_oldest(void **state)
{
	size_t held = 0;

	for (int i = 0; i < 100; i++) {
		push(BYTES / 4);
		expect_window();
		held = (size_t)(window_next(model.window) - window_first(model.window));
		assert_int_equal(held, i < 4 ? i + 1 : 4);
	}
}

/* A record larger than the window is its only one. */
static void test_large_record_replaces_all_others(void **state)
{
	static const size_t sizes[] = {BYTES - 1, BYTES, BYTES + 1, 10 * BYTES, 200 * BYTES};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		push(3);
		push(sizes[i]);
		expect_window();
		assert_int_equal(
			window_at(model.window, window_next(model.window) - 1)->length, sizes[i]);
		push(5);
		expect_window();
	}
	push(2 * BYTES);
	push(2 * BYTES);
	expect_window();
	assert_int_equal(window_next(model.window) - window_first(model.window), 1);
}

static void advance(void)
{
	int64_t to = model.last + (int64_t)below(8) - 3;

	window_advance(model.window, to);
	if (to > model.last)
		model.last = to;
}

static void reset(void)
{
	int64_t base = model.last + (int64_t)below(5);

	window_reset(model.window, base);
	assert_int_equal(window_base(model.window), base);
	model.last = base;
	model.gone = model.count;
}

static void test_random_operations(void **state)
{
	for (int i = 0; i < ROWS - 1; i++) {
		size_t die = below(100);

		if (die < 2)
			reset();
		else if (die < 10)
			advance();
		else if (die < 13)
			push(1 + below(3 * BYTES));
		else if (die < 50)
			push(1 + below(BYTES / 2 + 2));
		else
			push(1 + below(BYTES / 8));
		expect_window();
	}
}

/* Without memory, readers replay the row: the window neither contains nor covers it. */
static void test_no_memory_for_a_large_record(void **state)
{
	struct row *row;
	uint64_t sequence;

	push(10);
	push(10);
	row = make_row(5 * BYTES);
	/* The copies that append() makes are the test's own first allocation. */
	allow_allocations(1);
	assert_false(append(row));
	assert_true(allow_all_allocations());
	free(row->bytes);
	row->bytes = NULL;
	model.last = row->id;
	model.gone = model.count;
	assert_int_equal(window_first(model.window), window_next(model.window));
	assert_false(window_find(model.window, row->id - 1, &sequence));
	assert_true(window_find(model.window, row->id, &sequence));
	push(10);
	expect_window();
}

static void test_no_memory_for_a_window(void **state)
{
	bool failed = true;

	for (long good = 0; failed; good++) {
		struct window *w;

		allow_allocations(good);
		w = window_new(BYTES, ENTRIES);
		failed = allow_all_allocations();
		assert_int_equal(w == NULL, failed);
		window_free(w);
	}
	window_free(NULL);
}

/* A view may give a row any channel. */
static void test_long_names_are_not_kept(void **state)
{
	static char name[UINT16_MAX];
	struct window_entry entry = {.id = 9,
		.bytes = (const uint8_t *)"x",
		.length = 1,
		.channel = name,
		.channel_length = sizeof(name)};
	uint64_t sequence;

	push(1);
	assert_false(window_append(model.window, &entry));
	assert_false(window_find(model.window, 8, &sequence));
	assert_true(window_find(model.window, 9, &sequence));
	model.last = 9;
	model.gone = model.count;
	push(1);
	expect_window();
}

static void test_hash_tells_records_apart(void **state)
{
	uint8_t record[40];
	uint64_t hash;

	for (size_t i = 0; i < sizeof(record); i++)
		record[i] = (uint8_t)random();
	for (size_t length = 1; length < sizeof(record); length++) {
		hash = window_hash(record, length);
		assert_int_equal(hash, window_hash(record, length));
		assert_true(hash != window_hash(record, length - 1));
		for (size_t bit = 0; bit < length * 8; bit++) {
			record[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_true(hash != window_hash(record, length));
			record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_window_is_empty),
		TEST(test_entries_push_out_the_oldest),
		TEST(test_bytes_push_out_the_oldest),
		TEST(test_large_record_replaces_all_others),
		TEST(test_random_operations),
		TEST(test_no_memory_for_a_large_record),
		TEST(test_no_memory_for_a_window),
		TEST(test_long_names_are_not_kept),
		TEST(test_hash_tells_records_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
