#include "base/origin.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

enum { HOST_MAX = 253, LABEL_MAX = 63, SCHEME_MAX = 40, PORT_MAX = 65535 };

/* An origin's parts, in lower case, within a copy of it. */
struct parts {
	char text[ORIGIN_MAX];
	const char *scheme;
	char *host;
	const char *port; /* NULL: none */
	char address[sizeof("[1111:2222:3333:4444:5555:6666:7777:8888]")];
};

static bool advise(char *advice, const char *text)
{
	snprintf(advice, ORIGIN_ADVICE_MAX, "%s", text);
	return false;
}

bool origin_is_anyones(const char *origin)
{
	return !strcmp(origin, "null");
}

/* Checks that need no parsing. */
static bool check_text(const char *text, char *advice)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p > 126)
			return advise(advice,
				"give the host in ASCII, as browsers send it (xn--…): "
				"type location.origin in the console of the page to "
				"see it");
	if (strchr("\"'", *text) && *text)
		return advise(advice, "remove the quotes");
	if (strchr(text, '*'))
		return advise(advice,
			"an origin cannot have a pattern: give each origin by itself, "
			"or * alone, which allows any site, without credentials");
	if (!strstr(text, "://") || !strncmp(text, "://", 3))
		return advise(advice, "give scheme://host or scheme://host:port, as in "
				      "https://app.example.org");
	return true;
}

static bool check_scheme(const char *scheme, char *advice)
{
	/* Browsers send null for pages of the opaque schemes. No pages have the pageless ones. */
	static const char *const opaque[] = {"file", "data", "blob", "about", "javascript",
		"filesystem", "view-source", "mailto"};
	static const char *const pageless[] = {"ws", "wss", "ftp", "ftps", "sftp", "ssh", "unix"};

	if (!*scheme || !strchr(LOWER, *scheme) || strlen(scheme) > SCHEME_MAX ||
		strspn(scheme, LOWER DIGITS "+.-") != strlen(scheme))
		return advise(advice, "give scheme://host or scheme://host:port with a scheme such "
				      "as https");
	for (size_t i = 0; i < sizeof(opaque) / sizeof(*opaque); i++)
		if (!strcmp(scheme, opaque[i]))
			return advise(advice,
				"browsers send null for such pages; null allows every "
				"page without an origin, without credentials");
	for (size_t i = 0; i < sizeof(pageless) / sizeof(*pageless); i++)
		if (!strcmp(scheme, pageless[i]))
			return advise(advice,
				"give the origin of the page, scheme://host with "
				"https or http, not the address that the page connects to");
	return true;
}

/* Splits the part after the scheme into host and port. */
static bool split(struct parts *p, char *advice)
{
	char *end = p->host + strcspn(p->host, "/?#\\"), *colon;

	if (*end && strcmp(end, "/"))
		return advise(advice,
			"remove everything after the host: an origin has no path, and "
			"all pages of its host can read the streams");
	*end = '\0';
	if (strchr(p->host, '@'))
		return advise(advice, "remove the user name: an origin has none");
	colon = *p->host == '[' ? strchr(p->host, ']') : p->host;
	colon = colon ? strchr(colon, ':') : NULL;
	if (colon)
		*colon = '\0';
	p->port = colon ? colon + 1 : NULL;
	if (!*p->host)
		return advise(advice, "the host is missing: give scheme://host");
	return true;
}

static bool is_web(const struct parts *p)
{
	return !strcmp(p->scheme, "https") || !strcmp(p->scheme, "http");
}

/* Browsers leave out the default port, and leading zeros of other ports. */
static bool read_port(struct parts *p, char *advice)
{
	const char *usual = !strcmp(p->scheme, "https")  ? "443"
			    : !strcmp(p->scheme, "http") ? "80"
							 : "";
	int64_t number;

	if (!p->port)
		return true;
	if (text_digits(p->port, strlen(p->port), &number) != TEXT_NUMBER || number < 1 ||
		number > PORT_MAX)
		return advise(advice, "give a port from 1 to 65535 after the ':', as in "
				      "scheme://host:8080, or leave both out");
	p->port += strspn(p->port, "0");
	if (!strcmp(p->port, usual))
		p->port = NULL;
	return true;
}

