/*
 * groups: treats subscribers with the same filter and lane as one, and maps each channel to the
 * groups that follow it.
 *
 * A row costs one look-up for its channel and one for each '/' in it, no matter how many streams
 * follow it. Owns the groups and their filters. Each group has a list of subscribers, which fanout
 * owns.
 */
#ifndef ROWTAIL_GROUPS_H
#define ROWTAIL_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/filter.h"
#include "stream/subscriber.h"

/* The lane of a group whose rows are in no window, and the number of the other lanes. */
enum { LANE_NONE = -1, GROUPS_LANES = 8 };

struct group {
	struct filter *filter; /* owned */
	int lane; /* the shared lane of fanout that serves it, or LANE_NONE */
	struct subscriber_list idle; /* streams that have sent all there is */
	int64_t ended; /* the last end of its channels, if all have ended; 0: they have not */
	bool ends; /* an end of its channels was read, and `ended` is not known yet */
	struct group *next_ending;
	/* While fanout hands out rows: the chain of records for this group. */
	uint32_t first_match, last_match;
	struct group *next_touched;
	struct group *previous, *next; /* of the same lane; groups' own */
};

struct groups;

/* NULL if there is no memory. */
struct groups *groups_new(void);
/* All groups must have been released before. */
void groups_free(struct groups *g);

/*
 * Returns the group of a filter, and counts a reference to it. Creates the group if necessary.
 * Takes the filter over, even on failure. NULL if there is no memory.
 */
struct group *groups_join(struct groups *g, struct filter *filter, int lane);

/* Drops a reference; the last one frees the group. */
void groups_release(struct groups *g, struct group *group);

/*
 * Calls `found` for each group that follows the channel, and twice if a group follows it in two
 * ways. `found` must not join or release a group.
 */
void groups_of_channel(struct groups *g, const char *channel, size_t length,
	void (*found)(void *context, struct group *group), void *context);

/* The first group of a lane, NULL if there is none; then follow `next`. The order is arbitrary. */
struct group *groups_of_lane(const struct groups *g, int lane);

/* Calls `each` for every channel or pattern, with the number of streams that follow it. */
void groups_channels(struct groups *g,
	void (*each)(void *context, const char *channel, size_t length, size_t streams),
	void *context);

#endif
