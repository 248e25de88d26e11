/*
 * utf8: what is well-formed UTF-8, and how much of the ill-formed one U+FFFD replaces.
 *
 * Pure. Never changes or copies the bytes it looks at.
 */
#ifndef ROWTAIL_UTF8_H
#define ROWTAIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/*
 * Looks at the sequence that begins at p, with `left` (at least 1) bytes there. Returns its length,
 * 1 to 4, when it is well formed (Unicode 15, table 3-7: no surrogates, nothing overlong, nothing
 * above U+10FFFF); else minus the length, 1 to 3, of the maximal subpart that one U+FFFD stands for
 * (section 3.9, as browsers do).
 */
int utf8_step(const uint8_t *p, size_t left);

/* The length of the longest well-formed prefix: `length` itself when all of it is. */
size_t utf8_valid_prefix(const uint8_t *p, size_t length);

#endif
