#include "publish/site.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "request/credentials.h"
#include "request/request.h"
#include "server/answer.h"

/* The part of host[:port] that counts: without the scheme's port. */
static size_t plain_length(const char *host, size_t length, bool https)
{
	const char *port = https ? ":443" : ":80";
	size_t end = strlen(port);

	return length > end && !strncmp(host + length - end, port, end) ? length - end : length;
}

/* Is the host of this URL, or origin, the host of the request? */
static bool is_host(const char *url, const char *host)
{
	const char *begin = strstr(url, "://");
	bool https = !strncasecmp(url, "https:", 6);
	size_t length, host_length;

	if (!begin || !host)
		return false;
	begin += 3;
	length = plain_length(begin, strcspn(begin, "/?#"), https);
	host_length = plain_length(host, strcspn(host, ", \t"), https);
	return length > 0 && length == host_length && !strncasecmp(begin, host, length);
}

/* No page of another site can choose these fields. A proxy may have replaced Host. */
static bool is_ours(char *const *params, const char *url)
{
	return is_host(url, request_param(params, "HTTP_HOST")) ||
	       is_host(url, request_param(params, "HTTP_X_FORWARDED_HOST"));
}

static bool has_bearer(char *const *params)
{
	struct credentials c;

	return credentials_find(&c, request_param(params, "HTTP_AUTHORIZATION"), NULL, NULL);
}

/* Does it carry something that a browser sends by itself? */
static bool has_login(char *const *params)
{
	const char *user = request_param(params, "REMOTE_USER");
	struct credentials c;

	return (user && *user) ||
	       credentials_find(&c, NULL, NULL, request_param(params, "HTTP_COOKIE"));
}

static bool is_browser(const char *agent)
{
	return agent && (!strncmp(agent, "Mozilla/", 8) || !strncmp(agent, "Opera/", 6));
}

bool site_may_publish(char *const *params, const char *const *allowed)
{
	const char *origin = request_param(params, "HTTP_ORIGIN");
	const char *relation = request_param(params, "HTTP_SEC_FETCH_SITE");
	const char *referer = request_param(params, "HTTP_REFERER");
	struct answer_cors cors = answer_cors_of(origin, allowed);

	if (has_bearer(params))
		return true;
	if (cors.origin && (!cors.any || !has_login(params)))
		return true;
	/* Browsers send it by https, and to the machine itself; "none" is no page at all. */
	if (relation && *relation)
		return !strcmp(relation, "same-origin") || !strcmp(relation, "none");
	if (origin && *origin)
		return is_ours(params, origin);
	if (referer && *referer)
		return is_ours(params, referer);
	/* An old browser may send none of the three. Other programs obey no page. */
	return !has_login(params) || !is_browser(request_param(params, "HTTP_USER_AGENT"));
}
