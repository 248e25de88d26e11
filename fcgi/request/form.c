#include "request/form.h"

#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool form_unescape(const char *text, size_t length, char *byte)
{
	int high, low;

	if (length < FORM_ESCAPE_LENGTH || text[0] != '%' || (high = hex(text[1])) < 0 ||
		(low = hex(text[2])) < 0)
		return false;
	*byte = (char)(high << 4 | low);
	return true;
}

/* Decodes from[0..length) in place, adds a NUL, and returns the new length. */
static size_t decode(char *from, size_t length, bool *bad_escape)
{
	size_t in = 0, out = 0;

	*bad_escape = false;
	while (in < length) {
		if (form_unescape(from + in, length - in, from + out)) {
			out++;
			in += FORM_ESCAPE_LENGTH;
			continue;
		}
		*bad_escape |= from[in] == '%';
		from[out++] = (char)(from[in] == '+' ? ' ' : from[in]);
		in++;
	}
	from[out] = '\0';
	return out;
}

void form_init(struct form *f, char *text, size_t length)
{
	f->at = text;
	f->end = text + length;
}

bool form_next(struct form *f, struct form_pair *pair)
{
	char *begin, *end, *equals;
	bool bad_name;

	while (f->at < f->end && *f->at == '&')
		f->at++;
	if (f->at >= f->end)
		return false;
	begin = f->at;
	if (!(end = memchr(begin, '&', (size_t)(f->end - begin))))
		end = f->end;
	f->at = end < f->end ? end + 1 : end;

	if (!(equals = memchr(begin, '=', (size_t)(end - begin)))) {
		pair->value = "";
		pair->value_length = 0;
		pair->bad_escape = false;
		equals = end;
	} else {
		pair->value = equals + 1;
		pair->value_length =
			decode(equals + 1, (size_t)(end - equals - 1), &pair->bad_escape);
	}
	pair->name = begin;
	pair->name_length = decode(begin, (size_t)(equals - begin), &bad_name);
	return true;
}
