#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

bool text_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_control(const uint8_t *p, int length)
{
	return p[0] < 0x20 || p[0] == 0x7f || (length == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

size_t text_harmless(char *to, size_t max, const char *from, size_t length, bool keep_controls)
{
	size_t in = 0, out = 0;

	while (in < length) {
		const uint8_t *p = (const uint8_t *)from + in;
		int step = utf8_step(p, length - in);
		bool replace = step < 0 || !*p || (!keep_controls && is_control(p, step));
		size_t size = replace ? strlen(UTF8_REPLACEMENT) : (size_t)step;

		if (size > max - out)
			break;
		memcpy(to + out, replace ? (const uint8_t *)UTF8_REPLACEMENT : p, size);
		out += size;
		in += (size_t)abs(step);
	}
	to[out] = '\0';
	return in;
}

/* Returns how a quote writes the character at p: `<` and `{` as escapes. Updates *size to match. */
static const char *written(const char *p, size_t *size)
{
	const char *escape = *p == '<' ? "\\x3c" : *p == '{' ? "\\x7b" : NULL;

	if (escape)
		*size = strlen(escape);
	return escape ? escape : p;
}

const char *text_quote(struct text_quote *q, const char *text, size_t length)
{
	char harmless[TEXT_QUOTE_MAX + 1];
	bool whole = text_harmless(harmless, TEXT_QUOTE_MAX, text, length, false) == length;
	size_t in = 0, out = 0, all = strlen(harmless);

	while (in < all) {
		size_t step = (size_t)utf8_step((const uint8_t *)harmless + in, all - in);
		size_t size = step;
		const char *from = written(harmless + in, &size);

		if (size > TEXT_QUOTE_MAX - out)
			break;
		memcpy(q->text + out, from, size);
		in += step;
		out += size;
	}
	q->text[out] = '\0';
	if (!whole || in < all)
		memcpy(q->text + out, "…", sizeof("…"));
	return q->text;
}

enum text_digits text_digits(const char *text, size_t length, int64_t *number)
{
	bool beyond = false;

	*number = 0;
	for (size_t i = 0; i < length; i++) {
		int digit = text[i] - '0';

		if (digit < 0 || digit > 9)
			return TEXT_NONE;
		beyond = beyond || *number > (INT64_MAX - digit) / 10;
		if (!beyond)
			*number = *number * 10 + digit;
	}
	if (length == 0)
		return TEXT_NONE;
	return beyond ? TEXT_BEYOND : TEXT_NUMBER;
}

bool text_is_media_type(const char *text, size_t length, const char *type)
{
	size_t type_length = strlen(type);

	while (length > 0 && text_is_blank(*text)) {
		text++;
		length--;
	}
	if (length < type_length || strncasecmp(text, type, type_length) != 0)
		return false;
	return length == type_length || text[type_length] == ';' ||
	       text_is_blank(text[type_length]);
}

static bool is_zero_quality(const char *text, const char *end)
{
	while (text < end && (*text == '0' || *text == '.'))
		text++;
	return text == end || *text == ';' || text_is_blank(*text);
}

/* Is the weight of this element of an Accept header 0? */
static bool is_refused(const char *text, const char *end)
{
	while ((text = memchr(text, ';', (size_t)(end - text)))) {
		do
			text++;
		while (text < end && text_is_blank(*text));
		if (end - text > 2 && (*text == 'q' || *text == 'Q') && text[1] == '=')
			return is_zero_quality(text + 2, end);
	}
	return false;
}

bool text_accepts(const char *accept, const char *type)
{
	for (;;) {
		const char *end = strchrnul(accept, ',');

		if (text_is_media_type(accept, (size_t)(end - accept), type) &&
			!is_refused(accept, end))
			return true;
		if (!*end)
			return false;
		accept = end + 1;
	}
}

const char *text_shell(char *out, size_t size, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "/._-+:,@%=";
	size_t at = 0;

	if (*word && word[strspn(word, plain)] == '\0') {
		snprintf(out, size, "%s", strlen(word) < size ? word : "");
		return out;
	}
	/* A quote takes four bytes: it ends the quoted text, and begins another. */
	if (size < 4 * strlen(word) + 3) {
		*out = '\0';
		return out;
	}
	out[at++] = '\'';
	for (; *word; word++)
		if (*word == '\'')
			at += (size_t)snprintf(out + at, size - at, "'\\''");
		else
			out[at++] = *word;
	out[at++] = '\'';
	out[at] = '\0';
	return out;
}
