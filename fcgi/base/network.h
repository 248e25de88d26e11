/*
 * network: addresses and ranges of them: 10.0.0.0/8, 192.0.2.1, 2001:db8::/32.
 *
 * Pure. An IPv4 address and its IPv6 spelling (::ffff:192.0.2.1) are the same.
 *
 * Source: RFC 4291, sections 2.2, 2.3 and 2.5.5.2; RFC 4632, section 3.1 (prefixes).
 */
#ifndef ROWTAIL_NETWORK_H
#define ROWTAIL_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NETWORK_TEXT = 46 }; /* bytes of the longest address, including a NUL */

struct network {
	uint8_t bytes[16]; /* IPv6; IPv4 addresses as ::ffff:0:0/96 */
	unsigned bits; /* of the prefix; 128 for a single address */
};

/* Reads ADDRESS or ADDRESS/BITS. False if it is neither, or has bits after the prefix. */
bool network_read(struct network *n, const char *text);

/*
 * Reads one address of length bytes as a proxy writes it. It may have a port (192.0.2.1:80,
 * [::1]:80) or a zone.
 */
bool network_read_address(struct network *n, const char *text, size_t length);

/* Is the address in the range? */
bool network_has(const struct network *range, const struct network *address);

/* Writes an address without its prefix. */
void network_write(const struct network *address, char text[NETWORK_TEXT]);

#endif
