/* histogram: see histogram.h. */
#include "histogram.h"

/* Values below HISTOGRAM_STEPS have a bucket each; then each power of two has HISTOGRAM_STEPS. */
static unsigned bucket_of(uint64_t ns)
{
	if (ns < HISTOGRAM_STEPS)
		return (unsigned)ns;
	int shift = 63 - __builtin_clzll(ns) - 6;
	return (unsigned)(shift + 1) * HISTOGRAM_STEPS + (unsigned)((ns >> shift) & 63);
}

static int64_t middle_of(unsigned bucket)
{
	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	int shift = (int)(bucket / HISTOGRAM_STEPS) - 1;
	uint64_t low = (uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << shift;
	return (int64_t)(low + ((UINT64_C(1) << shift) / 2));
}

void histogram_add(struct histogram *h, int64_t ns)
{
	if (ns < 0)
		ns = 0;
	h->count[bucket_of((uint64_t)ns)]++;
	h->total++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

int64_t histogram_quantile_ns(const struct histogram *h, double share)
{
	double wanted = share * (double)h->total;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > 0 && (double)seen >= wanted)
			return middle_of(i) < h->max_ns ? middle_of(i) : h->max_ns;
	}
	return h->max_ns;
}

void histogram_print(const struct histogram *h, const char *name, FILE *out)
{
	fprintf(out, "\"%s\":{\"n\":%llu,\"p50\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f}",
		name, (unsigned long long)h->total, (double)histogram_quantile_ns(h, 0.5) / 1e3,
		(double)histogram_quantile_ns(h, 0.99) / 1e3,
		(double)histogram_quantile_ns(h, 0.999) / 1e3, (double)h->max_ns / 1e3);
}
