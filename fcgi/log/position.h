/*
 * position: where in the log a client asks to begin.
 */
#ifndef ROWTAIL_POSITION_H
#define ROWTAIL_POSITION_H

#include <stdint.h>

enum position_kind {
	POSITION_NONE, /* none given (an empty one counts as none) */
	POSITION_AT, /* `id`: the largest of the valid ones */
	POSITION_MALFORMED, /* given, but none is a number; see `text` */
	POSITION_BEYOND, /* none is valid, but one is a number above INT64_MAX; see `text` */
};

enum { POSITION_TEXT_MAX = 64 };

struct position {
	enum position_kind kind;
	int64_t id; /* >= 0 */
	int64_t before; /* `tail` counts the rows below this id; 0: all */
	int64_t tail; /* without a position: begin with the newest `tail` rows; -1: not asked for */
	/*
	 * One that cannot be honoured, for the `gap` record: valid UTF-8, cut between characters.
	 */
	char text[POSITION_TEXT_MAX + 1];
};

#endif
