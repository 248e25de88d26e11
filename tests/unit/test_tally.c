/* links: base/tally */
/* libs: --for-linker --wrap --for-linker malloc --for-linker --wrap --for-linker calloc */
/* A count for each name, against a model: a plain array of counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tally.h"
#include "no_memory.h"

enum { NAMES = 12, ROOM = 8 };

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

/* Fails whenever malloc() fails. */
void *__wrap_calloc(size_t count, size_t size)
{
	return allocations_left-- > 0 ? __real_calloc(count, size) : NULL;
}

static struct tally *tally;
static int64_t model[NAMES];

static int set_up(void **state)
{
	srandom(8);
	memset(model, 0, sizeof(model));
	assert_non_null(tally = tally_new(ROOM));
	return 0;
}

static int tear_down(void **state)
{
	allow_all_allocations();
	tally_free(tally);
	return 0;
}

static size_t names_held(void)
{
	size_t count = 0;

	for (int i = 0; i < NAMES; i++)
		count += model[i] > 0;
	return count;
}

/* The name is freed after each call: the tally keeps a copy. */
static struct tally_entry *find(int name)
{
	char text[32];
	struct tally_entry *e;

	/* Some are prefixes of others. */
	snprintf(text, sizeof(text), "%.*s", name, "::ffff:192.0.2.1");
	e = tally_find(tally, text);
	memset(text, '#', sizeof(text));
	return e;
}

static void add(int name, int64_t amount)
{
	struct tally_entry *e = find(name);

	if (!e) {
		assert_int_equal(names_held(), ROOM);
		assert_int_equal(model[name], 0);
		return;
	}
	assert_int_equal(tally_count(e), model[name]);
	assert_true(model[name] > 0 || names_held() < ROOM);
	tally_add(tally, e, amount);
	model[name] = model[name] + amount > 0 ? model[name] + amount : 0;
}

static void decay(int64_t amount)
{
	tally_decay(tally, amount);
	for (int i = 0; i < NAMES; i++)
		model[i] = model[i] > amount ? model[i] - amount : 0;
}

static void test_counts(void **state)
{
	for (int i = 0; i < 20000; i++)
		if (random() % 50 == 0)
			decay(1 + random() % 3);
		else
			add((int)(random() % NAMES), random() % 5 - 2);
}

static void test_full_tally_refuses_new_names_only(void **state)
{
	for (int i = 0; i < ROOM; i++)
		add(i, 1);
	assert_null(find(ROOM));
	assert_int_equal(tally_count(find(0)), 1);
	add(3, -1);
	add(ROOM, 1);
	assert_int_equal(tally_count(find(ROOM)), 1);
	assert_null(find(3));
}

static void test_decay_forgets_and_makes_room(void **state)
{
	for (int i = 0; i < ROOM; i++)
		add(i, i + 1);
	decay(ROOM - 1);
	assert_int_equal(tally_count(find(ROOM - 1)), 1);
	assert_non_null(find(0));
	decay(1);
	for (int i = 0; i < ROOM; i++)
		add(NAMES - 1 - i, 1);
	assert_int_equal(names_held(), ROOM);
}

static void test_out_of_memory(void **state)
{
	bool failed = true;

	add(0, 5);
	for (long good = 0; failed; good++) {
		struct tally *fresh;
		struct tally_entry *e;

		allow_allocations(good);
		fresh = tally_new(ROOM);
		e = fresh ? tally_find(fresh, "a") : NULL;
		failed = allow_all_allocations();
		assert_int_equal(e == NULL, failed);
		if (fresh)
			assert_non_null(tally_find(fresh, "a"));
		tally_free(fresh);
	}
	allow_allocations(0);
	assert_null(find(1));
	/* A known name needs no memory. */
	assert_int_equal(tally_count(find(0)), 5);
	tally_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_full_tally_refuses_new_names_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_decay_forgets_and_makes_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
