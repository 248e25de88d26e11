#include "request/path.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "request/form.h"

/* Reads a path a byte at a time. */
struct reader {
	const char *at, *end;
	bool escapes; /* is "%2F" one byte? */
};

enum { END = -1 };

static int read_one(struct reader *r)
{
	char byte;

	if (r->at >= r->end)
		return END;
	if (r->escapes && form_unescape(r->at, (size_t)(r->end - r->at), &byte)) {
		r->at += FORM_ESCAPE_LENGTH;
		return (unsigned char)byte;
	}
	return (unsigned char)*r->at++;
}

/* Returns the next byte; several slashes count as one. */
static int read_merged(struct reader *r)
{
	int byte = read_one(r);
	struct reader ahead = *r;

	while (byte == '/' && read_one(&ahead) == '/')
		*r = ahead;
	return byte;
}

static struct reader reader_of(const char *text, size_t length, bool escapes)
{
	return (struct reader){text, text + length, escapes};
}

/* The path of a request target: "/a?b", or "http://host/a?b" (RFC 9112, section 3.2). */
static struct reader path_of(const char *uri)
{
	const char *host = *uri != '/' ? strstr(uri, "://") : NULL;

	if (host) {
		uri = host + strlen("://");
		uri += strcspn(uri, "/?");
	}
	return reader_of(uri, strcspn(uri, "?"), true);
}

/* Moves both past the same byte, or past an escape that the web server left unchanged. */
static bool take_same(struct reader *raw, struct reader *cooked)
{
	struct reader from = *raw;
	int byte = read_one(raw);
	size_t size = (size_t)(raw->at - from.at);

	if (cooked->at < cooked->end && byte == (unsigned char)*cooked->at)
		cooked->at++;
	else if (size > 1 && (size_t)(cooked->end - cooked->at) >= size &&
		 !memcmp(from.at, cooked->at, size))
		cooked->at += size;
	else
		*raw = from;
	return raw->at > from.at;
}

/* Moves r past a repeated slash, because web servers may merge slashes. */
static bool take_repeated(struct reader *r, bool behind_slash)
{
	struct reader ahead = *r;

	if (!behind_slash || read_one(&ahead) != '/')
		return false;
	*r = ahead;
	return true;
}

/* Are both the same path? */
static bool same_path(struct reader raw, struct reader cooked)
{
	bool behind_slash = false;

	while (raw.at < raw.end || cooked.at < cooked.end) {
		struct reader next = raw;

		if (take_same(&raw, &cooked))
			behind_slash = read_one(&next) == '/';
		else if (!take_repeated(&raw, behind_slash) &&
			 !take_repeated(&cooked, behind_slash))
			return false;
	}
	return true;
}

/* Moves r past the mount point; false if the path is not at or below it. */
static bool skip_mount(struct reader *r, const char *mount)
{
	struct reader m = reader_of(mount, strlen(mount), false), ahead;
	int byte;

	while (m.end > m.at && m.end[-1] == '/')
		m.end--;
	while ((byte = read_merged(&m)) != END)
		if (read_merged(r) != byte)
			return false;
	ahead = *r;
	byte = read_one(&ahead);
	return byte == END || byte == '/';
}

/* Decodes the rest. *length is 0 if the rest is only slashes. */
static void take_rest(struct reader *r, char *to, size_t *length)
{
	bool only_slashes = true;
	int byte;

	*length = 0;
	while ((byte = read_one(r)) != END) {
		to[(*length)++] = (char)byte;
		only_slashes = only_slashes && byte == '/';
	}
	if (only_slashes)
		*length = 0;
	to[*length] = '\0';
}

char *path_behind_mount(const struct path *p, size_t *length)
{
	size_t script = strlen(p->script_name), info = strlen(p->path_info);
	size_t size = script + info, uri = strlen(p->request_uri);
	const char *mount = *p->mount ? p->mount : p->script_name;
	char *text = malloc((size > uri ? size : uri) + 1);
	struct reader raw = path_of(p->request_uri), cooked, rest;

	if (!text)
		return NULL;
	memcpy(text, p->script_name, script);
	memcpy(text + script, p->path_info, info);
	cooked = rest = reader_of(text, size, false);
	if (same_path(raw, cooked) && skip_mount(&raw, mount))
		rest = raw;
	else if (!*p->mount || !skip_mount(&rest, mount))
		rest = reader_of(text + script, info, false);
	take_rest(&rest, text, length);
	return text;
}
