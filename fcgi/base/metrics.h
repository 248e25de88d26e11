/*
 * metrics: counters, and their text form.
 *
 * Owns the process's counters. One thread counts, so they are plain numbers. Processes may share
 * them: each adds to its own, and everyone reads the sums. Never reads the log or
 * a clock: the caller of metrics_text() passes the values that are not counted.
 */
#ifndef ROWTAIL_METRICS_H
#define ROWTAIL_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum metric {
	METRIC_STREAMS_TOTAL,
	METRIC_RECORDS_SENT,
	METRIC_BYTES_SENT,
	METRIC_ROWS_READ, /* into the windows */
	METRIC_ROWS_REPLAYED,
	METRIC_REQUESTS,
	METRIC_ACCEPTED, /* connections */
	METRIC_WINDOW_HITS, /* turns of a stream that is behind: its rows were in the window */
	METRIC_WINDOW_MISSES, /* they were not, so it read the log */
	METRIC_SEEN_BY_WATCH, /* commits: a file-change notice led to them */
	METRIC_SEEN_BY_POLL, /* the timer of --poll found them */
	METRIC_LOOP_STALLS, /* rounds of the loop that took longer than METRIC_STALL_US */
	METRIC_LOOP_STALLED_US, /* how long these took in total */
	METRIC_COUNT,
};

enum { METRIC_STALL_US = 100000 };

/*
 * Counters with a label "reason". Whoever counts numbers the reasons from 0 and knows their names.
 */
enum metric_by_reason {
	METRIC_GAPS,
	METRIC_REFUSED,
	METRIC_ENDED,
	METRIC_BY_REASON_COUNT,
};
enum { METRIC_REASONS_MAX = 16 };

/* The bytes that one process's counters take. */
size_t metrics_size(void);

/*
 * From now on the counters are in this memory, zero at first, that `count` processes share;
 * borrowed for ever. number: of this process, from 0.
 */
void metrics_share(void *memory, size_t count, size_t number);

/* Adds to this process's counter; reads the sum of all processes. */
void metrics_add(enum metric which, uint64_t amount);
uint64_t metrics_get(enum metric which);
void metrics_add_reason(enum metric_by_reason which, unsigned reason);
uint64_t metrics_get_reason(enum metric_by_reason which, unsigned reason);

/* `records` records were written `us` microseconds after their rows were seen. */
void metrics_delivery(uint64_t records, int64_t us);

/* How long deliveries took: records for each bucket; the bounds are known to metrics.c. */
enum { METRIC_BUCKETS = 15 };
struct metrics_delivered {
	uint64_t buckets[METRIC_BUCKETS + 1]; /* the last is for all that took longer */
};

/* Everything that was delivered so far. */
void metrics_delivered(struct metrics_delivered *d);

/* The time, in s, within which a share (0 to 1) of the records was delivered; 0 without records. */
double metrics_quantile(const struct metrics_delivered *d, double share);

/* The same of everything that was delivered so far. */
double metrics_delivery_quantile(double share);

/* Values from elsewhere. */
struct metrics_now {
	size_t streams;
	int64_t max_streams;
	int64_t oldest_id, newest_id;
	int64_t oldest_age_s, newest_age_s; /* -1: unknown, the metric is left out */
	int64_t lag_rows; /* of the slowest reader */
	int64_t wal_bytes; /* -1: there is none */
	int64_t memory_bytes, descriptors, max_descriptors; /* -1: unknown */
	int64_t uptime_s;
	int database_ok;
	/* The names of the reasons, each list ending with NULL. NULL: the counter is left out. */
	const char *const *reasons[METRIC_BY_REASON_COUNT];
};

/* Appends everything in the Prometheus text format, version 0.0.4. */
void metrics_text(struct buffer *out, const struct metrics_now *now);

#endif
