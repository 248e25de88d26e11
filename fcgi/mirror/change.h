/*
 * change: one thing that a look at the source brings, in terms of the log.
 */
#ifndef ROWTAIL_MIRROR_CHANGE_H
#define ROWTAIL_MIRROR_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every event, deletion and change of a grant has a number. Numbers grow in the order of commits.
 * So whoever has everything up to a number has a prefix of the log. An event's number is its id.
 */
enum change_kind {
	/*
	 * About the log as a whole; each look has one. number: the highest that there is;
	 * channel: which log it is; first: changes up to this number are no longer listed; last:
	 * how often another server has taken over; flags: CHANGE_FROM_STANDBY…
	 */
	CHANGE_LOG,
	/*
	 * A standby took over. It has what has a number up to `first`, and gives out numbers above
	 * `last`.
	 */
	CHANGE_TIMELINE,
	CHANGE_EVENT, /* channel, event, data, flags (retry), at */
	CHANGE_DELETED, /* the events from `first` to `last` were deleted */
	CHANGE_PRUNED, /* channel ("*": any), last: the highest id deleted from it */
	CHANGE_GRANT, /* subject, channel, at (expiry): there is such a grant */
	CHANGE_REVOKED, /* subject, channel: there is no such grant */
	CHANGE_END, /* channel: it has ended; number: the id of its end */
	CHANGE_OPENED, /* channel: it has not ended after all */
	/*
	 * How much there is to copy. number: events up to this id are not wanted; first: how many
	 * there are after it; last: an estimate for a very long log.
	 */
	CHANGE_SIZE,
};

enum {
	CHANGE_FROM_STANDBY = 1,
	CHANGE_STANDBY_IS_CURRENT = 2, /* it has applied all that it got, and gets more */
};

struct change_text {
	const char *at; /* NULL: SQL's NULL. Without a NUL at its end. Borrowed for the call. */
	size_t length;
};

struct change {
	enum change_kind kind;
	int64_t number, flags, first, last;
	bool has_flags; /* `flags` is not SQL's NULL */
	struct change_text channel, event, data, at, subject;
};

#endif
