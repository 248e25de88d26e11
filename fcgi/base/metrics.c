#include "base/metrics.h"

#include <inttypes.h>

struct counters {
	uint64_t counts[METRIC_COUNT];
	uint64_t by_reason[METRIC_BY_REASON_COUNT][METRIC_REASONS_MAX];
	struct metrics_delivered delivered;
	uint64_t delivered_us;
	uint64_t deliveries;
};

/* What this process counts, and what all processes have counted that share their counters. */
static struct counters alone, *own = &alone, *all = &alone;
static size_t processes = 1;

/*
 * Upper bounds in microseconds, roughly doubling from the time of a single row to what users
 * notice.
 */
static const int64_t buckets_us[] = {50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000,
	100000, 250000, 500000, 1000000, 5000000};
enum { BUCKETS = sizeof(buckets_us) / sizeof(buckets_us[0]) };
_Static_assert((int)BUCKETS == (int)METRIC_BUCKETS, "a counter for each");

size_t metrics_size(void)
{
	return sizeof(struct counters);
}

void metrics_share(void *memory, size_t count, size_t number)
{
	all = memory;
	own = all + number;
	processes = count;
}

static struct counters sum(void)
{
	struct counters total = {0};
	uint64_t *to = (uint64_t *)&total;

	for (size_t i = 0; i < processes; i++)
		for (size_t j = 0; j < sizeof(total) / sizeof(*to); j++)
			to[j] += ((const uint64_t *)&all[i])[j];
	return total;
}

void metrics_add(enum metric which, uint64_t amount)
{
	own->counts[which] += amount;
}

uint64_t metrics_get(enum metric which)
{
	return sum().counts[which];
}

void metrics_add_reason(enum metric_by_reason which, unsigned reason)
{
	own->by_reason[which][reason]++;
}

uint64_t metrics_get_reason(enum metric_by_reason which, unsigned reason)
{
	return sum().by_reason[which][reason];
}

void metrics_delivery(uint64_t records, int64_t us)
{
	int bucket = 0;

	while (bucket < BUCKETS && us > buckets_us[bucket])
		bucket++;
	own->delivered.buckets[bucket] += records;
	own->deliveries += records;
	own->delivered_us += records * (uint64_t)(us > 0 ? us : 0);
}

void metrics_delivered(struct metrics_delivered *d)
{
	*d = sum().delivered;
}

double metrics_quantile(const struct metrics_delivered *d, double share)
{
	uint64_t all_records = 0, below = 0;

	for (int i = 0; i <= BUCKETS; i++)
		all_records += d->buckets[i];
	for (int i = 0; i < BUCKETS; i++) {
		below += d->buckets[i];
		if (all_records && (double)below >= share * (double)all_records)
			return (double)buckets_us[i] / 1e6;
	}
	return all_records ? (double)buckets_us[BUCKETS - 1] / 1e6 : 0;
}

double metrics_delivery_quantile(double share)
{
	const struct counters metrics = sum();

	return metrics_quantile(&metrics.delivered, share);
}

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_printf(out, "# HELP rowtail_%s %s\n# TYPE rowtail_%s %s\n", name, help, name, type);
}

static void one(
	struct buffer *out, const char *name, const char *type, const char *help, int64_t value)
{
	head(out, name, type, help);
	buffer_printf(out, "rowtail_%s %" PRId64 "\n", name, value);
}

static void delivery_histogram(struct buffer *out)
{
	const struct counters metrics = sum();
	uint64_t below = 0;

	head(out, "delivery_seconds", "histogram", "Time from seeing a row to having written it.");
	for (int i = 0; i < BUCKETS; i++) {
		below += metrics.delivered.buckets[i];
		buffer_printf(out, "rowtail_delivery_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
			(double)buckets_us[i] / 1e6, below);
	}
	buffer_printf(out,
		"rowtail_delivery_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
		"rowtail_delivery_seconds_sum %.6f\nrowtail_delivery_seconds_count %" PRIu64 "\n",
		metrics.deliveries, (double)metrics.delivered_us / 1e6, metrics.deliveries);
}

