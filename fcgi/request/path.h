/*
 * path: the part of the URL after the mount point, which names a channel.
 *
 * Pure. CGI splits a URL's path into SCRIPT_NAME and PATH_INFO (RFC 3875, sections 4.1.5 and
 * 4.1.13). Web servers fill these differently: some merge "//" to "/", some keep "%2F", some split
 * at a directory that happens to exist in the document root. REQUEST_URI is what the client sent.
 * If all three agree, path reads the channel from REQUEST_URI. If the web server has rewritten the
 * URL, REQUEST_URI is the address of another page, so path reads PATH_INFO.
 */
#ifndef ROWTAIL_PATH_H
#define ROWTAIL_PATH_H

#include <stddef.h>

/* The web server's values; "" if not set. */
struct path {
	const char *request_uri; /* not decoded, including the query: /events/orders%2F42?tail=1 */
	const char *script_name, *path_info;
	const char *mount; /* ROWTAIL_MOUNT; "" if SCRIPT_NAME is the mount point */
};

/*
 * Returns the part after the mount point, decoded once, including its first '/'; "" if it is empty
 * or only slashes. '+' is a plus sign. A "%" without two hexadecimal digits is kept. The result has
 * a NUL after *length bytes, and may contain others. The caller frees it. NULL if there is no
 * memory.
 */
char *path_behind_mount(const struct path *p, size_t *length);

#endif
