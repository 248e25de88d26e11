/*
 * clock: the monotonic time, in the units that the code uses.
 */
#ifndef ROWTAIL_CLOCK_H
#define ROWTAIL_CLOCK_H

#include <stdint.h>

/* Milliseconds since some start; never goes back, whatever is done to the wall clock. */
int64_t clock_ms(void);

/* The same in microseconds. */
int64_t clock_us(void);

/* Seconds since 1970, UTC: the wall clock, for what expires by it. */
int64_t clock_unix(void);

#endif
