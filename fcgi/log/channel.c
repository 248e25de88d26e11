#include "log/channel.h"

#include <string.h>

#include "base/utf8.h"

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

void channel_above(char *above, const char *prefix, size_t length)
{
	memcpy(above, prefix, length);
	above[length - 1] = '/' + 1;
}
