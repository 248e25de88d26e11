/*
 * origin: the origin of a page, as a browser sends it.
 *
 * Pure, allocates nothing. What is written in another way, but can mean only one origin (capitals, a
 * final '/', the usual port, an IPv6 address in full), becomes that origin; what no browser would
 * ever send, and what opens more than its author may think, is refused with what would be right.
 *
 * Source: HTML Living Standard, 7.1.1 (origins); URL Standard, 4 (how hosts and ports are written).
 */
#ifndef ROWTAIL_ORIGIN_H
#define ROWTAIL_ORIGIN_H

#include <stdbool.h>

enum { ORIGIN_MAX = 320, ORIGIN_ADVICE_MAX = 200 };

/*
 * Writes what `text` means to usual[ORIGIN_MAX]: an origin, "*" or "null". False: to
 * advice[ORIGIN_ADVICE_MAX] what would be right, as an imperative ("leave the path out …").
 */
bool origin_read(const char *text, char *usual, char *advice);

/* Is it an origin that any site can give its pages? Then it says as little as "*". */
bool origin_is_anyones(const char *origin);

#endif
