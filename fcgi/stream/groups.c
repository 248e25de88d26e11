#include "stream/groups.h"

#include <stdlib.h>
#include <string.h>

/* If the table cannot grow, it stays unchanged, and the new group is refused. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum {
	PLACES_LEAST = 64,
	PATTERNS_A_PLACE = 2, /* on average; at more, the table grows */
};

/*
 * A channel or pattern of a group. The first follower of each pattern is in the table. It is in a
 * list with the others of its pattern. Streams can follow a hundred patterns each, so this is
 * small.
 */
struct follower {
	union {
		struct follower *next; /* of a first one: in the same slot of the table */
		struct follower *previous; /* of the others: in the list of the pattern */
	};
	struct follower *same; /* the next in the list of the pattern */
	unsigned hash;
	unsigned channel; /* its number in the filter */
};

/* A group, with fields that only this file uses. Its key is the filter's key, then the lane. */
struct member {
	struct group group; /* must be first: a pointer to the group also points to the member */
	UT_hash_handle hh;
	size_t references;
	struct follower followers[]; /* one for each channel of the filter */
};

struct groups {
	struct follower **table; /* by hash */
	size_t places; /* in it; a power of two */
	size_t patterns;
	struct member *members;
	struct group *lanes[GROUPS_LANES + 1]; /* the first of each; LANE_NONE comes first */
};

struct groups *groups_new(void)
{
	struct groups *g = calloc(1, sizeof(*g));

	if (!g || !(g->table = calloc(PLACES_LEAST, sizeof(struct follower *)))) {
		free(g);
		return NULL;
	}
	g->places = PLACES_LEAST;
	return g;
}

void groups_free(struct groups *g)
{
	if (g)
		free(g->table);
	free(g);
}

static unsigned hash_of(const char *text, size_t length)
{
	unsigned hash;

	HASH_VALUE(text, length, hash);
	return hash;
}

static struct member *member_of(const struct follower *f)
{
	return (struct member *)(void *)((char *)(uintptr_t)(f - f->channel) -
					 offsetof(struct member, followers));
}

static const struct filter_text *pattern_of(const struct follower *f)
{
	return &member_of(f)->group.filter->channels[f->channel];
}

/* Where the first follower of a pattern is, or belongs. */
static struct follower **find(
	const struct groups *g, const char *pattern, size_t length, unsigned hash)
{
	struct follower **at = &g->table[hash & (g->places - 1)];

	for (; *at; at = &(*at)->next) {
		const struct filter_text *p = (*at)->hash == hash ? pattern_of(*at) : NULL;

		if (p && p->length == length && !memcmp(p->text, pattern, length))
			break;
	}
	return at;
}

static struct follower **find_of(const struct groups *g, const struct follower *f)
{
	const struct filter_text *pattern = pattern_of(f);

	return find(g, pattern->text, pattern->length, f->hash);
}

/* Doubles the table. Without memory it stays as it is, which is only slower. */
static void grow(struct groups *g)
{
	struct groups larger = {.places = g->places * 2};
	struct follower *f, *next;

	if (!(larger.table = calloc(larger.places, sizeof(struct follower *))))
		return;
	for (size_t i = 0; i < g->places; i++)
		for (f = g->table[i]; f; f = next) {
			struct follower **at = &larger.table[f->hash & (larger.places - 1)];

			next = f->next;
			f->next = *at;
			*at = f;
		}
	free(g->table);
	g->table = larger.table;
	g->places = larger.places;
}

static void follow(struct groups *g, struct follower *f)
{
	struct follower **at = find_of(g, f), *first = *at;

	if (!first) {
		*at = f;
		if (++g->patterns > g->places * PATTERNS_A_PLACE)
			grow(g);
		return;
	}
	f->previous = first;
	f->same = first->same;
	if (f->same)
		f->same->previous = f;
	first->same = f;
}

static void unfollow(struct groups *g, struct follower *f)
{
	struct follower **at = find_of(g, f);

	if (*at != f) {
		f->previous->same = f->same;
		if (f->same)
			f->same->previous = f->previous;
	} else if (f->same) {
		f->same->next = f->next;
		*at = f->same;
	} else {
		*at = f->next;
		g->patterns--;
	}
}

static void follow_all(struct groups *g, struct member *m)
{
	const struct filter *filter = m->group.filter;

	for (size_t i = 0; i < filter->channel_count; i++) {
		const struct filter_text *c = &filter->channels[i];

		m->followers[i] = (struct follower){
			.hash = hash_of(c->text, c->length), .channel = (unsigned)i};
		follow(g, &m->followers[i]);
	}
}

static void unfollow_all(struct groups *g, struct member *m)
{
	for (size_t i = 0; i < m->group.filter->channel_count; i++)
		unfollow(g, &m->followers[i]);
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
	struct member *m = calloc(1, sizeof(*m) + filter->channel_count * sizeof(m->followers[0]));

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
	follow_all(g, m);
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
	unfollow_all(g, m);
	unlink_lane(g, group);
	HASH_DEL(g->members, m);
	free_member(m);
}

static void tell(const struct groups *g, const char *pattern, size_t length,
	void (*found)(void *context, struct group *group), void *context)
{
	struct follower *f = *find(g, pattern, length, hash_of(pattern, length));

	for (; f; f = f->same)
		found(context, &member_of(f)->group);
}

void groups_of_channel(struct groups *g, const char *channel, size_t length,
	void (*found)(void *context, struct group *group), void *context)
{
	char pattern[256];

	tell(g, channel, length, found, context);
	tell(g, "*", 1, found, context);
	/* The patterns "a/" and "a/b/", each with '*' behind it, match "a/b/c". */
	for (size_t i = 1; i < length && i + 1 < sizeof(pattern); i++) {
		if (channel[i] != '/')
			continue;
		memcpy(pattern, channel, i + 1);
		pattern[i + 1] = '*';
		tell(g, pattern, i + 2, found, context);
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
	for (size_t i = 0; i < g->places; i++)
		for (const struct follower *f = g->table[i]; f; f = f->next) {
			const struct filter_text *pattern = pattern_of(f);
			size_t streams = 0;

			for (const struct follower *same = f; same; same = same->same)
				streams += member_of(same)->references;
			each(context, pattern->text, pattern->length, streams);
		}
}
