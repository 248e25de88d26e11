/*
 * gap: why a stream continues without some rows. Each reason is a word in a `gap` record and a
 * label of the counter.
 */
#ifndef ROWTAIL_GAP_H
#define ROWTAIL_GAP_H

enum gap {
	GAP_PRUNED, /* rows after the position were deleted */
	GAP_FUTURE, /* the position is above every id */
	GAP_MALFORMED, /* the position is not a number */
	GAP_LIMIT, /* more rows than --max-replay, or a row that is too large */
	GAP_REPLACED, /* the database file was replaced */
};
enum { GAP_REASONS = GAP_REPLACED + 1 };

/* "pruned", "future", … in the order of the reasons; NULL at the end. */
extern const char *const gap_names[];

#endif
