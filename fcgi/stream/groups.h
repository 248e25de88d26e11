/*
 * groups: subscribers that follow the same, as one; and the table from a channel to the groups that
 * follow it.
 *
 * A row costs one look-up for its channel and one for each '/' in it, however many follow. Owns the
 * groups and their filters; lists of subscribers hang on them, which are fanout's. The only
 * includer of <uthash.h>.
 */
#ifndef ROWTAIL_GROUPS_H
#define ROWTAIL_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/filter.h"
#include "stream/subscriber.h"

/* A group whose rows no window holds. */
enum { LANE_NONE = -1 };

struct group {
	struct filter *filter; /* owned */
	int lane; /* which of fanout's shared lanes serves it, or LANE_NONE */
	struct subscriber_list idle; /* those that have all there is */
	/* While rows are handed out (fanout.c): the records for this group, as a chain. */
	uint32_t first_match, last_match;
	struct group *next_touched;
};

struct groups;

struct groups *groups_new(void);
/* All groups have been released before. */
void groups_free(struct groups *g);

/*
 * The group of a filter, made when it is new; one more reference to it. Takes the filter over in
 * any case. NULL without memory.
 */
struct group *groups_join(struct groups *g, struct filter *filter, int lane);

/* One reference less; the last one frees the group. */
void groups_release(struct groups *g, struct group *group);

/*
 * Calls `found` for each group that follows the channel; a group that follows it in two ways is
 * told twice. Nothing joins or is released meanwhile.
 */
void groups_of_channel(struct groups *g, const char *channel, size_t length,
	void (*found)(void *context, struct group *group), void *context);

/* Calls `each` for every group; it may not release or join. */
void groups_all(struct groups *g, void (*each)(void *context, struct group *group), void *context);

#endif
