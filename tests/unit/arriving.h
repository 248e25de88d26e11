/*
 * arriving: builds a request, and asks arrival about its first bytes. Link arrival and buffer. Each
 * test starts with empty buffers.
 */
#ifndef ROWTAIL_TESTS_ARRIVING_H
#define ROWTAIL_TESTS_ARRIVING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/arrival.h"
#include "wire.h"

enum { ID = 1, CHUNK_MAX = 65535 };

static struct buffer wire, params, body;

static inline int setup(void **state)
{
	buffer_init(&wire, WIRE_MAX);
	buffer_init(&params, WIRE_MAX);
	buffer_init(&body, WIRE_MAX);
	return 0;
}

static inline int teardown(void **state)
{
	buffer_free(&wire);
	buffer_free(&params);
	buffer_free(&body);
	return 0;
}

/* Scans a copy that ends where its memory ends, so that a sanitizer detects reads beyond it. */
static inline enum arrival_state scan_copy(struct arrival *a, const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length ? length : 1);
	enum arrival_state state;

	assert_non_null(copy);
	if (length)
		memcpy(copy, bytes, length);
	state = arrival_scan(a, copy + (length ? 0 : 1), length);
	free(copy);
	assert_int_equal(state, a->state);
	return state;
}

static inline enum arrival_state scan_fresh(struct arrival *a, const uint8_t *bytes, size_t length)
{
	arrival_init(a);
	return scan_copy(a, bytes, length);
}

/* The state of `wire` after its first `have` bytes. */
static inline enum arrival_state state_after(size_t have)
{
	struct arrival a;

	return scan_fresh(&a, wire.data, have);
}

/* The smallest number of bytes of `wire` that is no longer PARTIAL. */
static inline size_t told_at(void)
{
	size_t have = 0;

	while (have < wire.length && state_after(have) == ARRIVAL_PARTIAL)
		have++;
	return have;
}

/* Asserts that `wire` is a complete request at its last byte and not before. */
static inline void assert_whole(void)
{
	struct arrival a;

	assert_int_equal(scan_fresh(&a, wire.data, wire.length), ARRIVAL_WHOLE);
	assert_int_equal(a.length, wire.length);
	assert_int_equal(a.request_id, ID);
	assert_int_equal(state_after(wire.length - 1), ARRIVAL_PARTIAL);
}

static inline void begin(void)
{
	buffer_clear(&wire);
	wire_begin(&wire, ID, FCGI_RESPONDER, 0);
}

/* A request with everything in `params` and `body`. */
static inline void make_request(size_t params_chunk, size_t body_chunk, unsigned padding)
{
	begin();
	wire_stream(&wire, FCGI_PARAMS, ID, &params, params_chunk, padding);
	wire_stream(&wire, FCGI_STDIN, ID, &body, body_chunk, padding);
}

#define ARRIVAL_TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

#endif
