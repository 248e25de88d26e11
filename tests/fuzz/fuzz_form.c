/* links: request/form */
/*
 * The input is a form. There must be as many pairs as pieces, each no longer than its piece, with
 * each bad escape reported. The pairs, written again with every byte escaped, must read the same.
 */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "request/form.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *copy_of(const void *data, size_t size)
{
	char *copy = require_memory(size + 1);

	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = '%';
	return copy;
}

/* The first non-empty piece from `at` on, or NULL; *length is its length. */
static const char *next_piece(const char *at, const char *end, size_t *length)
{
	const char *amp;

	while (at < end && *at == '&')
		at++;
	if (at == end)
		return NULL;
	amp = memchr(at, '&', (size_t)(end - at));
	*length = (size_t)((amp ? amp : end) - at);
	return at;
}

static bool has_bad_escape(const char *text, const char *end)
{
	for (; text < end; text++)
		if (*text == '%' && (end - text < 3 || !isxdigit((unsigned char)text[1]) ||
					    !isxdigit((unsigned char)text[2])))
			return true;
	return false;
}

static void check_pair(const struct form_pair *pair, const char *piece, size_t length)
{
	const char *equals = memchr(piece, '=', length), *end = piece + length;

	require(pair->name[pair->name_length] == '\0', "a NUL ends the name");
	require(pair->value[pair->value_length] == '\0', "a NUL ends the value");
	require(pair->name_length + pair->value_length + (equals ? 1 : 0) <= length,
		"a pair is no longer than its piece");
	require(pair->bad_escape == (equals && has_bad_escape(equals + 1, end)),
		"bad escapes are told");
}

static size_t write_escaped(char *to, const char *text, size_t length)
{
	static const char digits[] = "0123456789aBCdeF";

	for (size_t i = 0; i < length; i++) {
		*to++ = '%';
		*to++ = digits[(uint8_t)text[i] >> 4];
		*to++ = digits[(uint8_t)text[i] & 15];
	}
	return length * 3;
}

static void check_again(const struct form_pair *pair)
{
	char *again = require_memory((pair->name_length + pair->value_length) * 3 + 2);
	size_t length = write_escaped(again, pair->name, pair->name_length);
	struct form_pair same;
	struct form form;

	again[length++] = '=';
	length += write_escaped(again + length, pair->value, pair->value_length);
	form_init(&form, again, length);
	require(form_next(&form, &same), "an escaped pair is a pair");
	require(!same.bad_escape, "its escapes are good");
	require(same.name_length == pair->name_length && same.value_length == pair->value_length &&
			!memcmp(same.name, pair->name, pair->name_length) &&
			!memcmp(same.value, pair->value, pair->value_length),
		"an escaped pair reads the same");
	require(!form_next(&form, &same), "an escaped pair is one pair");
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = copy_of(data, size), *original = copy_of(data, size);
	const char *piece = original, *end = original + size;
	struct form_pair pair;
	struct form form;
	size_t length = 0;

	form_init(&form, copy, size);
	while ((piece = next_piece(piece, end, &length))) {
		require(form_next(&form, &pair), "each piece is a pair");
		check_pair(&pair, piece, length);
		check_again(&pair);
		piece += length;
	}
	require(!form_next(&form, &pair), "each pair is a piece");
	free(copy);
	free(original);
	return 0;
}
