#include "channel.h"

#include <string.h>

#include "utf8.h"

static bool is_control(const unsigned char *p, size_t left)
{
	/* C0, DEL, and C1 (U+0080 to U+009F). */
	return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && left > 1 && p[1] < 0xa0);
}

static bool is_text(const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < length; i++)
		if (is_control(p + i, length - i) || p[i] == '*')
			return false;
	return utf8_valid_prefix(p, length) == length;
}

bool channel_is_name(const char *text, size_t length)
{
	return length >= 1 && length <= CHANNEL_MAX && is_text(text, length);
}

bool channel_is_wild(const char *text, size_t length)
{
	return length >= 1 && text[length - 1] == '*';
}

bool channel_is_pattern(const char *text, size_t length)
{
	if (!channel_is_wild(text, length))
		return channel_is_name(text, length);
	if (length == 1)
		return true;
	return length <= CHANNEL_MAX && text[length - 2] == '/' && length > 2 &&
	       is_text(text, length - 1);
}

bool channel_covers(
	const char *cover, size_t cover_length, const char *pattern, size_t pattern_length)
{
	if (!channel_is_wild(cover, cover_length))
		return cover_length == pattern_length && !memcmp(cover, pattern, cover_length);
	return pattern_length >= cover_length - 1 && !memcmp(cover, pattern, cover_length - 1);
}

void channel_cover_first(struct channel_cover *c, const char *pattern, size_t pattern_length)
{
	c->pattern = pattern;
	c->pattern_length = pattern_length;
	c->wild = channel_is_wild(pattern, pattern_length);
	c->length = pattern_length - (c->wild ? 1 : 0);
}

bool channel_cover_next(struct channel_cover *c)
{
	size_t at = c->length;

	if (c->wild && c->length == 0)
		return false;
	/* A wild cover already ends in '/': the next one ends in the '/' before that. */
	if (c->wild)
		at--;
	while (at > 0 && c->pattern[at - 1] != '/')
		at--;
	/* "/" alone is no pattern: "/" + "*" would be as wide as it is odd, but is allowed in none.
	 */
	if (at == 1)
		at = 0;
	c->length = at;
	c->wild = true;
	return true;
}
