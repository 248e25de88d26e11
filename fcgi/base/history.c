#include "base/history.h"

static const struct {
	size_t offset, points; /* in struct history */
	int64_t step_ms;
} spans[HISTORY_SPANS] = {
	[HISTORY_MINUTE] = {0, HISTORY_MINUTE_POINTS, HISTORY_STEP_MS},
	[HISTORY_HOUR] = {HISTORY_MINUTE_POINTS, HISTORY_HOUR_POINTS, 30 * 1000},
	[HISTORY_DAY] = {HISTORY_MINUTE_POINTS + HISTORY_HOUR_POINTS, HISTORY_DAY_POINTS,
		10 * 60 * 1000},
};

static struct history_point *slot(struct history *h, enum history_span span, size_t i)
{
	size_t ring = (h->rings[span].first + i) % spans[span].points;

	return &h->points[spans[span].offset + ring];
}

static void push(struct history *h, enum history_span span, const struct history_point *point)
{
	struct history_ring *r = &h->rings[span];

	if (r->count < spans[span].points)
		r->count++;
	else
		r->first = (r->first + 1) % spans[span].points;
	*slot(h, span, r->count - 1) = *point;
}

static void begin_step(struct history_ring *r, int64_t begun_ms, const struct history_now *now)
{
	r->begun_ms = begun_ms;
	r->streams = now->streams;
	r->lag = now->lag;
	r->before = *now;
}

static uint32_t narrow(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void end_step(
	struct history *h, enum history_span span, int64_t now_ms, const struct history_now *now)
{
	struct history_ring *r = &h->rings[span];
	uint64_t sent = now->records - r->before.records, deliveries = 0;
	struct history_point point = {.known = true,
		.streams = narrow(r->streams),
		.lag = narrow(r->lag),
		.records_per_s = (float)((double)sent * 1000 / (double)(now_ms - r->begun_ms)),
		.p50_ms = -1,
		.p99_ms = -1};
	struct metrics_delivered d;

	for (int i = 0; i <= METRIC_BUCKETS; i++) {
		d.buckets[i] = now->delivered.buckets[i] - r->before.delivered.buckets[i];
		deliveries += d.buckets[i];
	}
	if (deliveries > 0) {
		point.p50_ms = (float)(metrics_quantile(&d, 0.5) * 1000);
		point.p99_ms = (float)(metrics_quantile(&d, 0.99) * 1000);
	}
	push(h, span, &point);
}

/* After a pause, such as a suspended machine, the steps in between are unknown. */
static void add_unknown(struct history *h, enum history_span span, int64_t steps)
{
	for (int64_t i = 0; i < steps && i < (int64_t)spans[span].points; i++)
		push(h, span, &(struct history_point){.known = false});
}

/*
 * Timers are a little late or early, so a step ends within half a HISTORY_STEP_MS of its end. The
 * next begins at the end, not at the call, so that steps don't drift.
 */
static void add(
	struct history *h, enum history_span span, int64_t now_ms, const struct history_now *now)
{
	struct history_ring *r = &h->rings[span];
	int64_t step_ms = spans[span].step_ms;
	int64_t steps = (now_ms - r->begun_ms + HISTORY_STEP_MS / 2) / step_ms;

	if (now->streams > r->streams)
		r->streams = now->streams;
	if (now->lag > r->lag)
		r->lag = now->lag;
	if (steps < 1)
		return;
	add_unknown(h, span, steps - 1);
	end_step(h, span, now_ms, now);
	begin_step(r, r->begun_ms + steps * step_ms, now);
}

void history_add(struct history *h, int64_t now_ms, const struct history_now *now)
{
	for (int span = 0; span < HISTORY_SPANS; span++)
		if (h->begun)
			add(h, span, now_ms, now);
		else
			begin_step(&h->rings[span], now_ms, now);
	h->begun = true;
}

int64_t history_step_ms(enum history_span span)
{
	return spans[span].step_ms;
}

size_t history_count(const struct history *h, enum history_span span)
{
	return h->rings[span].count;
}

const struct history_point *history_at(const struct history *h, enum history_span span, size_t i)
{
	size_t ring = (h->rings[span].first + i) % spans[span].points;

	return &h->points[spans[span].offset + ring];
}

uint64_t history_most_streams(const struct history *h)
{
	uint64_t most = h->rings[HISTORY_HOUR].streams;

	for (size_t i = 0; i < history_count(h, HISTORY_HOUR); i++) {
		const struct history_point *p = history_at(h, HISTORY_HOUR, i);

		if (p->known && p->streams > most)
			most = p->streams;
	}
	return most;
}
