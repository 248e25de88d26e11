#include "server/http_params.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "request/form.h"

enum { TEXT_MAX = 512 * 1024 };

struct part {
	const char *at;
	size_t length;
};

/* The path of a target: "/a?b", "http://host/a?b", or "*" (OPTIONS). */
static struct part path_of(const char *target)
{
	const char *host = *target != '/' ? strstr(target, "://") : NULL;

	if (host) {
		target = host + strlen("://");
		target += strcspn(target, "/?#");
		if (*target != '/')
			return (struct part){"/", 1};
	}
	return (struct part){target, strcspn(target, "?#")};
}

/* *length: how many bytes of the path spell the mount point. False if it does not begin so. */
static bool skip_mount(struct part path, const char *mount, size_t *length)
{
	size_t at = 0;

	if (!strcmp(mount, "/"))
		mount = "";
	for (; *mount; mount++) {
		char byte;

		if (at == path.length)
			return false;
		if (form_unescape(path.at + at, path.length - at, &byte))
			at += FORM_ESCAPE_LENGTH;
		else
			byte = path.at[at++];
		if (byte != *mount)
			return false;
	}
	*length = at;
	return at == path.length || path.at[at] == '/';
}

bool http_params_is_below(const char *target, const char *mount)
{
	size_t length;

	return !strcmp(target, "*") || skip_mount(path_of(target), mount, &length);
}

const char *http_params_page(const char *target)
{
	static const char *const pages[] = {"metrics", "status", "status.json", "health"};
	struct part path = path_of(target);

	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
		if (path.length == strlen(pages[i]) + 1 && path.at[0] == '/' &&
			!memcmp(path.at + 1, pages[i], path.length - 1))
			return pages[i];
	return NULL;
}

static void add(struct http_params *p, const char *name, const char *value)
{
	buffer_text(&p->text, name);
	buffer_text(&p->text, "=");
	buffer_append(&p->text, value, strlen(value) + 1);
}

/* Keeps "%00" escaped, because a parameter cannot contain a NUL. */
static void add_path_info(struct http_params *p, struct part path)
{
	char byte;

	buffer_text(&p->text, "PATH_INFO=");
	for (size_t at = 0; at < path.length; at++) {
		if (form_unescape(path.at + at, path.length - at, &byte) && byte)
			at += FORM_ESCAPE_LENGTH - 1;
		else
			byte = path.at[at];
		buffer_append(&p->text, &byte, 1);
	}
	buffer_append(&p->text, "", 1);
}

static void add_url(struct http_params *p, const char *target, const struct http_place *place)
{
	struct part path = path_of(target);
	const char *query = strchr(target, '?');
	size_t mount = 0;

	if (skip_mount(path, place->mount, &mount)) {
		path.at += mount;
		path.length -= mount;
	} else {
		path.length = 0;
	}
	add(p, "REQUEST_URI", target);
	add(p, "SCRIPT_NAME", strcmp(place->mount, "/") ? place->mount : "");
	add_path_info(p, path);
	add(p, "QUERY_STRING", query ? query + 1 : "");
}

/*
 * Appends a field's name as a parameter name. False if the name is ambiguous: X_A and X-A would
 * both become HTTP_X_A.
 */
static bool add_name(struct http_params *p, const char *name)
{
	if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")])
		return false;
	/* Some programs read HTTP_PROXY as a setting (CVE-2016-5385). */
	if (!strcasecmp(name, "Proxy"))
		return false;
	if (strcasecmp(name, "Content-Type") != 0 && strcasecmp(name, "Content-Length") != 0)
		buffer_text(&p->text, "HTTP_");
	for (; *name; name++) {
		char c = (char)(*name == '-' ? '_' : toupper((unsigned char)*name));

		buffer_append(&p->text, &c, 1);
	}
	return true;
}

/* Is field n the first with its name? */
static bool is_first(const struct http_request *q, size_t n)
{
	return http_field(q, q->fields[n].name) == q->fields[n].value;
}

/* Joins all fields of one name into one parameter. RFC 9110, 5.3; RFC 6265, 5.4 (cookies). */
static void add_field(struct http_params *p, const struct http_request *q, size_t n)
{
	const char *name = q->fields[n].name;
	const char *comma = strcasecmp(name, "Cookie") ? ", " : "; ";

	if (!is_first(q, n) || !add_name(p, name))
		return;
	buffer_text(&p->text, "=");
	buffer_text(&p->text, q->fields[n].value);
	for (size_t i = n + 1; i < q->field_count; i++)
		if (!strcasecmp(q->fields[i].name, name)) {
			buffer_text(&p->text, comma);
			buffer_text(&p->text, q->fields[i].value);
		}
	buffer_append(&p->text, "", 1);
}

/* Makes the list of pointers, now that the text no longer moves. */
static bool make_list(struct http_params *p)
{
	char *at = (char *)p->text.data, *end = at + p->text.length;
	size_t count = 0;

	if (p->text.failed)
		return false;
	for (const char *c = at; c < end; c++)
		count += *c == '\0';
	if (!(p->list = malloc((count + 1) * sizeof(*p->list))))
		return false;
	for (count = 0; at < end; at += strlen(at) + 1)
		p->list[count++] = at;
	p->list[count] = NULL;
	return true;
}

bool http_params_make(
	struct http_params *p, const struct http_request *q, const struct http_place *place)
{
	memset(p, 0, sizeof(*p));
	buffer_init(&p->text, TEXT_MAX);
	add(p, "REQUEST_METHOD", q->method);
	add_url(p, q->target, place);
	add(p, "REMOTE_ADDR", place->remote_addr);
	if (place->page)
		add(p, "ROWTAIL_PAGE", place->page);
	for (size_t i = 0; i < q->field_count; i++)
		add_field(p, q, i);
	return make_list(p);
}

void http_params_free(struct http_params *p)
{
	free(p->list);
	p->list = NULL;
	buffer_free(&p->text);
}

static bool is_trusted(const struct network *address, const struct http_trust *trust)
{
	for (size_t i = 0; i < trust->count; i++)
		if (network_has(&trust->proxies[i], address))
			return true;
	return false;
}

/* Removes the last item of a list and reads it. False if it is not an address. */
static bool take_last(const char *list, size_t *length, struct network *address)
{
	size_t end = *length, start;

	while (end > 0 && strchr(" \t", list[end - 1]))
		end--;
	for (start = end; start > 0 && list[start - 1] != ','; start--)
		;
	*length = start > 0 ? start - 1 : 0;
	while (start < end && strchr(" \t", list[start]))
		start++;
	return start < end && network_read_address(address, list + start, end - start);
}

void http_params_client(char client[NETWORK_TEXT], const struct network *peer,
	const struct http_trust *trust, const struct http_request *q)
{
	struct network next, last = {{0}, 0};
	bool known = peer, trusted = peer ? is_trusted(peer, trust) : trust->trust_unix;

	if (peer)
		last = *peer;
	for (size_t n = q->field_count; n > 0 && trusted; n--) {
		const char *list = q->fields[n - 1].value;
		size_t length = strlen(list);

		if (strcasecmp(q->fields[n - 1].name, "X-Forwarded-For") != 0)
			continue;
		while (length > 0 && trusted) {
			/* Stops at an item that is not an address. */
			if (!take_last(list, &length, &next)) {
				trusted = false;
				break;
			}
			last = next;
			known = true;
			trusted = is_trusted(&last, trust);
		}
	}
	*client = '\0';
	if (known)
		network_write(&last, client);
}
