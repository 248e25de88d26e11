/*
 * floor: a minimal FastCGI responder or HTTP server for event streams, as the baseline for
 * rowtail's figures.
 *
 * No SQLite, no filters, no grants, no limits: events arrive as packets on a unix socket, are
 * framed once into one log in memory, and each client is served from there, with one write for all
 * waiting events. It makes simplifications that rowtail must not make: it trusts its peers, keeps
 * every event, reads a request until its empty STDIN record (HTTP: its empty line) and looks only
 * for the position in it.
 *
 * A FAULT breaks one event in 50, so that the benchmark can show that its checks see it. With
 * BEAT-S it wakes up ten times a second, and sends each stream a heartbeat every BEAT-S seconds:
 * the cost of idle streams.
 */
#include <err.h>
#include <errno.h>
#include <fastcgi.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "payload.h"
#include "protocol/record.h"

enum {
	FD_MAX = 65536,
	REQUEST_MAX = 4096,
	PACKET_MAX = 128 * 1024,
	BACKLOG = 4096,
	FAULT_EVERY = 50,
	WAKE_MS = 100,
};
static const size_t log_max = (size_t)8 << 30, ids_max = (size_t)64 << 20;

enum fault { NO_FAULT, LOSE, REPEAT, SWAP, CORRUPT, CUT };

struct client {
	int fd;
	size_t at; /* in the log; SIZE_MAX until the request is complete */
	bool blocked; /* the socket was full: wait for EPOLLOUT */
	size_t have; /* bytes of an incomplete request */
	char *request;
};

static struct client *clients[FD_MAX]; /* by descriptor */
static int live[FD_MAX]; /* the descriptors of all clients, for the fan-out */
static int live_count;
static char *events_log; /* framed events, one after another */
static size_t log_length;
static size_t *starts; /* offset in the log of the event after id N */
static int64_t newest_id;
static enum fault fault;
static bool http; /* events are chunks, else FastCGI records */
static int poller, stream_listener, event_listener, event_source = -1;

static void *reserve(size_t length)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static void watch(int fd, uint32_t events, int operation)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if (epoll_ctl(poller, operation, fd, &e) < 0)
		err(1, "epoll_ctl");
}

/* Frames the content at out + RECORD_HEADER, in place or moved to the front. Returns the size. */
static size_t frame(char *out, size_t content)
{
	if (!http)
		return record_frame((uint8_t *)out, content, 1);
	char size[RECORD_HEADER + 1];
	int before = snprintf(size, sizeof size, "%zx\r\n", content);
	if (before < 0 || before > RECORD_HEADER)
		errx(1, "an event is too long for one chunk");
	memmove(out + before, out + RECORD_HEADER, content);
	memcpy(out, size, (size_t)before);
	memcpy(out + before + content, "\r\n", 2);
	return (size_t)before + content + 2;
}

/* Appends "id: ID", the payload padded to its stated length, and the empty line. */
static void append(int64_t id, const char *data, size_t length)
{
	struct payload p;
	char *record = events_log + log_length;
	char *at = record + RECORD_HEADER;

	if (payload_read(&p, data, length) < 0 || p.length > PAYLOAD_LENGTH_MAX ||
		(size_t)p.length < length || log_length + 2 * (size_t)p.length + 4096 > log_max)
		errx(1, "a bad packet, or more than the log can hold");
	int head = snprintf(at, 64, "id: %lld\ndata: ", (long long)id);
	memcpy(at + head, data, length);
	memset(at + head + length, 'x', (size_t)p.length - length);
	memcpy(at + head + p.length, "\n\n", 2);
	log_length += frame(record, (size_t)head + (size_t)p.length + 2);
}

static void let_go(struct client *c)
{
	for (int i = 0; i < live_count; i++) {
		if (live[i] == c->fd) {
			live[i] = live[--live_count];
			break;
		}
	}
	clients[c->fd] = NULL;
	close(c->fd);
	free(c->request);
	free(c);
}

static void cut_all(void)
{
	while (live_count > 0)
		let_go(clients[live[0]]);
}

