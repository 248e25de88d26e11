#include "base/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* Returns the number of bits in an address of this kind, or 0 if text is not an address. */
static unsigned read_bytes(uint8_t bytes[16], const char *text)
{
	if (inet_pton(AF_INET, text, bytes + sizeof(mapped)) == 1) {
		memcpy(bytes, mapped, sizeof(mapped));
		return 32;
	}
	return inet_pton(AF_INET6, text, bytes) == 1 ? 128 : 0;
}

static bool bit(const uint8_t bytes[16], unsigned n)
{
	return bytes[n / 8] >> (7 - n % 8) & 1;
}

bool network_read(struct network *n, const char *text)
{
	const char *slash = strchr(text, '/');
	char address[NETWORK_TEXT], *end;
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	unsigned size;
	long bits;

	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	size = read_bytes(n->bytes, address);
	if (size == 0)
		return false;
	n->bits = 128;
	if (!slash)
		return true;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	bits = strtol(slash + 1, &end, 10);
	if (*end || bits > (long)size)
		return false;
	n->bits = 128 - size + (unsigned)bits;
	for (unsigned i = n->bits; i < 128; i++)
		if (bit(n->bytes, i))
			return false;
	return true;
}

bool network_read_address(struct network *n, const char *text, size_t length)
{
	char address[NETWORK_TEXT];
	const char *colon = memchr(text, ':', length);

	if (length > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', length);

		if (!close || (close + 1 < text + length && close[1] != ':'))
			return false;
		length = (size_t)(close - ++text);
	} else if (colon && !memchr(colon + 1, ':', length - (size_t)(colon + 1 - text))) {
		length = (size_t)(colon - text);
	}
	if (memchr(text, '%', length))
		length = (size_t)((const char *)memchr(text, '%', length) - text);
	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	n->bits = 128;
	return read_bytes(n->bytes, address) > 0;
}

bool network_has(const struct network *range, const struct network *address)
{
	unsigned whole = range->bits / 8, rest = range->bits % 8;

	if (memcmp(range->bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 || (range->bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

void network_write(const struct network *address, char text[NETWORK_TEXT])
{
	if (!memcmp(address->bytes, mapped, sizeof(mapped)))
		inet_ntop(AF_INET, address->bytes + sizeof(mapped), text, NETWORK_TEXT);
	else
		inet_ntop(AF_INET6, address->bytes, text, NETWORK_TEXT);
}
