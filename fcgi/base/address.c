#include "base/address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Ignores a zone: fe80::1%eth0 becomes fe80::1. */
static bool read_six(const char *address, struct in6_addr *six)
{
	char bare[INET6_ADDRSTRLEN];
	size_t length = strcspn(address, "%");

	if (length >= sizeof(bare))
		return false;
	memcpy(bare, address, length);
	bare[length] = '\0';
	return inet_pton(AF_INET6, bare, six) == 1;
}

void address_name(char name[ADDRESS_NAME], const char *address)
{
	struct in6_addr six;
	const uint8_t *b = six.s6_addr;

	if (!read_six(address, &six))
		snprintf(name, ADDRESS_NAME, "%s", address);
	else if (IN6_IS_ADDR_V4MAPPED(&six))
		snprintf(name, ADDRESS_NAME, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
	else
		snprintf(name, ADDRESS_NAME, "%02x%02x:%02x%02x:%02x%02x:%02x%02x::/64", b[0], b[1],
			b[2], b[3], b[4], b[5], b[6], b[7]);
}
