/*
 * load: many subscribers in one process; each checks what it receives.
 *
 * Opens streams at a FastCGI responder or a web server, follows them, and prints two lines of JSON:
 * {"state":"open",…} when all streams have received their first record, and {"state":"done",…} when
 * all have received everything. It is cheap, since it shares the machine with what it measures: one
 * thread, one epoll, one read per readiness event.
 *
 * Orders are lines on standard input: "stop" ends it; "resume N" lets N stalled streams read again.
 * End of input means stop, so that nothing is left behind if the driver dies.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "answer.h"
#include "follow.h"
#include "target.h"

enum { READ_SIZE = 256 * 1024, EVENTS_MAX = 512, STREAMS_MAX = 100000 };

enum state { UNCONNECTED, CONNECTING, ASKED, FOLLOWING, STALLED, REACHED, GONE };

struct stream {
	int fd;
	enum state state;
	bool opened; /* already counted as open */
	long rounds;
	int64_t started_ns;
	struct answer answer;
	struct follow follow;
};

static struct {
	const char *connect;
	const char *query; /* of every stream; else its channel and from_id */
	int64_t streams;
	int64_t rounds; /* how often a complete stream starts again; 0: without end */
	int64_t from_id;
	int64_t tail; /* without from_id: begin with so many rows */
	int64_t until_id; /* a stream is complete at this id; -1: once it is open */
	int64_t deadline_ms;
	int64_t stall; /* stop reading once open, until told to resume */
	int64_t hold; /* stay connected until told to stop */
	int64_t channels; /* the streams share so many channels, c/N/x */
	int64_t patterns; /* they follow the patterns c/N/ and a star */
	int64_t any_id; /* the target is a peer: see follow.h */
} options = {.streams = 1,
	.rounds = 1,
	.from_id = -1,
	.until_id = -1,
	.deadline_ms = 60000,
	.channels = 1};

static struct follow_plan plan;

static struct target target;
static struct tally tally;
static struct stream *streams;
static long *waiting; /* streams to be connected */
static long waiting_count, open_count, finished_count, wanted_count;
static int64_t began_ns, read_ns;
static int poller;
static bool stopped, open_told;

static void watch(long i, uint32_t events, int operation)
{
	struct epoll_event e = {.events = events, .data.u64 = (uint64_t)i};

	if (epoll_ctl(poller, operation, streams[i].fd, &e) < 0)
		err(1, "epoll_ctl");
}

static void let_go(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* The stream counts as open even if it fails, so that the driver does not wait for it. */
static void count_open(struct stream *s)
{
	open_count += !s->opened;
	s->opened = true;
	if (open_count != options.streams || open_told)
		return;
	open_told = true;
	printf("{\"state\":\"open\",\"elapsed_ms\":%.2f}\n",
		(double)(payload_now_ns() - began_ns) / 1e6);
	fflush(stdout);
}

static void fail(struct stream *s, int64_t *counter)
{
	if (s->state != REACHED) {
		(*counter)++;
		finished_count++;
	}
	let_go(s);
	s->state = GONE;
	count_open(s);
}

/* A client's time starts when it wants to connect, not when the backlog has room. */
static void want(struct stream *s)
{
	s->fd = -1;
	s->state = UNCONNECTED;
	s->started_ns = payload_now_ns();
	waiting[waiting_count++] = s - streams;
}

static void reached(struct stream *s, int64_t now_ns)
{
	histogram_add(&tally.reach, now_ns - s->started_ns);
	s->rounds++;
	if (options.rounds == 0 || s->rounds < options.rounds) {
		let_go(s);
		want(s);
		return;
	}
	s->state = REACHED;
	finished_count++;
}

static void opened(struct stream *s, int64_t now_ns)
{
	histogram_add(&tally.open, now_ns - s->started_ns);
	count_open(s);
	s->state = FOLLOWING;
	if (options.stall) {
		watch(s - streams, 0, EPOLL_CTL_DEL);
		s->state = STALLED;
	}
}

static void take_line(void *context, const char *text, size_t have, size_t total)
{
	struct stream *s = context;

	follow_line(&s->follow, text, have, total, read_ns, &tally);
}

/* A peer has begun with its head, others with their first record. */
static bool has_begun(const struct stream *s)
{
	return plan.any_id ? s->answer.head_ended && s->answer.status == 200
			   : s->follow.position >= 0;
}

static void take(struct stream *s)
{
	static char bytes[READ_SIZE];
	ssize_t n = read(s->fd, bytes, sizeof bytes);
	int64_t now_ns = read_ns = payload_now_ns();

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		tally.bytes += n;
		answer_feed(&s->answer, bytes, (size_t)n);
		tally.garbage += s->answer.garbled;
	}
	if (s->state == ASKED && has_begun(s))
		opened(s, now_ns);
	if (s->state == FOLLOWING && !options.hold && s->follow.position >= options.until_id)
		reached(s, now_ns);
	else if (s->answer.status != 0 && s->answer.status != 200)
		fail(s, &tally.refused);
	else if (n <= 0 || s->answer.ended)
		fail(s, &tally.closed);
}

