/*
 * base64: encodes input for the modules under test, by RFC 4648, sections 4 and 5, without the
 * libraries.
 */
#ifndef ROWTAIL_TESTS_BASE64_H
#define ROWTAIL_TESTS_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const char base64_plain[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Without padding. `out` needs room for four characters per three bytes, and a NUL. */
static inline size_t base64_write(char *out, const char *alphabet, const void *bytes, size_t length)
{
	const uint8_t *in = bytes;
	size_t count = 0;
	uint32_t bits = 0;
	int held = 0;

	for (size_t i = 0; i < length; i++) {
		bits = bits << 8 | in[i];
		for (held += 8; held >= 6; held -= 6)
			out[count++] = alphabet[bits >> (held - 6) & 63];
	}
	if (held > 0)
		out[count++] = alphabet[bits << (6 - held) & 63];
	out[count] = '\0';
	return count;
}

/* With padding, in one line. */
static inline size_t base64_write_padded(char *out, const void *bytes, size_t length)
{
	size_t count = base64_write(out, base64_plain, bytes, length);

	while (count % 4)
		out[count++] = '=';
	out[count] = '\0';
	return count;
}

#endif
