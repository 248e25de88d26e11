/*
 * channel: names of channels, patterns over them, and what a pattern covers.
 *
 * Pure. A name is 1 to CHANNEL_MAX bytes of UTF-8 without control characters and without '*'.
 * A pattern is a name, or a name's beginning that ends in '/' followed by '*' ("orders/" + "*"
 * follows all that begins with orders/, not orders itself), or '*' alone, which covers all.
 */
#ifndef ROWTAIL_CHANNEL_H
#define ROWTAIL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

enum { CHANNEL_MAX = 255 };

/* Is this a name that a row may have? */
bool channel_is_name(const char *text, size_t length);

/* Is this a name or a pattern, so that a client may ask for it and a grant may hold it? */
bool channel_is_pattern(const char *text, size_t length);

/* Does the text (valid by channel_is_pattern) stand for more than one channel? */
bool channel_is_wild(const char *text, size_t length);

/*
 * Does `cover` cover everything that `pattern` can match? Both are valid patterns; a name covers
 * only itself.
 */
bool channel_covers(
	const char *cover, size_t cover_length, const char *pattern, size_t pattern_length);

/*
 * The range of all texts that begin with a prefix, which ends with '/': from the prefix itself to below what
 * this writes into above[0..length), of the same length: from "orders/" to below "orders0", '0' being the
 * byte behind '/'. For looking them up in an index. length: 1 to CHANNEL_MAX.
 */
void channel_above(char *above, const char *prefix, size_t length);

#endif
