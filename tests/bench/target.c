/* target: see target.h. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fastcgi.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"

static void append(struct target_request *r, const void *bytes, size_t length)
{
	if (r->length + length > sizeof r->bytes)
		abort();
	memcpy(r->bytes + r->length, bytes, length);
	r->length += length;
}

static void append_record(
	struct target_request *r, uint8_t type, const void *content, size_t length)
{
	uint8_t header[FCGI_HEADER_LEN] = {
		FCGI_VERSION_1, type, 0, 1, (uint8_t)(length >> 8), (uint8_t)length};

	append(r, header, sizeof header);
	append(r, content, length);
}

/* Names and values here are all shorter than 128 bytes. */
static size_t pair(char *out, const char *name, const char *value)
{
	size_t name_length = strlen(name), value_length = strlen(value);

	out[0] = (char)name_length;
	out[1] = (char)value_length;
	memcpy(out + 2, name, name_length);
	memcpy(out + 2 + name_length, value, value_length);
	return 2 + name_length + value_length;
}

static void fastcgi_request(struct target_request *r, const char *query, const char *last_event_id)
{
	static const uint8_t begin[8] = {0, FCGI_RESPONDER};
	char uri[128], params[1024];
	size_t length = 0;

	snprintf(uri, sizeof uri, "/events?%s", query);
	const char *pairs[][2] = {{"QUERY_STRING", query}, {"REQUEST_METHOD", "GET"},
		{"CONTENT_TYPE", ""}, {"CONTENT_LENGTH", ""}, {"SCRIPT_NAME", "/events"},
		{"REQUEST_URI", uri}, {"DOCUMENT_URI", "/events"},
		{"DOCUMENT_ROOT", "/var/www/html"}, {"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_SCHEME", "http"}, {"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_SOFTWARE", "bench"}, {"REMOTE_ADDR", "127.0.0.1"},
		{"REMOTE_PORT", "40000"}, {"SERVER_ADDR", "127.0.0.1"}, {"SERVER_PORT", "80"},
		{"SERVER_NAME", "localhost"}, {"HTTP_HOST", "localhost"},
		{"HTTP_ACCEPT", "text/event-stream"}, {"HTTP_CACHE_CONTROL", "no-store"},
		{"HTTP_ACCEPT_LANGUAGE", "en"},
		{"HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64)"},
		{"HTTP_LAST_EVENT_ID", last_event_id}};

	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0] - !*last_event_id; i++)
		length += pair(params + length, pairs[i][0], pairs[i][1]);
	append_record(r, FCGI_BEGIN_REQUEST, begin, sizeof begin);
	append_record(r, FCGI_PARAMS, params, length);
	append_record(r, FCGI_PARAMS, "", 0);
	append_record(r, FCGI_STDIN, "", 0);
}

static void http_request(struct target_request *r, const char *query, const char *last_event_id)
{
	char text[1024];
	int length = snprintf(text, sizeof text,
		"GET /events?%s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
		"Cache-Control: no-store\r\nAccept-Language: en\r\n"
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n%s%s%s\r\n",
		query, *last_event_id ? "Last-Event-ID: " : "", last_event_id,
		*last_event_id ? "\r\n" : "");

	append(r, text, (size_t)length);
}

static int unix_address(struct target *t, const char *path)
{
	struct sockaddr_un un;

	address_unix(&un, path);
	memcpy(&t->address, &un, sizeof un);
	t->address_length = sizeof un;
	return 0;
}

static int tcp_address(struct target *t, const char *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	long number = strtol(port, NULL, 10);

	if (number < 1 || number > 65535)
		return -1;
	in.sin_port = htons((uint16_t)number);
	memcpy(&t->address, &in, sizeof in);
	t->address_length = sizeof in;
	return 0;
}

int target_init(struct target *t, const char *name)
{
	memset(t, 0, sizeof *t);
	if (strncmp(name, "unix:", 5) == 0)
		return unix_address(t, name + 5);
	if (strncmp(name, "tcp:", 4) != 0)
		return -1;
	t->http = true;
	return tcp_address(t, name + 4);
}

void target_request(struct target_request *r, const struct target *t, const char *query,
	const char *last_event_id)
{
	r->length = 0;
	(t->http ? http_request : fastcgi_request)(r, query, last_event_id);
}

enum target_connect target_connect(const struct target *t, int *fd)
{
	int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

	*fd = socket(t->address.ss_family, type, 0);
	if (*fd < 0)
		return TARGET_FAILED;
	if (connect(*fd, (const struct sockaddr *)&t->address, t->address_length) == 0)
		return TARGET_CONNECTED;
	if (errno == EINPROGRESS)
		return TARGET_CONNECTING;
	int why = errno;
	close(*fd);
	*fd = -1;
	return why == EAGAIN ? TARGET_FULL : TARGET_FAILED;
}

int target_ask(const struct target_request *r, int fd)
{
	ssize_t n = write(fd, r->bytes, r->length);
	return n == (ssize_t)r->length ? 0 : -1;
}
