#include <string.h>

#include "stream/fanout_impl.h"

enum {
	SCRATCH_KEPT = 16 << 20, /* bytes of scratch that a sweep keeps allocated */
};

static void forget(struct kept *k)
{
	buffer_free(&k->bytes);
	memset(&k->record, 0, sizeof(k->record));
}

void fanout_forget(struct fanout *f, size_t from)
{
	for (size_t i = from; i < KEPT_RECORDS; i++)
		forget(&f->kept[i]);
}

void fanout_forget_unused(struct fanout *f)
{
	for (size_t i = 0; i < KEPT_RECORDS; i++) {
		if (!f->kept[i].used)
			forget(&f->kept[i]);
		f->kept[i].used = false;
	}
	f->hopeless_id = 0;
	/* Frees the memory of an unusually large row. */
	if (f->scratch.capacity > SCRATCH_KEPT)
		buffer_free(&f->scratch);
}

/* Moves this record to the front; returns it. */
static struct kept *to_the_front(struct fanout *f, size_t i)
{
	struct kept kept = f->kept[i];

	memmove(f->kept + 1, f->kept, i * sizeof(kept));
	f->kept[0] = kept;
	return f->kept;
}

static bool is_kept(const struct kept *k, const struct subscriber *s, int64_t id)
{
	return k->record.id == id && lane_is_same(&k->lane, &s->lane);
}

bool fanout_run_of_kept(struct fanout *f, const struct subscriber *s)
{
	size_t i = 0;

	if (!s->cut)
		return false;
	while (i < KEPT_RECORDS && !is_kept(&f->kept[i], s, s->cursor + 1))
		i++;
	if (i == KEPT_RECORDS)
		return false;
	run_begin(&f->run, &s->lane, s->owed, s->cut);
	run_add(&f->run, &f->kept[i].record);
	to_the_front(f, i)->used = true;
	return subscriber_continues(s, &f->run);
}

/* Frees the least recently used records if there are too many bytes. */
static void bound_kept(struct fanout *f)
{
	size_t bytes = f->kept[0].record.length, i = 1;

	while (i < KEPT_RECORDS && bytes + f->kept[i].record.length <= KEPT_BYTES)
		bytes += f->kept[i++].record.length;
	fanout_forget(f, i);
}

void fanout_keep_record(struct fanout *f, const struct subscriber *s)
{
	struct run_record *record = &f->run.records[0];
	struct buffer bytes = f->scratch;
	struct kept *k;
	size_t i = 0;

	while (i < KEPT_RECORDS - 1 && !is_kept(&f->kept[i], s, record->id))
		i++;
	k = to_the_front(f, i);
	f->scratch = k->bytes;
	record->hash = window_hash(record->bytes, record->length);
	*k = (struct kept){.bytes = bytes, .record = *record, .lane = s->lane, .used = true};
	bound_kept(f);
}