static void write_query(char *out, size_t size, int64_t rest)
{
	char from[48] = "";

	if (options.from_id >= 0)
		snprintf(from, sizeof from, "&last_event_id=%lld", (long long)options.from_id);
	else if (options.tail > 0)
		snprintf(from, sizeof from, "&tail=%lld", (long long)options.tail);
	if (options.query)
		snprintf(out, size, "%s", options.query);
	else if (options.channels > 1 || options.patterns)
		snprintf(out, size, "channel=c/%lld/%s%s", (long long)rest,
			options.patterns ? "*" : "x", from);
	else
		snprintf(out, size, "channel=default%s", from);
}

static void ask(struct stream *s)
{
	char query[TARGET_QUERY_MAX];
	struct target_request request;
	int status = 0;
	socklen_t length = sizeof status;

	write_query(query, sizeof query, s->follow.rest);
	target_request(&request, &target, query, "");
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &status, &length) < 0 || status != 0 ||
		target_ask(&request, s->fd) < 0) {
		fail(s, &tally.unconnected);
		return;
	}
	s->state = ASKED;
}

static void begin(long i)
{
	struct stream *s = &streams[i];
	int fd;
	enum target_connect how = target_connect(&target, &fd);

	if (how == TARGET_FULL) {
		tally.retried++;
		waiting[waiting_count++] = i;
		return;
	}
	s->fd = fd;
	if (how == TARGET_FAILED) {
		fail(s, &tally.unconnected);
		return;
	}
	answer_init(&s->answer, target.http, take_line, s);
	follow_init(&s->follow, &plan, (s - streams) % options.channels);
	s->state = CONNECTING;
	watch(i, how == TARGET_CONNECTED ? EPOLLIN : EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
	if (how == TARGET_CONNECTED)
		ask(s);
}

static void begin_waiting(void)
{
	long count = waiting_count;
	int64_t full = tally.retried;

	for (long n = 0; n < count && tally.retried == full; n++)
		begin(waiting[--waiting_count]);
}

static void ready(long i, uint32_t events)
{
	struct stream *s = &streams[i];

	if (s->fd < 0)
		return;
	if (s->state == CONNECTING) {
		ask(s);
		if (s->state == ASKED)
			watch(i, EPOLLIN, EPOLL_CTL_MOD);
	} else if (events != 0) {
		take(s);
	}
}

static void resume(long count)
{
	for (long i = 0; i < options.streams && count > 0; i++) {
		if (streams[i].state != STALLED)
			continue;
		streams[i].state = FOLLOWING;
		watch(i, EPOLLIN, EPOLL_CTL_ADD);
		wanted_count++;
		count--;
	}
}

static void order(void)
{
	char line[64];
	ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);

	if (n < 0 && errno == EINTR)
		return;
	line[n > 0 ? n : 0] = '\0';
	if (strncmp(line, "resume ", 7) == 0)
		resume(strtol(line + 7, NULL, 10));
	else
		stopped = true;
}

static bool ended(void)
{
	if (stopped)
		return true;
	if (payload_now_ns() - began_ns > options.deadline_ms * 1000000)
		return true;
	return !options.hold && wanted_count > 0 && finished_count >= wanted_count;
}