/* Returns where the longest run of two or more zeros begins, which is written "::"; -1 if none. */
static int longest_zeros(const uint16_t piece[8], int *length)
{
	int first = -1;

	*length = 1;
	for (int i = 0, row = 0; i < 8; i++) {
		row = piece[i] ? 0 : row + 1;
		if (row > *length) {
			*length = row;
			first = i - row + 1;
		}
	}
	return first;
}

/* URL Standard, 4.5: in lower case, without leading zeros, and no part of it as IPv4. */
static bool read_ipv6(struct parts *p, char *advice)
{
	char *out = p->address, *close = strchr(p->host, ']');
	uint16_t piece[8];
	struct in6_addr address;
	int first, length;

	if (close)
		*close = '\0';
	if (!close || close[1] || inet_pton(AF_INET6, p->host + 1, &address) != 1)
		return advise(advice, "give an IPv6 address in brackets, as in "
				      "scheme://[2001:db8::1]:8080");
	for (int i = 0; i < 8; i++)
		piece[i] = (uint16_t)(address.s6_addr[2 * i] << 8 | address.s6_addr[2 * i + 1]);
	first = longest_zeros(piece, &length);
	*out++ = '[';
	for (int i = 0; i < 8; i++) {
		if (i == first) {
			out += snprintf(out, 3, "%s", i == 0 ? "::" : ":");
			i += length - 1;
			continue;
		}
		out += snprintf(out, 6, "%x%s", (unsigned)piece[i], i < 7 ? ":" : "");
	}
	snprintf(out, 2, "]");
	p->host = p->address;
	return true;
}

/* A host whose last label is a number is an IPv4 address. Browsers write it in only one way. */
static bool is_number(const char *label, size_t length)
{
	if (length > 1 && label[0] == '0' && label[1] == 'x')
		return strspn(label + 2, DIGITS "abcdef") >= length - 2;
	return length > 0 && strspn(label, DIGITS) >= length;
}

static bool check_labels(const char *host, char *advice)
{
	for (const char *label = host; *label;) {
		size_t length = strcspn(label, ".");

		if (length == 0)
			return advise(advice,
				label == host ? "an origin cannot have a pattern: give each "
						"host by itself, without a leading dot"
					      : "give the host without an empty part: "
						"scheme://host");
		if (length > LABEL_MAX)
			return advise(advice, "give a host whose parts have at most 63 letters");
		label += length + (label[length] == '.');
	}
	return true;
}

static bool check_host(const struct parts *p, char *advice)
{
	size_t length = strlen(p->host);
	size_t end = length - (p->host[length - 1] == '.');
	size_t last = end;
	struct in_addr address;

	if (strspn(p->host, LOWER DIGITS ".-_") != length || length > HOST_MAX)
		return advise(advice, "give scheme://host with a host of letters, digits, '.' and "
				      "'-'; give each origin by itself");
	if (!check_labels(p->host, advice))
		return false;
	while (last > 0 && p->host[last - 1] != '.')
		last--;
	if (!is_web(p) || !is_number(p->host + last, end - last) ||
		inet_pton(AF_INET, p->host, &address) == 1)
		return true;
	return advise(advice, "give an IPv4 address as four numbers without leading zeros, as in "
			      "http://192.0.2.1");
}

static bool read_origin(struct parts *p, char *advice)
{
	char *colon = strstr(p->text, "://");

	*colon = '\0';
	p->scheme = p->text;
	p->host = colon + strlen("://");
	if (!check_scheme(p->scheme, advice) || !split(p, advice) || !read_port(p, advice))
		return false;
	return *p->host == '[' ? read_ipv6(p, advice) : check_host(p, advice);
}

bool origin_read(const char *text, char *usual, char *advice)
{
	struct parts parts;

	if (!strcmp(text, "*") || !strcasecmp(text, "null")) {
		snprintf(usual, ORIGIN_MAX, "%s", *text == '*' ? "*" : "null");
		return true;
	}
	if (!check_text(text, advice))
		return false;
	if (strlen(text) >= sizeof(parts.text))
		return advise(advice, "give scheme://host with a host of at most 253 letters");
	for (size_t i = 0; i <= strlen(text); i++)
		parts.text[i] =
			(char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
	if (!read_origin(&parts, advice))
		return false;
	snprintf(usual, ORIGIN_MAX, "%s://%s%s%s", parts.scheme, parts.host, parts.port ? ":" : "",
		parts.port ? parts.port : "");
	return true;
}
