/*
 * tally: everything that the load generator counts over all of its streams.
 *
 * The first group is what must not happen: each of them fails the benchmark.
 */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdint.h>

#include "histogram.h"

struct tally {
	int64_t lost; /* ids that were passed over */
	int64_t twice; /* ids that had come before: repeated, or out of order */
	int64_t corrupt; /* a payload that is not the one of its id, or not whole */
	int64_t garbage; /* lines that are no field of an event stream, bytes that are no framing */
	int64_t gaps; /* gap records, a position ahead of the stream, records without an id */
	int64_t refused; /* answers with another status than 200 */
	int64_t closed; /* streams that ended before they had everything */
	int64_t unconnected; /* connections that could not be made */

	int64_t events; /* rows delivered */
	int64_t bytes; /* read from sockets */
	int64_t retried; /* connects that found the backlog full, and were tried again */
	int64_t first_stamp_ns; /* the earliest of all payloads; 0 before the first */
	int64_t last_event_ns; /* when the last delivery was read */
	struct histogram delivery; /* payload's stamp to read */
	struct histogram open; /* connect to first record */
	struct histogram reach; /* connect to the last id wanted */
};

#endif
