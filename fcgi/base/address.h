/*
 * address: the name under which a client's address is counted.
 *
 * Pure. An IPv6 address counts for its whole /64, which is what one client has. An IPv4 address counts by
 * itself, however it is spelled: 192.0.2.1 and ::ffff:192.0.2.1 are one.
 *
 * Source: RFC 4291, sections 2.2 (spellings), 2.5.5.2 (IPv4-mapped); RFC 6177 (a site gets a /64 or more).
 */
#ifndef ROWTAIL_ADDRESS_H
#define ROWTAIL_ADDRESS_H

enum { ADDRESS_NAME = 64 }; /* bytes of a name */

/* address: REMOTE_ADDR. What is no address is taken as it is, cut to the room there is. */
void address_name(char name[ADDRESS_NAME], const char *address);

#endif
