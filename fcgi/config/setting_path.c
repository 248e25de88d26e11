/* Settings that are paths or addresses, in the spellings that users know from other programs. */
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "config/setting_impl.h"

#define SCHEME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789+.-"

/* Returns the text after a prefix; NULL if the text does not begin with it. */
static const char *behind(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) ? NULL : text + length;
}

/* In a CONFIG file or the environment, no shell removes quotes or expands "~". */
static bool is_plain_path(const char *text, char *advice)
{
	size_t length = strlen(text);

	if (length > 1 && strchr("\"'", *text) && text[length - 1] == *text)
		return setting_advise(advice, "remove the quotes");
	if (behind(text, "~/"))
		return setting_advise(advice, "write the whole path: ~ is not expanded here");
	return true;
}

bool setting_parse_file(const struct setting *s, struct config *c, const char *text, char *advice)
{
	return is_plain_path(text, advice) && setting_parse_text(s, c, text, advice);
}

/* Advises the plain path for a URI such as file:///var/lib/events.db?mode=ro. */
static bool advise_path(char *advice, const char *path)
{
	const char *host = behind(path, "//");

	if (host && strchr(host, '/'))
		path = strchr(host, '/');
	snprintf(advice, SETTING_ADVICE_MAX,
		"give a plain path, not a URI, as in %.*s; the database is always opened read-only",
		(int)strnlen(path, strcspn(path, "?#") < 100 ? strcspn(path, "?#") : 100), path);
	return false;
}

bool setting_parse_database(
	const struct setting *s, struct config *c, const char *text, char *advice)
{
	/* SQLite would read the first as a URI, and the last as no file at all. */
	if (behind(text, "file:"))
		return advise_path(advice, text + strlen("file:"));
	if (behind(text, "sqlite:") || behind(text, "sqlite3:"))
		return setting_advise(
			advice, "give a plain path, not a URL, as in /var/lib/rowtail/events.db");
	if (behind(text, ":memory:"))
		return setting_advise(advice, "give the path of a file: only the process that made "
					      "an in-memory database can read it");
	return setting_parse_file(s, c, text, advice);
}

/* A socket is first created as PATH~, which must fit as well. */
static bool parse_socket(const struct setting *s, struct config *c, const char *path, char *advice)
{
	enum { MOST = sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("~") };
	size_t length = strlen(path);

	if (path[length - 1] == '/')
		return setting_advise(advice,
			"add a name for the socket in this directory, as in ./rowtail.sock");
	if (length <= MOST)
		return setting_parse_file(s, c, path, advice);
	snprintf(advice, SETTING_ADVICE_MAX, "give the socket a path of at most %d bytes", MOST);
	return false;
}

static bool parse_port(const struct setting *s, struct config *c, const char *text, char *advice)
{
	const char *colon = strrchr(text, ':');
	int64_t port;

	if (!colon)
		return setting_advise(advice, "give a socket path with a '/' in it "
					      "(./rowtail.sock), HOST:PORT or :PORT");
	if (!setting_is_host(text, (size_t)(colon - text)))
		return setting_advise(advice,
			"give HOST:PORT with a name, an IPv4 address or an IPv6 "
			"address in brackets, as in [::1]:9000");
	if (!setting_read_number(colon + 1, 1, 65535, &port))
		return setting_advise(
			advice, "give a port from 1 to 65535, as in 127.0.0.1:9000 or :9000");
	return setting_parse_text(s, c, text, advice);
}

/* tcp:HOST:PORT, with or without slashes: returns the text after it; NULL for other texts. */
static const char *behind_tcp(const char *text)
{
	const char *address = behind(text, "tcp:");

	if (!address)
		return behind(text, "tcp/");
	return address + strspn(address, "/");
}

/* unix:/run/x (nginx, Apache), unix:///run/x, unix//run/x (Caddy): returns the path, or NULL. */
static const char *behind_unix(const char *text)
{
	const char *path = behind(text, "unix:");

	if (!path && behind(text, "unix//"))
		path = text + strlen("unix/");
	while (path && path[0] == '/' && path[1] == '/')
		path++;
	return path;
}

bool setting_parse_listen(const struct setting *s, struct config *c, const char *text, char *advice)
{
	const char *path = behind_unix(text), *address = behind_tcp(text);

	if (!is_plain_path(text, advice))
		return false;
	if (path && strchr(path, '/'))
		return parse_socket(s, c, path, advice);
	if (address)
		return parse_port(s, c, address, advice);
	if (text[0] == '@' || (path && path[0] == '@'))
		return setting_advise(advice, "give a path: a socket in the abstract namespace "
					      "has no permissions");
	if (behind(text + strspn(text, SCHEME_LETTERS), "://"))
		return setting_advise(advice, "give a path, HOST:PORT or :PORT, not a URL");
	if (!path && strchr(text, '/'))
		return parse_socket(s, c, text, advice);
	return parse_port(s, c, path ? path : text, advice);
}
