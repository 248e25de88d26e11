/*
 * eager: a stream on the fan-out of fanned.h whose sink takes everything, and keeps it.
 */
#ifndef ROWTAIL_TESTS_EAGER_H
#define ROWTAIL_TESTS_EAGER_H

#include <stdlib.h>

#include "fanned.h"

static struct {
	struct sink sink;
	struct subscriber subscriber;
	uint8_t *bytes;
	size_t length;
} eager;

static ssize_t eager_take(struct sink *sink, const struct iovec *iov, int count)
{
	size_t taken = 0;

	for (int i = 0; i < count; i++) {
		eager.bytes = realloc(eager.bytes, eager.length + iov[i].iov_len + 1);
		memcpy(eager.bytes + eager.length, iov[i].iov_base, iov[i].iov_len);
		eager.length += iov[i].iov_len;
		taken += iov[i].iov_len;
	}
	return (ssize_t)taken;
}

static void eager_want(struct sink *sink, bool want)
{
	assert_false(want); /* it takes everything */
}

static void eager_finished(struct sink *sink)
{
	fanned.wants_turn = false;
}

static const struct sink_operations eager_operations = {
	.write = eager_take, .want_write = eager_want, .finished = eager_finished};

/* request_id 0: without frames, as in CGI, where no stream shares what was read. */
static inline void eager_ask(const struct position *asked, uint16_t request_id)
{
	memset(&eager, 0, sizeof(eager));
	eager.sink.operations = &eager_operations;
	fanned_open(&eager.subscriber, &eager.sink, fanned_default(), asked, request_id, false);
}

/* Opens it at the end of the log. */
static inline void eager_open(void)
{
	eager_ask(&(struct position){.kind = POSITION_NONE, .tail = -1}, 1);
}

static void eager_leave(void)
{
	fanout_gone(fanned.fanout, &eager.subscriber, LEAVE_CLIENT);
	free(eager.bytes);
}

/* Looks until there is nothing more to do. */
static void eager_look(void)
{
	bool news = true;

	while (news || fanned.wants_turn) {
		fanned.wants_turn = false;
		assert_int_equal(fanout_look(fanned.fanout, &news), EVENTLOG_OK);
		fanout_turn(fanned.fanout);
	}
}

#endif
