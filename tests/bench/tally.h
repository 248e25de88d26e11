/*
 * tally: everything that the load generator counts over all its streams.
 *
 * Each count in the first group must be 0, or the benchmark fails.
 */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdint.h>

#include "histogram.h"

struct tally {
	int64_t lost; /* skipped ids */
	int64_t twice; /* ids received before: repeated, or out of order */
	int64_t corrupt; /* a payload that does not match its id, or is incomplete */
	int64_t garbage; /* lines that are not event stream fields, invalid framing */
	int64_t gaps; /* gap records, a position ahead of the stream, records without an id */
	int64_t refused; /* answers with another status than 200 */
	int64_t closed; /* streams that ended before they had everything */
	int64_t unconnected; /* failed connections */

	int64_t events; /* rows delivered */
	int64_t bytes; /* read from sockets */
	int64_t retried; /* connects that found the backlog full, and were retried */
	int64_t first_stamp_ns; /* the earliest of all payloads; 0 before the first */
	int64_t last_event_ns; /* when the last delivery was read */
	struct histogram delivery; /* from the payload's stamp to the read */
	struct histogram open; /* connect to first record */
	struct histogram reach; /* connect to the last id wanted */
};

#endif
