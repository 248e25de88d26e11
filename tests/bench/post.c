/* post: see post.h. */
#include "post.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 4096, BODY_MAX = 65536, HEAD_MAX = 512 };

static void be_connected(struct post *p)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons(p->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;

	if (p->fd >= 0)
		return;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&in, sizeof in) < 0 ||
		setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
		err(1, "port %u", p->port);
}

void post_open(struct post *p, uint16_t port, const char *path, bool pushpin)
{
	*p = (struct post){.fd = -1, .port = port, .path = path, .pushpin = pushpin};
	be_connected(p);
}

static size_t write_body(const struct post *p, char *out, const char *data, size_t length)
{
	static const char before[] = "{\"items\":[{\"channel\":\"default\",\"formats\":"
				     "{\"http-stream\":{\"content\":\"data: ";
	static const char after[] = "\\n\\n\"}}}]}";

	if (length + sizeof before + sizeof after > BODY_MAX)
		errx(64, "--length is too much for --post");
	if (!p->pushpin) {
		memcpy(out, data, length);
		return length;
	}
	memcpy(out, before, sizeof before - 1);
	memcpy(out + sizeof before - 1, data, length);
	memcpy(out + sizeof before - 1 + length, after, sizeof after - 1);
	return sizeof before - 1 + length + sizeof after - 1;
}

/* Reads one answer with Content-Length; without it, its head alone. */
static void wait_answer(const struct post *p)
{
	char text[ANSWER_MAX + 1];
	size_t have = 0;
	const char *body, *said;

	do {
		ssize_t n = read(p->fd, text + have, ANSWER_MAX - have);
		if (n <= 0)
			errx(1, "the peer closed the connection after %zu bytes", have);
		have += (size_t)n;
		text[have] = '\0';
		body = strstr(text, "\r\n\r\n");
		said = strcasestr(text, "\r\nContent-Length:");
	} while (
		!body || (said && have < (size_t)(body + 4 - text) + strtoul(said + 17, NULL, 10)));
	if (strncmp(text, "HTTP/1.1 2", 10) != 0)
		errx(1, "the peer answered a POST: %.200s", text);
}

void post_send(struct post *p, const char *data, size_t length)
{
	static char request[HEAD_MAX + BODY_MAX];
	static char body[BODY_MAX];
	size_t size = write_body(p, body, data, length);
	int head = snprintf(request, HEAD_MAX,
		"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n"
		"Content-Length: %zu\r\n\r\n",
		p->path, p->pushpin ? "application/json" : "text/plain", size);

	be_connected(p);
	memcpy(request + head, body, size);
	size += (size_t)head;
	for (size_t at = 0; at < size;) {
		ssize_t n = write(p->fd, request + at, size - at);
		if (n <= 0)
			err(1, "POST");
		at += (size_t)n;
	}
	wait_answer(p);
	if (p->pushpin) {
		close(p->fd);
		p->fd = -1;
	}
}
