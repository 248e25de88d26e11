/*
 * target: the URL of the stream, and the URLs that are made of it. Pure.
 */
#ifndef ROWTAIL_DOCTOR_TARGET_H
#define ROWTAIL_DOCTOR_TARGET_H

#include <stdbool.h>
#include <stddef.h>

enum { TARGET_MAX = 2048 };

struct target {
	char site[TARGET_MAX]; /* http://host:port, as given, without a user name */
	char path[TARGET_MAX]; /* begins with '/' */
	char query[TARGET_MAX]; /* without '?' */
	bool secure, loopback;
};

/* Reads an absolute http or https URL. On failure *advice says what would be right. */
bool target_read(struct target *t, const char *url, const char **advice);

/* Removes the parameters that name channels from the query. */
void target_drop_channels(struct target *t);

/* Writes the URL with more behind the path and more parameters; either may be "". */
void target_write(char url[TARGET_MAX], const struct target *t, const char *more_path,
	const char *more_query);

/* Is this a URL of the same scheme, host and port? */
bool target_is_same_site(const struct target *t, const char *url);

/* The same host, on any port and with any scheme? */
bool target_is_same_host(const struct target *a, const struct target *b);

#endif
