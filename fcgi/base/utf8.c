#include "base/utf8.h"

#include <string.h>

/*
 * Returns how many bytes may follow a lead byte, and the range that the first of them must be in.
 */
static int lead(uint8_t byte, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (byte >= 0xc2 && byte <= 0xdf)
		return 1;
	if (byte >= 0xe0 && byte <= 0xef) {
		if (byte == 0xe0)
			*low = 0xa0;
		if (byte == 0xed)
			*high = 0x9f;
		return 2;
	}
	if (byte >= 0xf0 && byte <= 0xf4) {
		if (byte == 0xf0)
			*low = 0x90;
		if (byte == 0xf4)
			*high = 0x8f;
		return 3;
	}
	return -1;
}

int utf8_step(const uint8_t *p, size_t left)
{
	uint8_t low, high;
	int follow, i;

	if (p[0] < 0x80)
		return 1;
	if ((follow = lead(p[0], &low, &high)) < 0)
		return -1;
	for (i = 1; i <= follow; i++) {
		if ((size_t)i >= left || p[i] < low || p[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return follow + 1;
}

size_t utf8_valid_prefix(const uint8_t *p, size_t length)
{
	size_t at = 0;
	uint64_t word;
	int step;

	while (at < length) {
		while (length - at >= sizeof(word)) {
			memcpy(&word, p + at, sizeof(word));
			if (word & UINT64_C(0x8080808080808080))
				break;
			at += sizeof(word);
		}
		if (at == length)
			break;
		if ((step = utf8_step(p + at, length - at)) < 0)
			return at;
		at += (size_t)step;
	}
	return at;
}
