/* require: a condition that must hold for every input; if it fails, the fuzzer keeps the input. */
#ifndef ROWTAIL_TESTS_REQUIRE_H
#define ROWTAIL_TESTS_REQUIRE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

/* Allocates memory; exits without it. */
static inline void *require_memory(size_t size)
{
	void *p = malloc(size ? size : 1);

	require(p != NULL, "there is memory");
	return p;
}

#endif
