#include "stream/run.h"

void run_clear(struct run *r)
{
	r->count = 0;
	r->piece_count = 0;
	r->total = 0;
	r->group = NULL;
}

bool run_is_full(const struct run *r)
{
	return r->count == RUN_RECORDS || r->total >= RUN_BYTES;
}

void run_add(struct run *r, const struct run_record *record)
{
	struct iovec *last = r->piece_count ? &r->pieces[r->piece_count - 1] : NULL;

	r->records[r->count++] = *record;
	r->total += record->length;
	if (last && (const uint8_t *)last->iov_base + last->iov_len == record->bytes)
		last->iov_len += record->length;
	else
		r->pieces[r->piece_count++] =
			(struct iovec){(void *)(uintptr_t)record->bytes, record->length};
}

size_t run_whole(const struct run *r, size_t sent, uint32_t *cut)
{
	size_t i = 0;

	*cut = 0;
	if (sent == r->total)
		return r->count;
	while (i < r->count && sent >= r->records[i].length)
		sent -= r->records[i++].length;
	*cut = (uint32_t)sent;
	return i;
}
