/* seen: see seen.h. */
#include "seen.h"

#include <err.h>
#include <stdlib.h>

struct seen *seen_new(void)
{
	struct seen *s = calloc(1, sizeof *s);

	if (!s)
		err(1, "seen");
	return s;
}

static uint64_t add(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

uint64_t seen_hash(uint64_t hash, const char *text, size_t have, size_t total)
{
	/* How much there is of a line depends on how it arrived. */
	size_t most = have < SEEN_HAVE ? have : SEEN_HAVE;

	hash = add(hash, total);
	for (size_t i = 0; i < most; i++)
		hash = add(hash, (unsigned char)text[i]);
	return hash;
}

bool seen_same(struct seen *s, int64_t id, uint64_t hash)
{
	size_t place = (size_t)(add(SEEN_START, (uint64_t)id) % SEEN_MAX);

	if (s->rows[place].id == id)
		return s->rows[place].hash == hash;
	s->rows[place].id = id;
	s->rows[place].hash = hash;
	return true;
}
