/*
 * channel: names of channels, patterns for them, and what a pattern covers.
 *
 * Pure. A name is 1 to CHANNEL_MAX bytes of UTF-8 without control characters and without '*'.
 * A pattern is one of three: a name; a prefix that ends in '/', followed by '*' ("orders/" + "*"
 * covers all names that begin with orders/, but not orders itself); or '*' alone, which covers all.
 */
#ifndef ROWTAIL_CHANNEL_H
#define ROWTAIL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

enum { CHANNEL_MAX = 255 };

/* Can a row have this as its channel? */
bool channel_is_name(const char *text, size_t length);

/* Is this a name or a pattern? A client may ask for either, and a grant may hold either. */
bool channel_is_pattern(const char *text, size_t length);

/* Can the text (valid by channel_is_pattern) stand for more than one channel? */
bool channel_is_wild(const char *text, size_t length);

/*
 * Does `cover` cover every channel that `pattern` can match? Both are valid patterns. A name covers
 * only itself.
 */
bool channel_covers(
	const char *cover, size_t cover_length, const char *pattern, size_t pattern_length);

/*
 * Gives the range of all texts that begin with a prefix, which ends with '/', for a look-up in an
 * index. The range begins with the prefix and ends before the text that this writes to
 * above[0..length), of the same length: from "orders/" to before "orders0", since '0' is the byte
 * after '/'. length: 1 to CHANNEL_MAX.
 */
void channel_above(char *above, const char *prefix, size_t length);

#endif
