#include "run.h"

void run_clear(struct run *r)
{
	r->count = 0;
	r->piece_count = 0;
	r->total = 0;
}

bool run_is_full(const struct run *r)
{
	return r->count == RUN_RECORDS || r->total >= RUN_BYTES;
}

void run_add(struct run *r, int64_t id, const uint8_t *bytes, uint32_t length, uint32_t content)
{
	struct iovec *last = r->piece_count ? &r->pieces[r->piece_count - 1] : NULL;

	r->records[r->count++] = (struct run_record){id, bytes, length, content};
	r->total += length;
	if (last && (const uint8_t *)last->iov_base + last->iov_len == bytes)
		last->iov_len += length;
	else
		r->pieces[r->piece_count++] = (struct iovec){(void *)(uintptr_t)bytes, length};
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
