/*
 * metrics: counters and their text.
 *
 * Owns the process's counters; one thread counts, so that they are plain numbers. Never reads the
 * log or a clock: the page's maker hands in what is not counted.
 */
#ifndef ROWTAIL_METRICS_H
#define ROWTAIL_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "protocol/sse.h"
#include "stream/subscriber.h"

enum metric {
	METRIC_STREAMS_TOTAL,
	METRIC_RECORDS_SENT,
	METRIC_BYTES_SENT,
	METRIC_ROWS_READ, /* into the windows */
	METRIC_ROWS_REPLAYED,
	METRIC_REQUESTS,
	METRIC_COUNT,
};

/* Why a request got no stream: the label of rowtail_refused_total. */
enum refusal {
	REFUSED_BAD_REQUEST, /* 400, 405, 413, 415 */
	REFUSED_UNAUTHORIZED, /* 401 */
	REFUSED_FORBIDDEN, /* 403 */
	REFUSED_TOO_MANY_ATTEMPTS, /* 429 */
	REFUSED_FULL, /* --max-streams */
	REFUSED_CLIENT_FULL, /* --max-streams-per-client */
	REFUSED_DATABASE,
	REFUSED_SHUTDOWN,
	REFUSED_PROTOCOL, /* not FastCGI, or too slow */
	REFUSED_COUNT,
};

const char *refusal_name(enum refusal reason);

void metrics_add(enum metric which, uint64_t amount);
uint64_t metrics_get(enum metric which);
void metrics_gap(enum sse_gap reason);
void metrics_refused(enum refusal reason);
void metrics_left(enum leave_reason reason);
uint64_t metrics_refused_count(enum refusal reason);
uint64_t metrics_left_count(enum leave_reason reason);

/* `records` records were written so many microseconds after their rows were seen. */
void metrics_delivery(uint64_t records, int64_t us);

/* The delivery time under which a share (0 to 1) of the records stayed, in s; 0 without records. */
double metrics_delivery_quantile(double share);

/* What is known elsewhere. */
struct metrics_now {
	size_t streams;
	int64_t newest_id;
	int64_t uptime_s;
	int database_ok;
};

/* Appends everything in the Prometheus text format, version 0.0.4. */
void metrics_text(struct buffer *out, const struct metrics_now *now);

#endif
