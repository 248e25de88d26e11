/* links: protocol/arrival protocol/record base/buffer */
/* libs: -lfcgi */
/*
 * The input is the bytes of one connection: management records, then a request. What arrival says
 * must not depend on how the bytes are split, and libfcgi must parse what arrival calls complete.
 */
#include <stdint.h>

#include "../unit/oracle.h"
#include "protocol/arrival.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What arrival says about the bytes in pieces of `piece`. */
static struct arrival scan(const uint8_t *data, size_t size, size_t piece)
{
	struct arrival a;
	size_t have = 0;

	arrival_init(&a);
	do {
		have = size - have < piece ? size : have + piece;
		arrival_scan(&a, data, have);
	} while (have < size && a.state == ARRIVAL_PARTIAL);
	return a;
}

static void require_same(const struct arrival *a, const struct arrival *b)
{
	require(a->state == b->state, "the state is the same in any pieces");
	require(a->length == b->length, "the length is the same in any pieces");
	require(a->request_id == b->request_id, "the id is the same in any pieces");
	require(a->type == b->type, "the type is the same in any pieces");
}

static void require_sane(const struct arrival *a, size_t size)
{
	bool counted = a->state == ARRIVAL_WHOLE || a->state == ARRIVAL_MANAGEMENT;
	bool named = a->state == ARRIVAL_TOO_LARGE || a->state == ARRIVAL_BAD_ROLE ||
		     a->state == ARRIVAL_ABORTED || a->state == ARRIVAL_WHOLE;

	require(!counted || (a->length > 0 && a->length <= size),
		"the length is one of bytes that are there");
	require(a->length <= ARRIVAL_BYTES_MAX, "the length is within the limit");
	require(!named || a->request_id != 0, "a request has an id");
	require(a->state != ARRIVAL_PARTIAL || size < ARRIVAL_BYTES_MAX,
		"at the limit no more is waited for");
}

/* One request, or one management record; returns its length, or 0 at the end. */
static size_t try_one(const uint8_t *data, size_t size)
{
	struct arrival a = scan(data, size, size ? size : 1), b;
	const char *complaint;

	require_sane(&a, size);
	/* Byte by byte at first; a long input would take too long this way. */
	b = scan(data, size, 1 + size / 512);
	require_same(&a, &b);
	if (a.state == ARRIVAL_MANAGEMENT)
		return a.length;
	if (a.state == ARRIVAL_WHOLE) {
		complaint = oracle_judge_bytes(data, a.length, a.request_id);
		require(!complaint, complaint);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	size_t at = 0, step;

	if (!ready)
		oracle_init();
	ready = true;
	do {
		step = try_one(data + at, size - at);
		at += step;
	} while (step > 0);
	return 0;
}
