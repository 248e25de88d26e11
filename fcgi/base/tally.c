#include "base/tally.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the analyser cannot follow uthash's macros. */

struct tally_entry {
	UT_hash_handle hh;
	int64_t count;
	char name[];
};

struct tally {
	struct tally_entry *all;
	size_t max_names;
};

struct tally *tally_new(size_t max_names)
{
	struct tally *t = calloc(1, sizeof(*t));

	if (t)
		t->max_names = max_names;
	return t;
}

void tally_free(struct tally *t)
{
	struct tally_entry *e, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->all, e, next) {
		HASH_DEL(t->all, e);
		free(e);
	}
	free(t);
}

struct tally_entry *tally_find(struct tally *t, const char *name)
{
	size_t length = strlen(name);
	struct tally_entry *e;

	HASH_FIND(hh, t->all, name, length, e);
	if (e || HASH_COUNT(t->all) >= t->max_names)
		return e;
	if (!(e = calloc(1, sizeof(*e) + length + 1)))
		return NULL;
	memcpy(e->name, name, length);
	HASH_ADD_KEYPTR(hh, t->all, e->name, length, e);
	if (!e->hh.tbl) {
		free(e);
		return NULL;
	}
	return e;
}

void tally_forget_least(struct tally *t)
{
	struct tally_entry *least = t->all, *e, *next;

	HASH_ITER (hh, t->all, e, next) {
		if (e->count < least->count)
			least = e;
		if (least->count <= 1)
			break;
	}
	if (!least)
		return;
	HASH_DEL(t->all, least);
	free(least);
}

int64_t tally_count(const struct tally_entry *e)
{
	return e->count;
}

void tally_add(struct tally *t, struct tally_entry *e, int64_t amount)
{
	e->count += amount;
	if (e->count > 0)
		return;
	HASH_DEL(t->all, e);
	free(e);
}

void tally_decay(struct tally *t, int64_t amount)
{
	struct tally_entry *e, *next;

	HASH_ITER (hh, t->all, e, next)
		tally_add(t, e, -amount);
}

/* NOLINTEND(clang-analyzer-unix.Malloc) */
