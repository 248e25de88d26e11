/*
 * filter: what one stream follows: channels or patterns, and event types.
 *
 * Pure, constant once made, one piece of memory. Two requests that ask for the same have equal
 * keys, whatever order they name things in, so that their subscribers can be one group.
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
	struct filter_text *events; /* "message": rows without a type */
	size_t event_count; /* 0: all types */
	bool wild; /* a channel is a pattern */
	char *key; /* which are the texts themselves */
	size_t key_length;
};

/* Behind a key there is room for a byte, with which groups.c makes its own key of it. */
enum { FILTER_KEY_ROOM = 1 };

/*
 * Makes a filter of sorted, unique texts (as struct request_list has them); copies them. NULL
 * without memory; to be given to free(3).
 */
struct filter *filter_new(const char *const *channels, const size_t *channel_lengths,
	size_t channel_count, const char *const *events, const size_t *event_lengths,
	size_t event_count);

/* Are all channels followed, by the pattern "*"? */
bool filter_has_all(const struct filter *f);

bool filter_has_channel(const struct filter *f, const char *channel, size_t length);

/* type NULL: a row without one. */
bool filter_has_type(const struct filter *f, const char *type, size_t length);

/* Both: is a row of this channel and type followed? */
bool filter_wants(const struct filter *f, const char *channel, size_t channel_length,
	const char *type, size_t type_length);

#endif
