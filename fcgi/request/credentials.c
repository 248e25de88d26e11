#include "request/credentials.h"

#include <string.h>
#include <strings.h>

static const char blanks[] = " \t";

static bool find_bearer(struct credentials *c, const char *authorization)
{
	static const char scheme[] = "Bearer";
	const char *behind;

	if (!authorization || strncasecmp(authorization, scheme, strlen(scheme)))
		return false;
	behind = authorization + strlen(scheme);
	/* Some web servers remove the space before an empty token. */
	if (*behind && !strchr(blanks, *behind))
		return false;
	c->token = behind + strspn(behind, blanks);
	c->length = strlen(c->token);
	while (c->length > 0 && strchr(blanks, c->token[c->length - 1]))
		c->length--;
	return true;
}

/* Removes the quotes around a cookie's value. They are not part of it. */
static void unquote(struct credentials *c)
{
	if (c->length >= 2 && c->token[0] == '"' && c->token[c->length - 1] == '"') {
		c->token++;
		c->length -= 2;
	}
}

/* Finds the first cookie of this name. Skips empty cookies, because they are deleted. */
static bool find_cookie(struct credentials *c, const char *cookie)
{
	static const char name[] = "rowtail_token=";
	struct credentials found = {.is_cookie = true};

	for (; cookie && *cookie; cookie += strcspn(cookie, ";")) {
		cookie += strspn(cookie, "; \t");
		if (strncmp(cookie, name, strlen(name)))
			continue;
		found.token = cookie + strlen(name);
		found.length = strcspn(found.token, "; \t");
		found.more = found.token + found.length;
		unquote(&found);
		if (found.length == 0)
			continue;
		*c = found;
		return true;
	}
	return false;
}

bool credentials_next(struct credentials *c)
{
	return find_cookie(c, c->more);
}

bool credentials_find(struct credentials *c, const char *authorization, const char *access_token,
	const char *cookie)
{
	memset(c, 0, sizeof(*c));
	if (find_bearer(c, authorization))
		return true;
	if (access_token) {
		c->token = access_token;
		c->length = strlen(access_token);
		return true;
	}
	return find_cookie(c, cookie);
}