/* Appends the event with a fault that the load generator must notice. */
static void append_faulty(int64_t id, char *data, size_t length)
{
	static char held[PACKET_MAX];
	static size_t held_length;
	static int64_t held_id;

	if (id % FAULT_EVERY == 0 && fault == SWAP) {
		memcpy(held, data, length);
		held_length = length;
		held_id = id;
		return;
	}
	if (id % FAULT_EVERY == 0 && fault == CORRUPT)
		data[0] = data[0] == '1' ? '2' : '1';
	if (id % FAULT_EVERY != 0 || fault != LOSE)
		append(id, data, length);
	if (id % FAULT_EVERY == 0 && fault == REPEAT)
		append(id, data, length);
	if (id % FAULT_EVERY == 0 && fault == CUT)
		cut_all();
	if (held_length > 0)
		append(held_id, held, held_length);
	held_length = 0;
}

static void take_event(char *data, size_t length)
{
	if ((size_t)++newest_id >= ids_max / sizeof *starts)
		errx(1, "too many events");
	if (fault == NO_FAULT)
		append(newest_id, data, length);
	else
		append_faulty(newest_id, data, length);
	starts[newest_id] = log_length;
}

/* Sends everything waiting in one write; enables EPOLLOUT if the socket did not take it all. */
static void send_to(struct client *c)
{
	if (c->at >= log_length)
		return;
	ssize_t n = write(c->fd, events_log + c->at, log_length - c->at);
	if (n < 0 && errno != EAGAIN) {
		let_go(c);
		return;
	}
	c->at += n > 0 ? (size_t)n : 0;
	bool blocked = c->at < log_length;
	if (blocked != c->blocked)
		watch(c->fd, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
	c->blocked = blocked;
}

static void fan_out(void)
{
	for (int i = live_count - 1; i >= 0; i--) {
		struct client *c = clients[live[i]];
		if (c->at != SIZE_MAX && !c->blocked)
			send_to(c);
	}
}

/* Called while no stream has anything else to send. */
static void beat(void)
{
	char out[RECORD_HEADER + 16];
	memcpy(out + RECORD_HEADER, ":\n", 2);
	size_t length = frame(out, 2);

	for (int i = live_count - 1; i >= 0; i--) {
		struct client *c = clients[live[i]];
		if (c->at != SIZE_MAX && write(c->fd, out, length) < 0)
			let_go(c);
	}
}

/* Waits until something is ready, or with BEAT-S for a tenth of a second. */
static int wait_ready(struct epoll_event *events, int count, long beat_s)
{
	static int64_t beaten_ns;
	int64_t now_ns = payload_now_ns();

	if (beaten_ns == 0)
		beaten_ns = now_ns;
	if (beat_s > 0 && now_ns - beaten_ns >= beat_s * 1000000000) {
		beaten_ns = now_ns;
		beat();
	}
	return epoll_wait(poller, events, count, beat_s > 0 ? WAKE_MS : -1);
}

static void drain_events(void)
{
	static char packet[PACKET_MAX];
	ssize_t n;

	while ((n = recv(event_source, packet, sizeof packet, MSG_DONTWAIT)) > 0)
		take_event(packet, (size_t)n);
	if (n == 0) {
		close(event_source);
		event_source = -1;
	}
	fan_out();
}

static bool is_whole(const char *request, size_t length)
{
	if (http)
		return memmem(request, length, "\r\n\r\n", 4) != NULL;
	for (size_t at = 0; at + FCGI_HEADER_LEN <= length;) {
		const uint8_t *r = (const uint8_t *)request + at;
		size_t content = (size_t)r[4] << 8 | r[5];
		if (r[1] == FCGI_STDIN && content == 0)
			return true;
		at += FCGI_HEADER_LEN + content + r[6];
	}
	return false;
}

static void begin_stream(struct client *c, const char *request, size_t length)
{
	static const char wanted[] = "last_event_id=";
	const char *found = memmem(request, length, wanted, strlen(wanted));
	int64_t from = newest_id;
	char out[512];

	if (found)
		from = strtoll(found + strlen(wanted), NULL, 10);
	if (from > newest_id)
		from = newest_id;
	c->at = starts[from];
	static const char head[] =
		"Content-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
		"X-Accel-Buffering: no\r\n";
	size_t before = 0;
	if (http)
		before = (size_t)snprintf(out, sizeof out,
			"HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n", head);
	char *body = out + before + RECORD_HEADER;
	int n = snprintf(body, sizeof out - before - RECORD_HEADER - 2,
		"%s%s%sretry: 2000\nid: %lld\nevent: position\ndata: %lld\n\n",
		http ? "" : "Status: 200 OK\r\n", http ? "" : head, http ? "" : "\r\n",
		(long long)from, (long long)from);
	if (write(c->fd, out, before + frame(out + before, (size_t)n)) < 0)
		let_go(c);
	else
		send_to(c);
}

/* The request's bytes are kept only if it is incomplete. */
static void keep(struct client *c, const char *request, size_t length)
{
	if (!c->request)
		c->request = malloc(REQUEST_MAX);
	if (!c->request || length == REQUEST_MAX)
		errx(1, "a request is too long");
	memcpy(c->request, request, length);
	c->have = length;
}

static void take_request(struct client *c)
{
	static char request[REQUEST_MAX + 1];

	if (c->have > 0)
		memcpy(request, c->request, c->have);
	ssize_t n = read(c->fd, request + c->have, REQUEST_MAX - c->have);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		let_go(c);
		return;
	}
	if (c->at != SIZE_MAX)
		return;
	size_t length = c->have + (size_t)n;
	request[length] = '\0';
	if (!is_whole(request, length)) {
		keep(c, request, length);
		return;
	}
	free(c->request);
	c->request = NULL;
	c->have = 0;
	begin_stream(c, request, length);
}