static void run(void)
{
	struct epoll_event events[EVENTS_MAX];

	while (!ended()) {
		if (waiting_count > 0)
			begin_waiting();
		int n = epoll_wait(poller, events, EVENTS_MAX, waiting_count > 0 ? 1 : 200);
		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == UINT64_MAX)
				order();
			else
				ready((long)events[i].data.u64, events[i].events);
		}
	}
}

static void report(void)
{
	const struct tally *t = &tally;
	/* A stream that ends by an order has no deadline. */
	bool open_end = options.hold || options.rounds == 0;
	long late = open_end ? options.streams - open_count : wanted_count - finished_count;

	printf("{\"state\":\"done\",\"late\":%ld,\"lost\":%lld,\"twice\":%lld,\"corrupt\":%lld,"
	       "\"garbage\":%lld,\"gaps\":%lld,\"refused\":%lld,\"closed\":%lld,\"unconnected\":%"
	       "lld,",
		late, (long long)t->lost, (long long)t->twice, (long long)t->corrupt,
		(long long)t->garbage, (long long)t->gaps, (long long)t->refused,
		(long long)t->closed, (long long)t->unconnected);
	printf("\"streams\":%lld,\"events\":%lld,\"bytes\":%lld,\"retried\":%lld,"
	       "\"elapsed_ms\":%.3f,\"span_ms\":%.3f,",
		(long long)options.streams, (long long)t->events, (long long)t->bytes,
		(long long)t->retried, (double)(payload_now_ns() - began_ns) / 1e6,
		(double)(t->last_event_ns - t->first_stamp_ns) / 1e6);
	histogram_print(&t->delivery, "delivery_us", stdout);
	putchar(',');
	histogram_print(&t->open, "open_us", stdout);
	putchar(',');
	histogram_print(&t->reach, "reach_us", stdout);
	puts("}");
}

static void set_up(void)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = UINT64_MAX};

	plan = (struct follow_plan){
		options.channels, options.any_id != 0, options.from_id > 0 ? options.from_id : 0};
	if (target_init(&target, options.connect) < 0)
		errx(64, "--connect unix:PATH or tcp:PORT");
	streams = calloc((size_t)options.streams, sizeof *streams);
	waiting = calloc((size_t)options.streams, sizeof *waiting);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (!streams || !waiting || poller < 0)
		err(1, "start");
	if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
		err(1, "standard input must be a pipe or a terminal");
	wanted_count = options.stall ? 0 : options.streams;
	began_ns = payload_now_ns();
	for (long i = options.streams - 1; i >= 0; i--)
		want(&streams[i]);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {{"connect", required_argument, NULL, 0},
		{"query", required_argument, NULL, 0}, {"streams", required_argument, NULL, 0},
		{"rounds", required_argument, NULL, 0}, {"from", required_argument, NULL, 0},
		{"until", required_argument, NULL, 0}, {"deadline-ms", required_argument, NULL, 0},
		{"stall", no_argument, NULL, 0}, {"hold", no_argument, NULL, 0},
		{"channels", required_argument, NULL, 0}, {"patterns", no_argument, NULL, 0},
		{"any-id", no_argument, NULL, 0}, {"tail", required_argument, NULL, 0},
		{NULL, 0, NULL, 0}};
	const char **texts[] = {&options.connect, &options.query};
	int64_t *values[] = {&options.streams, &options.rounds, &options.from_id, &options.until_id,
		&options.deadline_ms, &options.stall, &options.hold, &options.channels,
		&options.patterns, &options.any_id, &options.tail};
	int index = 0;

	for (int c; (c = getopt_long(argc, argv, "", known, &index)) != -1;) {
		if (c != 0)
			exit(64);
		if (index < 2)
			*texts[index] = optarg;
		else
			*values[index - 2] = optarg ? strtoll(optarg, NULL, 10) : 1;
	}
	if (!options.connect || options.streams < 1 || options.streams > STREAMS_MAX ||
		options.channels < 1)
		errx(64, "--connect is required, --streams is 1 to %d", STREAMS_MAX);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	set_up();
	run();
	report();
	return 0;
}
