/*
 * no_memory: lets the n-th call of malloc() fail. For tests that are linked with
 * --wrap=malloc; it reaches the modules under test, not the libraries they use.
 */
#ifndef ROWTAIL_TESTS_NO_MEMORY_H
#define ROWTAIL_TESTS_NO_MEMORY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

static long allocations_left = LONG_MAX;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return allocations_left-- > 0 ? __real_malloc(size) : NULL;
}

/* From now on `good` allocations succeed, and all later ones fail. */
static inline void allow_allocations(long good)
{
	allocations_left = good;
}

/* All succeed again. Returns whether any has failed since allow_allocations(). */
static inline bool allow_all_allocations(void)
{
	bool failed = allocations_left < 0;

	allocations_left = LONG_MAX;
	return failed;
}

#endif
