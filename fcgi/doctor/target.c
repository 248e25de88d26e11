#include "doctor/target.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_loopback(const char *host)
{
	return !strncmp(host, "127.", 4) || !strncmp(host, "[::1]", 5) ||
	       !strncasecmp(host, "localhost", 9);
}

bool target_read(struct target *t, const char *url, const char **advice)
{
	const char *host = strstr(url, "://"), *end;

	memset(t, 0, sizeof(*t));
	*advice = "a URL begins with http:// or https://";
	t->secure = !strncasecmp(url, "https://", 8);
	if (!host || (!t->secure && strncasecmp(url, "http://", 7) != 0))
		return false;
	host += 3;
	end = host + strcspn(host, "/?#");
	*advice = "a user name does not belong into the URL: pass --header 'Authorization: …'";
	if (memchr(host, '@', (size_t)(end - host)))
		return false;
	*advice = "the URL has no host";
	if (end == host)
		return false;
	*advice = "the URL is too long, or has spaces";
	if (strlen(url) > TARGET_MAX / 2 || strpbrk(url, " \t\r\n"))
		return false;
	t->loopback = is_loopback(host);
	snprintf(t->site, sizeof(t->site), "%.*s", (int)(end - url), url);
	snprintf(t->path, sizeof(t->path), "%s%.*s", *end == '/' ? "" : "/",
		(int)strcspn(end, "?#"), end);
	end += strcspn(end, "?#");
	if (*end == '?')
		snprintf(t->query, sizeof(t->query), "%.*s", (int)strcspn(end + 1, "#"), end + 1);
	return true;
}

static bool names_channel(const char *parameter, size_t length)
{
	static const char *const names[] = {"channel=", "channel[]=", "channel%5b%5d="};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (length >= strlen(names[i]) &&
			!strncasecmp(parameter, names[i], strlen(names[i])))
			return true;
	return false;
}

void target_drop_channels(struct target *t)
{
	char kept[TARGET_MAX] = "";
	size_t used = 0;

	for (const char *p = t->query; *p; p += *p == '&') {
		size_t length = strcspn(p, "&");

		if (!names_channel(p, length))
			used += (size_t)snprintf(kept + used, sizeof(kept) - used, "%s%.*s",
				used ? "&" : "", (int)length, p);
		p += length;
	}
	memcpy(t->query, kept, sizeof(kept));
}

void target_write(
	char url[TARGET_MAX], const struct target *t, const char *more_path, const char *more_query)
{
	size_t length = strlen(t->path);
	bool slashes = *more_path == '/' && length && t->path[length - 1] == '/';
	const char *and = t->query[0] && more_query[0] ? "&" : "";

	if ((size_t)snprintf(url, TARGET_MAX, "%s%s%s%s%s%s%s", t->site, t->path,
		    more_path + (slashes ? 1 : 0), t->query[0] || more_query[0] ? "?" : "",
		    t->query, and, more_query) >= TARGET_MAX)
		url[0] = '\0';
}

bool target_is_same_site(const struct target *t, const char *url)
{
	struct target other;
	const char *advice;

	return target_read(&other, url, &advice) && !strcasecmp(t->site, other.site);
}

static size_t host_length(const char *host)
{
	return *host == '[' ? strcspn(host, "]") : strcspn(host, ":");
}

bool target_is_same_host(const struct target *a, const struct target *b)
{
	const char *one = strstr(a->site, "://") + 3, *two = strstr(b->site, "://") + 3;
	size_t length = host_length(one);

	return length == host_length(two) && !strncasecmp(one, two, length);
}
