/*
 * utf8: checks UTF-8, and tells how many ill-formed bytes one U+FFFD replaces.
 *
 * Pure. Never changes or copies the bytes.
 */
#ifndef ROWTAIL_UTF8_H
#define ROWTAIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/*
 * Examines the sequence that begins at p; `left` (at least 1) bytes follow from p. Returns its
 * length, 1 to 4, if it is well formed (Unicode 15, table 3-7: no surrogates, nothing overlong,
 * nothing above U+10FFFF). Otherwise returns minus the length, 1 to 3, of the maximal subpart that
 * one U+FFFD replaces (section 3.9, as in browsers).
 */
int utf8_step(const uint8_t *p, size_t left);

/* The length of the longest well-formed prefix. */
size_t utf8_valid_prefix(const uint8_t *p, size_t length);

#endif
