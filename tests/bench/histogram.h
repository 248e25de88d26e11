/*
 * histogram: many durations in little memory, to within 1 %.
 *
 * Buckets are 1/64 of a power of two wide, so adding a value takes a few instructions and no memory
 * per delivery. The maximum is exact.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BUCKETS = 58 * HISTOGRAM_STEPS };

/* All zeros: an empty histogram. */
struct histogram {
	uint64_t count[HISTOGRAM_BUCKETS];
	uint64_t total;
	int64_t max_ns;
};

/* A negative duration counts as 0. */
void histogram_add(struct histogram *h, int64_t ns);

/* The duration that a share (0 to 1) of all values does not exceed; 0 if there are none. */
int64_t histogram_quantile_ns(const struct histogram *h, double share);

/* Prints "NAME":{"n":…,"p50":…,"p99":…,"p999":…,"max":…}, durations in microseconds. */
void histogram_print(const struct histogram *h, const char *name, FILE *out);

#endif
