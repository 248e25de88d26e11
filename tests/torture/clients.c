/*
 * clients: the readers of the torture run, in one process, each with a ledger.
 *
 * clients COUNT SEED TARGET… connects COUNT clients to the targets in turn (see target.h), each
 * with its own filter. A client that loses its connection reconnects with its last event ID. Now
 * and then one stops reading, reads a byte at a time, disconnects, or starts again without a
 * position.
 *
 * Orders are lines on standard input. "tell" prints the counts as one line of JSON. "finish FILE"
 * lets all read to the end of the log, prints the counts, and exits; FILE has a line of ID and
 * NUMBER for each key, and the newest id last. "restored ID" says that a backup replaces the log,
 * with new rows after ID, and prints the counts. The program also exits at the end of standard
 * input.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "ledger.h"
#include "target.h"

enum {
	READ_SIZE = 256 * 1024,
	EVENTS_MAX = 256,
	TARGETS_MAX = 16,
	TICK_MS = 20,
	FINISH_MS = 120000,
};

enum state { AWAY, CONNECTING, READING, STALLED, TRICKLING };

struct client {
	char name[160];
	char query[TARGET_QUERY_MAX];
	const struct target *target;
	struct answer answer;
	struct ledger ledger;
	enum state state;
	int fd;
	int64_t next_ms; /* when it changes what it does: reconnects, reads again, misbehaves */
};

static struct target targets[TARGETS_MAX];
static const char *target_names[TARGETS_MAX];
static size_t target_count;
static struct client *clients;
static size_t client_count;
static struct ledger_tally tally;
static struct {
	int64_t connects, cuts, refused, unconnected, stalls, trickles, vanished, anew, bytes,
		garbled;
} counts;
static int64_t finish_id = -1, finish_ms;
static int64_t last_id[ROW_KEYS], last_number[ROW_KEYS];
static int poller;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 to below - 1. */
static int64_t chance(int64_t below)
{
	return random() % below;
}

static void watch(struct client *c, uint32_t events, int operation)
{
	struct epoll_event e = {.events = events, .data.u64 = (uint64_t)(c - clients)};

	if (epoll_ctl(poller, operation, c->fd, &e) < 0)
		err(1, "epoll_ctl");
}

static void leave(struct client *c, int64_t for_ms)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = AWAY;
	c->next_ms = now_ms() + for_ms;
}

static void take_line(void *context, const char *text, size_t have, size_t total)
{
	struct client *c = context;

	/* A refusal has a sentence as its body. */
	if (c->answer.status == 200)
		ledger_line(&c->ledger, text, have, total, &tally);
}

static void ask(struct client *c)
{
	struct target_request request;
	char position[24] = "";
	int status = 0;
	socklen_t length = sizeof status;

	if (c->ledger.position >= 0)
		snprintf(position, sizeof position, "%" PRId64, c->ledger.position);
	target_request(&request, c->target, c->query, position);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &status, &length) < 0 || status != 0 ||
		target_ask(&request, c->fd) < 0) {
		counts.unconnected++;
		leave(c, 50 + chance(300));
		return;
	}
	watch(c, EPOLLIN, EPOLL_CTL_MOD);
	c->state = READING;
	c->next_ms = now_ms() + 1000 + chance(20000);
}

static void come(struct client *c)
{
	enum target_connect how = target_connect(c->target, &c->fd);

	if (how == TARGET_FULL || how == TARGET_FAILED) {
		counts.unconnected++;
		leave(c, 20 + chance(200));
		return;
	}
	counts.connects++;
	answer_init(&c->answer, c->target->http, take_line, c);
	ledger_connected(&c->ledger);
	c->state = CONNECTING;
	c->next_ms = INT64_MAX;
	watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

/* Takes at most `size` bytes. */
static void take(struct client *c, size_t size)
{
	static char bytes[READ_SIZE];
	ssize_t n = read(c->fd, bytes, size);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		counts.bytes += n;
		answer_feed(&c->answer, bytes, (size_t)n);
	}
	if (c->answer.garbled) {
		counts.garbled++;
		fprintf(stderr, "%s: no framing\n", c->name);
	}
	if (c->answer.status != 0 && c->answer.status != 200) {
		counts.refused++;
		leave(c, 200 + chance(500));
	} else if (n <= 0 || c->answer.ended) {
		counts.cuts++;
		leave(c, 20 + chance(300));
	}
}

