/*
 * path: what the URL has behind the mount, which names a channel.
 *
 * Pure. CGI cuts a URL's path into SCRIPT_NAME and PATH_INFO (RFC 3875, sections 4.1.5 and 4.1.13),
 * but what those hold differs: a web server may merge "//" to "/", keep "%2F" as it is, or cut at a
 * directory that happens to lie in its document root. REQUEST_URI holds what the client sent. So the
 * channel is read from there, where both say the same; where a web server has rewritten the URL,
 * REQUEST_URI is another page's address, and PATH_INFO counts.
 */
#ifndef ROWTAIL_PATH_H
#define ROWTAIL_PATH_H

#include <stddef.h>

/* As the web server gave them; "" for one that it did not give. */
struct path {
	const char *request_uri; /* not decoded, with its query: /events/orders%2F42?tail=1 */
	const char *script_name, *path_info;
	const char *mount; /* ROWTAIL_MOUNT, or "" where SCRIPT_NAME is the mount */
};

/*
 * What stands behind the mount, decoded once, its first '/' included; "" where nothing or nothing
 * but slashes stands there. '+' is a plus sign. A "%" without two hexadecimal digits stays.
 * Returns memory for the caller to free, with a NUL behind *length bytes (which may hold another);
 * NULL without memory.
 */
char *path_behind_mount(const struct path *p, size_t *length);

#endif
