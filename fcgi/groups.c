#include "groups.h"

#include <stdlib.h>
#include <string.h>

/* A table that cannot grow stays as it is, and the new pattern is refused. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct followed {
	UT_hash_handle hh;
	struct group **groups;
	unsigned count, capacity;
	size_t length;
	char pattern[]; /* '*' at its end is part of it */
};

/* A group with what only this file uses. */
struct member {
	struct group group; /* first: a group is its member */
	UT_hash_handle hh;
	size_t references;
	size_t key_length;
	char key[]; /* the filter's, then lane and envelope */
};

struct groups {
	struct followed *followed;
	struct member *members;
};

struct groups *groups_new(void)
{
	return calloc(1, sizeof(struct groups));
}

static void drop(struct groups *g, struct followed *f)
{
	HASH_DEL(g->followed, f);
	free(f->groups);
	free(f);
}

void groups_free(struct groups *g)
{
	free(g);
}

static struct followed *find(struct groups *g, const char *pattern, size_t length)
{
	struct followed *f;

	HASH_FIND(hh, g->followed, pattern, length, f);
	return f;
}

static struct followed *add(struct groups *g, const char *pattern, size_t length)
{
	struct followed *f = calloc(1, sizeof(*f) + length);

	if (!f)
		return NULL;
	f->length = length;
	memcpy(f->pattern, pattern, length);
	HASH_ADD_KEYPTR(hh, g->followed, f->pattern, length, f);
	if (!f->hh.tbl) {
		free(f);
		return NULL;
	}
	return f;
}

static bool follow(struct groups *g, const char *pattern, size_t length, struct group *group)
{
	struct followed *f = find(g, pattern, length);
	struct group **groups;

	if (!f && !(f = add(g, pattern, length)))
		return false;
	if (f->count == f->capacity) {
		unsigned capacity = f->capacity ? f->capacity * 2 : 1;

		if (!(groups = realloc(f->groups, capacity * sizeof(struct group *)))) {
			if (f->count == 0)
				drop(g, f);
			return false;
		}
		f->groups = groups;
		f->capacity = capacity;
	}
	f->groups[f->count++] = group;
	return true;
}

static void unfollow(struct groups *g, const char *pattern, size_t length, struct group *group)
{
	struct followed *f = find(g, pattern, length);

	for (unsigned i = 0; f && i < f->count; i++) {
		if (f->groups[i] != group)
			continue;
		f->groups[i] = f->groups[--f->count];
		if (f->count == 0)
			drop(g, f);
		return;
	}
}

static void unfollow_all(struct groups *g, struct group *group, size_t count)
{
	for (size_t i = 0; i < count; i++)
		unfollow(g, group->filter->channels[i].text, group->filter->channels[i].length,
			group);
}

static bool follow_all(struct groups *g, struct group *group)
{
	const struct filter *f = group->filter;

	for (size_t i = 0; i < f->channel_count; i++)
		if (!follow(g, f->channels[i].text, f->channels[i].length, group)) {
			unfollow_all(g, group, i);
			return false;
		}
	return true;
}

static void free_member(struct member *m)
{
	free(m->group.filter);
	free(m);
}

/* A group that nobody has joined yet; it takes the filter over. */
static struct member *make_member(struct filter *filter, enum lane lane, bool envelope)
{
	size_t key_length = filter->key_length + 2;
	struct member *m = calloc(1, sizeof(*m) + key_length);

	if (!m) {
		free(filter);
		return NULL;
	}
	m->group.filter = filter;
	m->group.lane = lane;
	m->group.envelope = envelope;
	m->key_length = key_length;
	memcpy(m->key, filter->key, filter->key_length);
	m->key[filter->key_length] = (char)('0' + lane);
	m->key[filter->key_length + 1] = (char)('0' + envelope);
	return m;
}

struct group *groups_join(struct groups *g, struct filter *filter, enum lane lane, bool envelope)
{
	struct member *m = make_member(filter, lane, envelope), *known = NULL;

	if (!m)
		return NULL;
	HASH_FIND(hh, g->members, m->key, m->key_length, known);
	if (known) {
		free_member(m);
		known->references++;
		return &known->group;
	}
	HASH_ADD_KEYPTR(hh, g->members, m->key, m->key_length, m);
	if (!m->hh.tbl) {
		free_member(m);
		return NULL;
	}
	if (!follow_all(g, &m->group)) {
		HASH_DEL(g->members, m);
		free_member(m);
		return NULL;
	}
	m->references = 1;
	return &m->group;
}

void groups_release(struct groups *g, struct group *group)
{
	struct member *m = (struct member *)group;

	if (--m->references > 0)
		return;
	unfollow_all(g, group, group->filter->channel_count);
	HASH_DEL(g->members, m);
	free_member(m);
}

static void tell(
	struct followed *f, void (*found)(void *context, struct group *group), void *context)
{
	for (unsigned i = 0; f && i < f->count; i++)
		found(context, f->groups[i]);
}

void groups_of_channel(struct groups *g, const char *channel, size_t length,
	void (*found)(void *context, struct group *group), void *context)
{
	char pattern[256];

	tell(find(g, channel, length), found, context);
	tell(find(g, "*", 1), found, context);
	/* "a/b/c" is followed by "a/" and "a/b/", each with '*' behind it. */
	for (size_t i = 1; i < length && i + 1 < sizeof(pattern); i++) {
		if (channel[i] != '/')
			continue;
		memcpy(pattern, channel, i + 1);
		pattern[i + 1] = '*';
		tell(find(g, pattern, i + 2), found, context);
	}
}

void groups_all(struct groups *g, void (*each)(void *context, struct group *group), void *context)
{
	struct member *m, *next;

	HASH_ITER (hh, g->members, m, next)
		each(context, &m->group);
}
