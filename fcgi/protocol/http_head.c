#include "protocol/http_head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool fail(struct http_problem *problem, int status, const char *sentence)
{
	*problem = (struct http_problem){status, sentence};
	return false;
}

static bool is_token_byte(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_head_begins_with(char first)
{
	return is_token_byte(first) || first == '\r' || first == '\n';
}

/* "GET /events HTTP/1.1": three words, with one space between them. */
static bool check_request_line(const char *line, size_t length, struct http_problem *problem)
{
	const char *end = line + length, *method = line, *target, *version;

	while (line < end && is_token_byte(*line))
		line++;
	target = line + 1;
	if (line == method || line == end || *line != ' ')
		return fail(problem, 400, "the request line does not begin with a method");
	for (line = target; line < end && *line != ' '; line++)
		if (*line <= ' ' || *line >= 0x7f)
			return fail(problem, 400,
				"the URL has bytes that must be percent-encoded (%XX)");
	if (line == target)
		return fail(problem, 400, "the request line has no URL");
	if (line - target > HTTP_TARGET_MAX)
		return fail(problem, 414, "the URL is longer than 49152 bytes");
	version = line + 1;
	if (line == end || end - version != (ptrdiff_t)strlen("HTTP/1.1") ||
		strncmp(version, "HTTP/", 5) != 0 || !isdigit((unsigned char)version[5]) ||
		version[6] != '.' || !isdigit((unsigned char)version[7]))
		return fail(problem, 400, "the request line does not end with HTTP/1.1");
	if (version[5] != '1' || version[7] > '1')
		return fail(problem, 505, "only HTTP/1.1 and HTTP/1.0 are served here");
	return true;
}

static bool check_field_line(const char *line, size_t length, struct http_problem *problem)
{
	size_t name = 0;

	if (line[0] == ' ' || line[0] == '\t')
		return fail(problem, 400, "a header line begins with white space (obs-fold)");
	while (name < length && is_token_byte(line[name]))
		name++;
	if (name == 0 || name == length || line[name] != ':')
		return fail(problem, 400,
			"a header line is not a name, directly followed by a colon, and a value");
	return true;
}

/* Tab is the only control character allowed. CR and LF may only end a line. */
static bool check_bytes(const char *line, size_t length, struct http_problem *problem)
{
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return fail(problem, 400,
				"the header has a control character; each line must end with CR "
				"LF");
	return true;
}

bool http_head_is_sane(const char *head, size_t length, struct http_problem *problem)
{
	const char *end = head + length, *line = head, *feed;
	size_t fields = 0;

	for (; (feed = memchr(line, '\n', (size_t)(end - line))); line = feed + 1) {
		size_t size = (size_t)(feed - line);

		if (size == 0 || feed[-1] != '\r')
			return fail(problem, 400, "a header line ends with LF instead of CR LF");
		if (--size == 0 && line != head)
			return true;
		if (!check_bytes(line, size, problem))
			return false;
		if (line == head ? !check_request_line(line, size, problem)
				 : !check_field_line(line, size, problem))
			return false;
		if (fields++ > HTTP_FIELDS_MAX)
			return fail(problem, 431, "the request has more than 200 header lines");
	}
	return fail(problem, 400, "the header does not end with an empty line");
}

static size_t count(const struct http_request *q, const char *name)
{
	size_t found = 0;

	for (size_t i = 0; i < q->field_count; i++)
		found += !strcasecmp(q->fields[i].name, name);
	return found;
}

const char *http_field(const struct http_request *q, const char *name)
{
	for (size_t i = 0; i < q->field_count; i++)
		if (!strcasecmp(q->fields[i].name, name))
			return q->fields[i].value;
	return NULL;
}

bool http_head_has_token(const char *list, const char *token)
{
	size_t length = strlen(token);

	while (*list) {
		list += strspn(list, " \t,");
		if (!strncasecmp(list, token, length) &&
			(!list[length] || strchr(" \t,;", list[length])))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

/* A name or an address, with an optional port. RFC 3986, section 3.2.2, without user names. */
static bool is_host(const char *host)
{
	for (; *host; host++)
		if (!isalnum((unsigned char)*host) && !strchr("-._~!$&'()*+;=:[]%", *host))
			return false;
	return true;
}

static bool check_host(const struct http_request *q, struct http_problem *problem)
{
	const char *host = http_field(q, "Host");

	if (count(q, "Host") > 1)
		return fail(problem, 400, "the request has more than one Host header");
	if (!host && !q->is_1_0)
		return fail(problem, 400, "the request has no Host header");
	if (host && !is_host(host))
		return fail(problem, 400, "the Host header is not a host");
	return true;
}

static bool read_length(const char *text, uint64_t *length)
{
	*length = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		if (*length <= UINT64_MAX / 100)
			*length = *length * 10 + (uint64_t)(*text - '0');
	}
	return true;
}

static bool check_length(
	const struct http_request *q, struct http_length *length, struct http_problem *problem)
{
	const char *coding = http_field(q, "Transfer-Encoding");
	const char *digits = http_field(q, "Content-Length");

	if (coding && digits)
		return fail(
			problem, 400, "the request has both Content-Length and Transfer-Encoding");
	if (count(q, "Content-Length") > 1 || (digits && !read_length(digits, &length->length)))
		return fail(problem, 400, "the Content-Length is not one number");
	if (coding && (q->is_1_0 || count(q, "Transfer-Encoding") > 1))
		return fail(
			problem, 400, "Transfer-Encoding must be one header, and only of HTTP/1.1");
	if (coding && strcasecmp(coding, "chunked") != 0)
		return fail(
			problem, 501, "the only Transfer-Encoding that is supported is chunked");
	length->has_length = digits;
	length->chunked = coding;
	if (length->length > HTTP_BODY_MAX)
		return fail(problem, 413,
			"a request, with its parameters and body, can have at most 65536 bytes");
	return true;
}

bool http_head_fields(
	const struct http_request *q, struct http_length *length, struct http_problem *problem)
{
	const char *expect = http_field(q, "Expect");

	memset(length, 0, sizeof(*length));
	if (!check_host(q, problem) || !check_length(q, length, problem))
		return false;
	if (expect && strcasecmp(expect, "100-continue") != 0)
		return fail(problem, 417, "Expect can only be 100-continue");
	return true;
}
