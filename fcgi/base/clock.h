/*
 * clock: the times that the code uses, in the units that it uses.
 *
 * clock_ms() is for what rowtail has to do on time (send a heartbeat, check the grants).
 * clock_awake_ms() is for time limits on a peer (to take bytes, to send its request).
 * clock_unix() is for expiry dates.
 */
#ifndef ROWTAIL_CLOCK_H
#define ROWTAIL_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary start. Never goes back, even if the wall clock is set. */
int64_t clock_ms(void);

/*
 * clock_ms() without the time in which this process could not serve its peers: because it was
 * stopped, its machine was suspended, or a round of its loop took long. Never goes back.
 *
 * It detects such a pause only if it is called about every CLOCK_PULSE_MS while something is being
 * timed: a pause of more than CLOCK_PAUSE_MS between two calls does not count. A pause that
 * directly follows another counts as one pulse. So stalled peers time out even on a machine that is
 * always late.
 */
int64_t clock_awake_ms(void);
enum { CLOCK_PULSE_MS = 500, CLOCK_PAUSE_MS = 1000 };

/* How much of clock_ms() clock_awake_ms() has left out so far. */
int64_t clock_absent_ms(void);

/* clock_ms() in microseconds. */
int64_t clock_us(void);

/* The wall clock: seconds since 1970, UTC; and in milliseconds. */
int64_t clock_unix(void);
int64_t clock_unix_ms(void);

#endif
