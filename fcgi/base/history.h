/*
 * history: what the charts of the status page show: the last minute, hour and day.
 *
 * Pure, of fixed size (under 9 kB). Has a ring of points for each span. A point of the hour or the
 * day covers several calls of history_add(): the most streams and the largest lag, and the rate and
 * latency of all records in that time.
 */
#ifndef ROWTAIL_HISTORY_H
#define ROWTAIL_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"

enum history_span { HISTORY_MINUTE, HISTORY_HOUR, HISTORY_DAY, HISTORY_SPANS };

enum {
	HISTORY_STEP_MS = 1000, /* between two calls of history_add() */
	HISTORY_MINUTE_POINTS = 60,
	HISTORY_HOUR_POINTS = 120,
	HISTORY_DAY_POINTS = 144,
	HISTORY_POINTS = HISTORY_MINUTE_POINTS + HISTORY_HOUR_POINTS + HISTORY_DAY_POINTS,
};

/* The counters and gauges now. */
struct history_now {
	uint64_t streams, lag;
	uint64_t records; /* sent so far */
	struct metrics_delivered delivered; /* so far */
};

struct history_point {
	bool known; /* false: rowtail did not run then, or could not measure */
	uint32_t streams, lag;
	float records_per_s;
	float p50_ms, p99_ms; /* of the deliveries; -1: there were none */
};

struct history_ring {
	size_t first, count; /* the oldest point, and how many there are */
	int64_t begun_ms; /* of the step that is being measured */
	uint64_t streams, lag; /* the largest so far in this step */
	struct history_now before; /* the counters at its beginning */
};

struct history {
	bool begun;
	struct history_ring rings[HISTORY_SPANS];
	struct history_point points[HISTORY_POINTS]; /* of all rings */
};

/* Call it every HISTORY_STEP_MS. A history whose bytes are all zero is empty. */
void history_add(struct history *h, int64_t now_ms, const struct history_now *now);

/* The time that a point covers. */
int64_t history_step_ms(enum history_span span);

/* How many points a ring has so far. */
size_t history_count(const struct history *h, enum history_span span);

/* i: 0 for the oldest point, history_count() - 1 for the newest. */
const struct history_point *history_at(const struct history *h, enum history_span span, size_t i);

/* The most streams in the last hour, including the current step. */
uint64_t history_most_streams(const struct history *h);

#endif
