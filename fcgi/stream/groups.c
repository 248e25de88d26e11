#include "stream/groups.h"

#include <stdlib.h>
#include <string.h>

/* If a table cannot grow, it stays unchanged, and the new pattern is refused. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* A group that follows a pattern: the channel of its filter that has this number. */
struct follower {
	struct group *group;
	size_t channel;
};

/* A pattern. It borrows the text of its first follower, to save memory. */
struct followed {
	UT_hash_handle hh;
	struct follower *followers;
	unsigned count, capacity;
};

/* A group, with fields that only this file uses. Its key is the filter's key, then the lane. */
struct member {
	struct group group; /* must be first: a pointer to the group also points to the member */
	UT_hash_handle hh;
	size_t references;
};

struct groups {
	struct followed *followed;
	struct member *members;
	struct group *lanes[GROUPS_LANES + 1]; /* the first of each; LANE_NONE comes first */
};

struct groups *groups_new(void)
{
	return calloc(1, sizeof(struct groups));
}

static void drop(struct groups *g, struct followed *f)
{
	HASH_DEL(g->followed, f);
	free(f->followers);
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

static struct followed *add(struct groups *g, const struct filter_text *pattern)
{
	struct followed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	HASH_ADD_KEYPTR(hh, g->followed, pattern->text, pattern->length, f);
	if (!f->hh.tbl) {
		free(f);
		return NULL;
	}
	return f;
}

static bool follow(struct groups *g, struct group *group, size_t channel)
{
	const struct filter_text *pattern = &group->filter->channels[channel];
	struct followed *f = find(g, pattern->text, pattern->length);

	if (!f && !(f = add(g, pattern)))
		return false;
	if (f->count == f->capacity) {
		unsigned capacity = f->capacity ? f->capacity * 2 : 1;
		struct follower *followers = realloc(f->followers, capacity * sizeof(*followers));

		if (!followers) {
			if (f->count == 0)
				drop(g, f);
			return false;
		}
		f->followers = followers;
		f->capacity = capacity;
	}
	f->followers[f->count++] = (struct follower){group, channel};
	return true;
}

/* The follower whose text was the key may be gone. Uses the text of another one. */
static void renew_key(struct followed *f)
{
	const struct follower *first = &f->followers[0];

	/* Up to uthash 2.1 the key is not const. */
	f->hh.key = (void *)first->group->filter->channels[first->channel].text;
}

static void unfollow(struct groups *g, struct group *group, size_t channel)
{
	const struct filter_text *pattern = &group->filter->channels[channel];
	struct followed *f = find(g, pattern->text, pattern->length);

	for (unsigned i = 0; f && i < f->count; i++) {
		if (f->followers[i].group != group)
			continue;
		if (f->count == 1) {
			drop(g, f);
			return;
		}
		f->followers[i] = f->followers[--f->count];
		renew_key(f);
		return;
	}
}

static void unfollow_all(struct groups *g, struct group *group, size_t count)
{
	for (size_t i = 0; i < count; i++)
		unfollow(g, group, i);
}

static bool follow_all(struct groups *g, struct group *group)
{
	for (size_t i = 0; i < group->filter->channel_count; i++)
		if (!follow(g, group, i)) {
			unfollow_all(g, group, i);
			return false;
		}
	return true;
}

static void link_lane(struct groups *g, struct group *group)
{
	struct group **first = &g->lanes[group->lane - LANE_NONE];

	group->next = *first;
	if (group->next)
		group->next->previous = group;
	*first = group;
}

static void unlink_lane(struct groups *g, struct group *group)
{
	if (group->previous)
		group->previous->next = group->next;
	else
		g->lanes[group->lane - LANE_NONE] = group->next;
	if (group->next)
		group->next->previous = group->previous;
}

static void free_member(struct member *m)
{
	free(m->group.filter);
	free(m);
}

/* Makes a group that nobody has joined yet. Takes the filter over. */
static struct member *make_member(struct filter *filter, int lane)
{
	struct member *m = calloc(1, sizeof(*m));

	if (!m) {
		free(filter);
		return NULL;
	}
	m->group.filter = filter;
	m->group.lane = lane;
	return m;
}

static struct group *add_member(struct groups *g, struct member *m, size_t key_length)
{
	HASH_ADD_KEYPTR(hh, g->members, m->group.filter->key, key_length, m);
	if (!m->hh.tbl) {
		free_member(m);
		return NULL;
	}
	if (!follow_all(g, &m->group)) {
		HASH_DEL(g->members, m);
		free_member(m);
		return NULL;
	}
	link_lane(g, &m->group);
	m->references = 1;
	return &m->group;
}

struct group *groups_join(struct groups *g, struct filter *filter, int lane)
{
	size_t key_length = filter->key_length + FILTER_KEY_ROOM;
	struct member *m;

	filter->key[filter->key_length] = (char)('0' + lane);
	HASH_FIND(hh, g->members, filter->key, key_length, m);
	if (m) {
		free(filter);
		m->references++;
		return &m->group;
	}
	m = make_member(filter, lane);
	return m ? add_member(g, m, key_length) : NULL;
}

void groups_release(struct groups *g, struct group *group)
{
	struct member *m = (struct member *)group;

	if (--m->references > 0)
		return;
	unfollow_all(g, group, group->filter->channel_count);
	unlink_lane(g, group);
	HASH_DEL(g->members, m);
	free_member(m);
}

static void tell(
	struct followed *f, void (*found)(void *context, struct group *group), void *context)
{
	for (unsigned i = 0; f && i < f->count; i++)
		found(context, f->followers[i].group);
}

void groups_of_channel(struct groups *g, const char *channel, size_t length,
	void (*found)(void *context, struct group *group), void *context)
{
	char pattern[256];

	tell(find(g, channel, length), found, context);
	tell(find(g, "*", 1), found, context);
	/* The patterns "a/" and "a/b/", each with '*' behind it, match "a/b/c". */
	for (size_t i = 1; i < length && i + 1 < sizeof(pattern); i++) {
		if (channel[i] != '/')
			continue;
		memcpy(pattern, channel, i + 1);
		pattern[i + 1] = '*';
		tell(find(g, pattern, i + 2), found, context);
	}
}

struct group *groups_of_lane(const struct groups *g, int lane)
{
	return g->lanes[lane - LANE_NONE];
}

void groups_channels(struct groups *g,
	void (*each)(void *context, const char *channel, size_t length, size_t streams),
	void *context)
{
	struct followed *f, *next;

	HASH_ITER (hh, g->followed, f, next) {
		size_t streams = 0;

		/* cppcheck-suppress uninitvar ; HASH_ITER sets it */
		for (unsigned i = 0; i < f->count; i++)
			streams += ((const struct member *)f->followers[i].group)->references;
		each(context, f->hh.key, f->hh.keylen, streams);
	}
}