/* What a client may do on its own. */
static void have_whim(struct client *c)
{
	int64_t which = finish_id >= 0 ? 100 : chance(100);

	c->next_ms = now_ms() + 1000 + chance(20000);
	if (which < 10) {
		counts.stalls++;
		watch(c, 0, EPOLL_CTL_DEL);
		c->state = STALLED;
		c->next_ms = now_ms() + chance(9000);
	} else if (which < 15) {
		counts.trickles++;
		watch(c, 0, EPOLL_CTL_DEL);
		c->state = TRICKLING;
		c->next_ms = now_ms() + 1000;
	} else if (which < 25) {
		counts.vanished++;
		leave(c, chance(4000));
	} else if (which < 28) {
		counts.anew++;
		ledger_init(&c->ledger, c->name, c->ledger.filter);
		leave(c, chance(1000));
	}
}

static void read_on(struct client *c)
{
	watch(c, EPOLLIN, EPOLL_CTL_ADD);
	c->state = READING;
	c->next_ms = now_ms() + 1000 + chance(20000);
}

/* A client's next action is due. */
static void act(struct client *c)
{
	switch (c->state) {
	case AWAY:
		come(c);
		break;
	case CONNECTING:
		break;
	case READING:
		have_whim(c);
		break;
	case STALLED:
		read_on(c);
		break;
	case TRICKLING:
		c->next_ms = now_ms() + 1000;
		take(c, 1);
		if (c->state == TRICKLING && (chance(10) == 0 || finish_id >= 0))
			read_on(c);
		break;
	}
}

static void print_counts(void)
{
	const struct ledger_tally *t = &tally;

	printf("{\"lost\":%" PRId64 ",\"twice\":%" PRId64 ",\"disorder\":%" PRId64
	       ",\"foreign\":%" PRId64 ",\"corrupt\":%" PRId64 ",\"garbage\":%" PRId64
	       ",\"needless\":%" PRId64 ",\"untold\":%" PRId64 ",\"unlike\":%" PRId64,
		t->lost, t->twice, t->disorder, t->foreign, t->corrupt, t->garbage + counts.garbled,
		t->needless, t->untold, t->unlike);
	printf(",\"deliveries\":%" PRId64 ",\"positions\":%" PRId64 ",\"gaps_pruned\":%" PRId64
	       ",\"gaps_replaced\":%" PRId64 ",\"gaps_other\":%" PRId64 ",\"gaps_owed\":%" PRId64
	       ",\"denied\":%" PRId64,
		t->rows, t->positions, t->gaps[LEDGER_PRUNED], t->gaps[LEDGER_REPLACED],
		t->gaps[LEDGER_OTHER], t->owed, t->denied);
	printf(",\"connects\":%" PRId64 ",\"cuts\":%" PRId64 ",\"refused\":%" PRId64
	       ",\"unconnected\":%" PRId64 ",\"stalls\":%" PRId64 ",\"trickles\":%" PRId64
	       ",\"vanished\":%" PRId64 ",\"anew\":%" PRId64 ",\"bytes\":%" PRId64 "}\n",
		counts.connects, counts.cuts, counts.refused, counts.unconnected, counts.stalls,
		counts.trickles, counts.vanished, counts.anew, counts.bytes);
	fflush(stdout);
}

static void read_end(const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file)
		err(1, "%s", path);
	for (int key = 0; key < ROW_KEYS; key++)
		if (fscanf(file, "%" SCNd64 " %" SCNd64, &last_id[key], &last_number[key]) != 2)
			errx(1, "%s: not the end of a log", path);
	if (fscanf(file, "%" SCNd64, &finish_id) != 1)
		errx(1, "%s: no newest id", path);
	fclose(file);
	finish_ms = now_ms() + FINISH_MS;
}

static void order(void)
{
	static char text[512];
	static size_t length;
	ssize_t n = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
	char *end;

	if (n <= 0)
		exit(0);
	length += (size_t)n;
	text[length] = '\0';
	while ((end = strchr(text, '\n'))) {
		*end = '\0';
		if (!strncmp(text, "finish ", 7))
			read_end(text + 7);
		else {
			if (!strncmp(text, "restored ", 9))
				tally.restored = strtoll(text + 9, NULL, 10);
			print_counts();
		}
		length -= (size_t)(end + 1 - text);
		memmove(text, end + 1, length + 1);
	}
}

