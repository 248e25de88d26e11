#include "doctor/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

/* The fields whose values are kept; those of one name are joined. */
struct field {
	const char *name;
	size_t offset;
};

#define KEPT(name, member)                                                                         \
	{                                                                                          \
		name, offsetof(struct answer, member)                                              \
	}
static const struct field fields[] = {
	KEPT("content-type", type),
	KEPT("content-encoding", encoding),
	KEPT("content-length", length),
	KEPT("cache-control", cache_control),
	KEPT("location", location),
	KEPT("server", server),
	KEPT("via", via),
	KEPT("access-control-allow-origin", allow_origin),
	KEPT("access-control-allow-methods", allow_methods),
	KEPT("access-control-allow-headers", allow_headers),
	KEPT("vary", vary),
	KEPT("expires", expires),
	KEPT("x-cache", cache),
	KEPT("x-cache-status", cache),
	KEPT("x-proxy-cache", cache),
	KEPT("cf-cache-status", cache),
};

/* Fields that only one kind of server sends. */
static const char *const cdns[][2] = {
	{"cf-ray", "Cloudflare"},
	{"x-amz-cf-id", "Amazon CloudFront"},
	{"x-fastly-request-id", "Fastly"},
	{"x-akamai-request-id", "Akamai"},
	{"akamai-grn", "Akamai"},
	{"x-azure-ref", "Azure Front Door"},
	{"x-bunny-server", "bunny.net"},
	{"cdn-requestid", "bunny.net"},
	{"x-sucuri-id", "Sucuri"},
	{"x-vercel-id", "Vercel"},
	{"fly-request-id", "Fly.io"},
	{"x-litespeed-cache", "LiteSpeed"},
};

static bool is_named(const char *line, size_t length, const char *name)
{
	return length == strlen(name) && !strncasecmp(line, name, length);
}

static void keep(char *to, const char *value)
{
	size_t used = strlen(to);

	snprintf(to + used, FACTS_FIELD - used, "%s%s", used ? ", " : "", value);
}

static void take_field(struct answer *a, const char *name, size_t length, const char *value)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (is_named(name, length, fields[i].name))
			keep((char *)a + fields[i].offset, value);
	for (size_t i = 0; i < sizeof(cdns) / sizeof(*cdns); i++)
		if (is_named(name, length, cdns[i][0]) && !strstr(a->cdn, cdns[i][1]))
			keep(a->cdn, cdns[i][1]);
	if (is_named(name, length, "access-control-allow-origin"))
		a->allow_origins++;
	else if (is_named(name, length, "access-control-allow-credentials"))
		a->allow_credentials = !strcmp(value, "true");
	else if (is_named(name, length, "x-varnish"))
		a->varnish = true;
	else if (is_named(name, length, "age"))
		text_digits(value, strlen(value), &a->age_s);
}

static void begin(struct answer *a, const char *line)
{
	unsigned major = 1, minor = 0;
	int status = 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		((char *)a + fields[i].offset)[0] = '\0';
	a->allow_origins = 0;
	a->allow_credentials = false;
	if (sscanf(line, "HTTP/%1u.%1u %3d", &major, &minor, &status) != 3 &&
		sscanf(line, "HTTP/%1u %3d", &major, &status) != 2)
		status = 0;
	a->version = (int)(major * 10 + (major == 1 ? minor : 0));
	a->status = status;
}

bool head_line(struct answer *a, const char *bytes, size_t length)
{
	char line[1024];
	const char *colon, *value;

	while (length && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r'))
		length--;
	if (!length)
		return a->status >= 200;
	text_harmless(line, sizeof(line) - 1, bytes, length, false);
	if (!strncasecmp(line, "HTTP/", 5)) {
		begin(a, line);
		return false;
	}
	colon = strchr(line, ':');
	if (!colon)
		return false;
	value = colon + 1;
	value += strspn(value, " \t");
	take_field(a, line, (size_t)(colon - line), value);
	return false;
}
