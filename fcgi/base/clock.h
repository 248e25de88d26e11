/*
 * clock: the times that the code uses, in its units.
 *
 * Which one is for what: clock_ms() for what is owed (a sign of life, a look at the grants),
 * clock_awake_ms() for what a peer is given time for (to take bytes, to send its request), and
 * clock_unix() for what expires by the calendar.
 */
#ifndef ROWTAIL_CLOCK_H
#define ROWTAIL_CLOCK_H

#include <stdint.h>

/* Milliseconds since some start; never goes back, whatever is done to the wall clock. */
int64_t clock_ms(void);

/*
 * The same without what passed while this process could not see to its peers: it was stopped, its
 * machine was suspended, or a round of its loop took long. Never goes back.
 *
 * To know of that it has to be called every CLOCK_PULSE_MS or so while something is measured by it:
 * a pause of more than CLOCK_PAUSE_MS between two calls does not count. A pause that follows another
 * at once counts as one pulse, so that a machine that is always late ends what stalls, too.
 */
int64_t clock_awake_ms(void);
enum { CLOCK_PULSE_MS = 250, CLOCK_PAUSE_MS = 1000 };

/* How much of clock_ms() was not counted by clock_awake_ms() so far. */
int64_t clock_absent_ms(void);

/* clock_ms() in microseconds. */
int64_t clock_us(void);

/* Seconds since 1970, UTC: the wall clock, for what expires by it. */
int64_t clock_unix(void);

#endif