/*
 * Whether all clients have read to the end. A client that has not by the deadline misses the rest.
 */
static bool all_finished(void)
{
	size_t late = 0;

	if (finish_id < 0)
		return false;
	for (size_t i = 0; i < client_count; i++)
		late += clients[i].ledger.position < finish_id;
	if (late > 0 && now_ms() < finish_ms)
		return false;
	if (late > 0)
		fprintf(stderr, "%zu clients are not at the end of the log\n", late);
	for (size_t i = 0; i < client_count; i++)
		ledger_close(&clients[i].ledger, last_id, last_number, &tally);
	return true;
}

static void run(void)
{
	struct epoll_event events[EVENTS_MAX];

	while (!all_finished()) {
		int n = epoll_wait(poller, events, EVENTS_MAX, TICK_MS);
		int64_t now = now_ms();

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++) {
			struct client *c = &clients[events[i].data.u64];

			if (events[i].data.u64 == UINT64_MAX)
				order();
			else if (c->state == CONNECTING)
				ask(c);
			else if (c->state == READING)
				take(c, READ_SIZE);
		}
		for (size_t i = 0; i < client_count; i++)
			if (now >= clients[i].next_ms)
				act(&clients[i]);
	}
}

/* All keys whose channel this name or pattern covers. */
static uint64_t keys_of(const char *channel)
{
	size_t length = strlen(channel);
	uint64_t keys = 0;

	for (int key = 0; key < ROW_KEYS; key++)
		if (!strcmp(channel, "*") || !strcmp(channel, row_channel(key)) ||
			(channel[length - 1] == '*' &&
				!strncmp(channel, row_channel(key), length - 1)))
			keys |= UINT64_C(1) << key;
	return keys;
}

static uint64_t add_channel(struct client *c)
{
	static const char *const patterns[] = {"a/*", "b/*", "c/*", "d/*", "*"};
	char channel[8];
	size_t length = strlen(c->query);

	snprintf(channel, sizeof channel, "%s",
		chance(4) ? row_channel((int)chance(ROW_KEYS)) : patterns[chance(5)]);
	snprintf(c->query + length, sizeof c->query - length, "%schannel=%s", length ? "&" : "",
		channel);
	return keys_of(channel);
}

static uint64_t add_type(struct client *c)
{
	int type = (int)chance(ROW_TYPES);
	size_t length = strlen(c->query);
	uint64_t keys = 0;

	snprintf(c->query + length, sizeof c->query - length, "&event=%s",
		type ? row_type(type) : "message");
	for (int key = type; key < ROW_KEYS; key += ROW_TYPES)
		keys |= UINT64_C(1) << key;
	return keys;
}

static void make_client(struct client *c, size_t number)
{
	uint64_t keys = add_channel(c), types = 0;

	for (int64_t more = chance(4) ? 0 : chance(4); more > 0; more--)
		keys |= add_channel(c);
	for (int64_t more = chance(3) ? 0 : chance(3); more > 0; more--)
		types |= add_type(c);
	c->target = &targets[number % target_count];
	snprintf(c->name, sizeof c->name, "client %zu of %s, %s", number,
		target_names[number % target_count], c->query);
	ledger_init(&c->ledger, c->name, types ? keys & types : keys);
	c->fd = -1;
	c->next_ms = now_ms() + chance(500);
}

int main(int argc, char **argv)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = UINT64_MAX};

	if (argc < 4 || argc - 3 > TARGETS_MAX)
		errx(64, "clients COUNT SEED TARGET...");
	client_count = strtoul(argv[1], NULL, 10);
	srandom((unsigned)strtoul(argv[2], NULL, 10));
	for (; target_count + 3 < (size_t)argc; target_count++) {
		target_names[target_count] = argv[target_count + 3];
		if (target_init(&targets[target_count], target_names[target_count]) < 0)
			errx(64, "a target is unix:PATH or tcp:PORT");
	}
	signal(SIGPIPE, SIG_IGN);
	clients = calloc(client_count, sizeof *clients);
	tally.seen = seen_new();
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (!clients || poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
		err(1, "start");
	for (size_t i = 0; i < client_count; i++)
		make_client(&clients[i], i);
	run();
	print_counts();
	return 0;
}
