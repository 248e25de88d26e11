/*
 * pace: how often to poll.
 *
 * Pure. The poll finds the commits that the file watch does not report. Once the watch has reported
 * a commit, and no commit came without a notice, the poll is only a safety net: then it is rare
 * while nothing happens. A user who sets --poll gets just that. Times are those of clock_ms().
 */
#ifndef ROWTAIL_PACE_H
#define ROWTAIL_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PACE_RARE_MS = 1000,
	/*
	 * How long to poll at the usual pace after a notice. A look right after the notice may be
	 * too early for the commit, and no second notice follows.
	 */
	PACE_CALM_MS = 3000,
};

struct pace {
	int64_t poll_ms; /* the usual pace */
	bool always; /* the user set it */
	bool proven; /* a notice led to a commit of this file */
	bool announced; /* a notice has come since the last commit that was found */
	bool doubted; /* the last poll found a commit without a notice, which may be on its way */
	bool failed; /* commits have come without a notice: never rest again */
	int64_t noticed_ms; /* time of the last notice */
};

void pace_init(struct pace *p, int64_t poll_ms, bool always);

/* The log was opened, perhaps another file: its watch has not proven itself. */
void pace_begin(struct pace *p);

/* A notice has come, or the watch has begun. */
void pace_noticed(struct pace *p, int64_t now_ms);

/* A look after a notice has found a commit. */
void pace_found(struct pace *p);

/* A poll has found a commit, or none. */
void pace_polled(struct pace *p, bool found, int64_t now_ms);

/* May the polls be rare, as far as notices tell? */
bool pace_may_rest(const struct pace *p, int64_t now_ms);

#endif
