/*
 * origin: the origin of a page, as a browser sends it.
 *
 * Pure, allocates nothing. Another spelling that can mean only one origin (capitals, a final '/',
 * the default port, an IPv6 address in full) is converted to that origin. A text that no browser
 * would send, or that allows more than its author may think, is refused, with advice.
 *
 * Source: HTML Living Standard, 7.1.1 (origins); URL Standard, 4 (how hosts and ports are written).
 */
#ifndef ROWTAIL_ORIGIN_H
#define ROWTAIL_ORIGIN_H

#include <stdbool.h>

enum { ORIGIN_MAX = 320, ORIGIN_ADVICE_MAX = 200 };

/*
 * Writes the origin that `text` means to usual[ORIGIN_MAX]: an origin, "*" or "null". On failure
 * returns false and writes to advice[ORIGIN_ADVICE_MAX] what to do, as an imperative ("leave the
 * path out …").
 */
bool origin_read(const char *text, char *usual, char *advice);

/* True if any site can give its pages this origin. It then allows as much as "*". */
bool origin_is_anyones(const char *origin);

#endif