static void accept_clients(void)
{
	int fd;

	while ((fd = accept4(stream_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = calloc(1, sizeof *c);
		if (!c || fd >= FD_MAX)
			errx(1, "too many clients");
		*c = (struct client){.fd = fd, .at = SIZE_MAX};
		clients[fd] = c;
		live[live_count++] = fd;
		watch(fd, EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void ready(int fd, uint32_t events)
{
	if (fd == stream_listener) {
		accept_clients();
	} else if (fd == event_listener) {
		event_source = accept4(event_listener, NULL, NULL, SOCK_CLOEXEC);
		watch(event_source, EPOLLIN, EPOLL_CTL_ADD);
	} else if (fd == event_source) {
		drain_events();
	} else if (clients[fd]) {
		if (events & EPOLLOUT)
			send_to(clients[fd]);
		if (clients[fd] && (events & ~(uint32_t)EPOLLOUT))
			take_request(clients[fd]);
	}
}

static int listen_at(const char *path, int type)
{
	struct sockaddr_un un;
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address_unix(&un, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || listen(fd, BACKLOG) < 0)
		err(1, "%s", path);
	watch(fd, EPOLLIN, EPOLL_CTL_ADD);
	return fd;
}

static int listen_at_port(const char *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, (struct sockaddr *)&in, sizeof in) < 0 || listen(fd, BACKLOG) < 0)
		err(1, "port %s", port);
	watch(fd, EPOLLIN, EPOLL_CTL_ADD);
	return fd;
}

static void preload(long count, long length)
{
	struct payload p = {.length = length};
	static char data[PACKET_MAX];

	for (long i = 1; i <= count; i++) {
		p.id = i;
		p.stamp_ns = payload_now_ns();
		payload_write(data, &p);
		take_event(data, (size_t)length);
	}
}

static enum fault fault_named(const char *name)
{
	static const char *const names[] = {"none", "lose", "repeat", "swap", "corrupt", "cut"};

	for (int i = 0; i <= CUT; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum fault)i;
	errx(64, "--fault none, lose, repeat, swap, corrupt or cut");
}

/* floor STREAM-SOCKET|tcp:PORT EVENT-SOCKET [FAULT [PRELOAD LENGTH [BEAT-S]]] */
int main(int argc, char **argv)
{
	struct epoll_event events[512];
	long beat_s = argc > 6 ? strtol(argv[6], NULL, 10) : 0;

	if (argc < 3)
		errx(64, "usage: floor STREAM-SOCKET|tcp:PORT EVENT-SOCKET [FAULT [PRELOAD "
			 "LENGTH [BEAT-S]]]");
	http = strncmp(argv[1], "tcp:", 4) == 0;
	signal(SIGPIPE, SIG_IGN);
	events_log = reserve(log_max);
	starts = reserve(ids_max);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (argc > 3)
		fault = fault_named(argv[3]);
	if (argc > 5)
		preload(strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10));
	event_listener = listen_at(argv[2], SOCK_SEQPACKET);
	stream_listener = http ? listen_at_port(argv[1] + 4) : listen_at(argv[1], SOCK_STREAM);
	for (;;) {
		int n = wait_ready(events, 512, beat_s);
		for (int i = 0; i < n; i++)
			ready(events[i].data.fd, events[i].events);
	}
}
