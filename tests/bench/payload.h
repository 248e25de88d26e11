/*
 * payload: the contents of the benchmarks' rows, with which a receiver can check and time each row.
 *
 * The data of a row is "ID STAMP LENGTH xxx…": the id that the row must have in the log, the
 * CLOCK_MONOTONIC nanoseconds just before it was published, and its total length in bytes, padded
 * with x. It is one line, so it makes one data line.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

enum {
	PAYLOAD_HEAD_MAX = 64, /* the three numbers take less than this */
	PAYLOAD_LENGTH_MAX = 64 * 1024 * 1024,
};

struct payload {
	int64_t id;
	int64_t stamp_ns;
	int64_t length;
};

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t payload_now_ns(void);

/* Fills out[0..p->length), at least PAYLOAD_HEAD_MAX bytes, without a NUL. */
void payload_write(char *out, const struct payload *p);

/* Reads the three numbers from text[0..length), the beginning of a payload. 0, or -1 for none. */
int payload_read(struct payload *p, const char *text, size_t length);

/* Reads a decimal number and moves *text past it; -1 if there is none or it is too large. */
int64_t payload_number(const char **text, const char *end);

#endif