static void reasons(struct buffer *out, const struct metrics_now *now)
{
	static const char *const about[METRIC_BY_REASON_COUNT][2] = {
		[METRIC_GAPS] = {"gaps_total", "Gap records sent, by reason."},
		[METRIC_REFUSED] = {"refused_total", "Requests that got no stream, by reason."},
		[METRIC_ENDED] = {"streams_ended_total",
			"Streams and JSON answers that ended, by reason."},
	};

	const struct counters metrics = sum();

	for (int which = 0; which < METRIC_BY_REASON_COUNT; which++) {
		const char *const *names = now->reasons[which];

		head(out, about[which][0], "counter", about[which][1]);
		for (int i = 0; names && names[i]; i++)
			buffer_printf(out, "rowtail_%s{reason=\"%s\"} %" PRIu64 "\n",
				about[which][0], names[i], metrics.by_reason[which][i]);
	}
}

/* Gauges that may be unknown. */
static void gauges(struct buffer *out, const struct metrics_now *now)
{
	const struct {
		const char *name, *help;
		int64_t value;
	} list[] = {
		{"log_oldest_age_seconds", "Age of the oldest row, by created_at.",
			now->oldest_age_s},
		{"log_newest_age_seconds", "Age of the newest row, by created_at.",
			now->newest_age_s},
		{"wal_bytes", "Size of the write-ahead log.", now->wal_bytes},
		{"resident_memory_bytes", "Memory that this process holds.", now->memory_bytes},
		{"open_descriptors", "Descriptors that this process has open.", now->descriptors},
		{"max_descriptors", "Descriptors that this process may have open.",
			now->max_descriptors},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i].value >= 0)
			one(out, list[i].name, "gauge", list[i].help, list[i].value);
}

static void stalls(struct buffer *out, const struct counters *metrics)
{
	head(out, "loop_stalled_seconds_total", "counter",
		"Time in rounds of the loop that took longer than 100 ms.");
	buffer_printf(out, "rowtail_loop_stalled_seconds_total %.3f\n",
		(double)metrics->counts[METRIC_LOOP_STALLED_US] / 1e6);
}

void metrics_text(struct buffer *out, const struct metrics_now *now)
{
	static const struct {
		enum metric which;
		const char *name, *help;
	} counters[] = {
		{METRIC_STREAMS_TOTAL, "streams_total", "Streams opened, and JSON answers begun."},
		{METRIC_RECORDS_SENT, "records_sent_total", "Records of rows written completely."},
		{METRIC_BYTES_SENT, "bytes_sent_total", "Bytes written to web servers."},
		{METRIC_ROWS_READ, "rows_read_total",
			"New rows read from the log, once for all streams."},
		{METRIC_ROWS_REPLAYED, "rows_replayed_total",
			"Rows read for one stream that is behind."},
		{METRIC_REQUESTS, "requests_total", "Requests that arrived completely."},
		{METRIC_ACCEPTED, "connections_accepted_total",
			"Connections accepted from web servers, or from clients of --http."},
		{METRIC_WINDOW_HITS, "window_hits_total",
			"Turns of streams that are behind whose rows were in the window."},
		{METRIC_WINDOW_MISSES, "window_misses_total",
			"Turns of streams that are behind that had to read the log."},
		{METRIC_SEEN_BY_WATCH, "commits_seen_by_watch_total",
			"Looks that found a commit after a file-change notice."},
		{METRIC_SEEN_BY_POLL, "commits_seen_by_poll_total",
			"Looks that found a commit because of --poll."},
		{METRIC_LOOP_STALLS, "loop_stalls_total",
			"Rounds of the loop that took longer than 100 ms."},
	};

	const struct counters metrics = sum();

	one(out, "streams", "gauge", "Streams open now, and JSON answers not sent yet.",
		(int64_t)now->streams);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		one(out, counters[i].name, "counter", counters[i].help,
			(int64_t)metrics.counts[counters[i].which]);
	stalls(out, &metrics);
	one(out, "max_streams", "gauge", "Streams that may be open at once.", now->max_streams);
	one(out, "lag_rows", "gauge", "Ids that the slowest stream is behind the newest row.",
		now->lag_rows);
	one(out, "log_oldest_id", "gauge", "The oldest id of the log.", now->oldest_id);
	one(out, "log_newest_id", "gauge", "The newest id of the log.", now->newest_id);
	gauges(out, now);
	one(out, "database_ok", "gauge", "1 while the log can be read.", now->database_ok);
	one(out, "uptime_seconds", "gauge", "Seconds since the process started.", now->uptime_s);
	reasons(out, now);
	delivery_histogram(out);
}
