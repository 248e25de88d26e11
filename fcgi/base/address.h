/*
 * address: the name under which rowtail counts a client's address.
 *
 * Pure. An IPv6 address counts as its /64, because one client usually has a whole /64. An IPv4
 * address counts by itself. Its two spellings, 192.0.2.1 and ::ffff:192.0.2.1, give the same name.
 *
 * Source: RFC 4291, sections 2.2 (spellings), 2.5.5.2 (IPv4-mapped); RFC 6177 (a site gets a /64 or
 * more).
 */
#ifndef ROWTAIL_ADDRESS_H
#define ROWTAIL_ADDRESS_H

enum { ADDRESS_NAME = 64 }; /* bytes of a name */

/* address: REMOTE_ADDR. A text that is not an address is copied unchanged, cut to fit. */
void address_name(char name[ADDRESS_NAME], const char *address);

#endif
