#include "server/accept.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "server/connection.h"
#include "server/crew.h"

enum {
	ACCEPT_FEW = 8, /* where other processes accept too */
	ACCEPT_ROUND = 128, /* connections to accept before other work is done */
	PAUSE_MS = 100,
	YIELD_MS = 2, /* how long other processes of --processes may accept first */
	TELL_MS = 10000, /* how often to log that accepting pauses */
	OTHER_FILES = 64, /* descriptors that are not streams: database, loop, libfcgi's pair, … */
	SPARE_LEAST = 16, /* of these, for connections that are not streams */
	SPARE_MOST = 512,
};

static struct {
	struct loop_poll polls[LISTEN_MAX];
	struct listener sockets[LISTEN_MAX];
	size_t count;
	struct loop_timer pause;
	bool paused;
	bool yielded; /* the pause let other processes accept first */
	int64_t told_ms; /* 0: never */
} accepting;

static void set_all(int events)
{
	for (size_t i = 0; i < accepting.count; i++)
		loop_poll_set(&accepting.polls[i], events);
}

void accept_go_on(void)
{
	if (!accepting.paused)
		return;
	accepting.paused = false;
	loop_timer_stop(&accepting.pause);
	set_all(LOOP_READ);
}

static void pause_over(struct loop_timer *timer)
{
	accept_go_on();
}

static void pause_accepting(int error)
{
	int64_t now_ms = clock_ms();

	if (accepting.told_ms == 0 || now_ms - accepting.told_ms >= TELL_MS) {
		log_warn("new connections must wait: %s", strerror(error));
		accepting.told_ms = now_ms;
	}
	accepting.paused = true;
	set_all(0);
	loop_timer_start(&accepting.pause, PAUSE_MS, 0);
}

/* Sets TCP_NODELAY; otherwise the second of two writes waits for the peer's acknowledgement. */
static void send_at_once(int fd, const struct sockaddr_storage *peer)
{
	int on = 1;

	if (peer->ss_family == AF_INET || peer->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/*
 * How many connections to accept now. Where other processes of --processes accept too, only a few,
 * and none for a moment if this one has more than its share already. Then one: the others may be
 * busy.
 */
static int next_round(void)
{
	bool ahead = crew_is_ahead(), yielded = accepting.yielded;

	accepting.yielded = false;
	if (crew_size() == 1)
		return ACCEPT_ROUND;
	if (!ahead)
		return ACCEPT_FEW;
	if (yielded)
		return 1;
	accepting.yielded = true;
	accepting.paused = true;
	set_all(0);
	loop_timer_start(&accepting.pause, YIELD_MS, 0);
	return 0;
}

static void ready(struct loop_poll *p, int events, bool failed)
{
	const struct listener *l = &accepting.sockets[p - accepting.polls];
	int most = next_round();

	for (int i = 0; i < most && !accepting.paused && !loop_round_is_long(); i++) {
		struct sockaddr_storage peer = {0};
		socklen_t length = sizeof(peer);
		int fd = accept4(
			l->fd, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			metrics_add(METRIC_ACCEPTED, 1);
			send_at_once(fd, &peer);
			connection_begin(fd, l->protocol);
			crew_set_connections(connections_count());
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			int error = errno;

			if (!connections_make_room())
				pause_accepting(error);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			if (!l->own)
				listen_unblock(l);
			return;
		}
	}
}

bool accept_start(const struct listeners *l)
{
	loop_timer_init(&accepting.pause, pause_over, NULL);
	for (; accepting.count < l->count; accepting.count++) {
		accepting.sockets[accepting.count] = l->list[accepting.count];
		if (!loop_poll_begin(&accepting.polls[accepting.count], l->list[accepting.count].fd,
			    LOOP_READ, ready))
			return false;
	}
	return true;
}

void accept_stop(void)
{
	accepting.paused = false;
	loop_timer_stop(&accepting.pause);
	set_all(0);
}

int64_t accept_streams_fit(int64_t files)
{
	return files >= 2 * OTHER_FILES ? files - OTHER_FILES : files / 2;
}

int64_t accept_raise_limit(int64_t wanted_streams)
{
	struct rlimit limit;
	int64_t fit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return wanted_streams;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		return wanted_streams;
	fit = accept_streams_fit((int64_t)limit.rlim_cur);
	return fit < wanted_streams ? fit : wanted_streams;
}

size_t accept_spare(int64_t streams)
{
	struct rlimit limit;
	int64_t spare;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return SPARE_MOST;
	spare = (int64_t)limit.rlim_cur - streams - OTHER_FILES;
	return spare < SPARE_LEAST ? SPARE_LEAST : spare > SPARE_MOST ? SPARE_MOST : (size_t)spare;
}
