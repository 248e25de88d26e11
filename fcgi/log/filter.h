/*
 * filter: what one stream follows: channels or patterns, and event types.
 *
 * Pure, constant once made, one allocation. Two requests for the same have equal keys, whatever the
 * order of their names, so that their subscribers can share a group.
 */
#ifndef ROWTAIL_FILTER_H
#define ROWTAIL_FILTER_H

#include <stdbool.h>
#include <stddef.h>

struct filter_text {
	const char *text; /* not terminated */
	size_t length;
};

struct filter {
	struct filter_text *channels; /* valid patterns (channel.h) */
	size_t channel_count;
	struct filter_text *events; /* "message" means rows without a type */
	size_t event_count; /* 0: all types */
	bool wild; /* a channel is a pattern */
	bool has_ends; /* rows of type `end` are always wanted */
	char *key; /* the texts themselves */
	size_t key_length;
};

/* There is room for one byte after a key. groups.c uses it to make its own key. */
enum { FILTER_KEY_ROOM = 1 };

/*
 * Makes a filter of sorted, unique texts (as in struct request_list), which it copies. The caller
 * frees it with free(3). NULL if there is no memory.
 */
struct filter *filter_new(const char *const *channels, const size_t *channel_lengths,
	size_t channel_count, const char *const *events, const size_t *event_lengths,
	size_t event_count);

/*
 * From now on, the filter follows rows of type `end` whatever its types: they end a stream. Changes
 * the key, if there are types. Call it before the filter is used.
 */
void filter_follow_ends(struct filter *f);

/* Does it follow all channels, with the pattern "*"? */
bool filter_has_all(const struct filter *f);

/* Does it follow this channel, by its name or by a pattern? */
bool filter_has_channel(const struct filter *f, const char *channel, size_t length);

/* Does another pattern of the filter cover this one? Then it finds whatever this one would. */
bool filter_is_covered(const struct filter *f, const struct filter_text *pattern);

/* type NULL: a row without a type. */
bool filter_has_type(const struct filter *f, const char *type, size_t length);

/* Does it follow a row of this channel and type? */
bool filter_wants(const struct filter *f, const char *channel, size_t channel_length,
	const char *type, size_t type_length);

#endif
