#include "server/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/census.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/metrics.h"
#include "base/signals.h"

enum {
	PAUSE_LEAST_MS = 100,
	PAUSE_MOST_MS = 10000, /* a process that ran longer is started again at once */
	START_MS = 5000, /* a process that fails earlier has failed to start */
	AHEAD_SHARE = 8, /* one part in so many above the average, … */
	AHEAD_LEAST = 4, /* … and so many connections, are clearly more */
};

struct shared {
	size_t streams[CREW_MOST], connections[CREW_MOST];
	int64_t lag[CREW_MOST];
	char metrics[]; /* of each process */
};

struct process {
	pid_t pid; /* 0: not running */
	int64_t started_ms, due_ms, pause_ms;
};

static struct shared alone;
static struct {
	size_t size, number;
	struct shared *shared;
	struct census *census; /* NULL without a limit */
	/* Of the parent. */
	struct process processes[CREW_MOST];
	int64_t began_ms;
	bool ending;
	int status;
} crew = {.size = 1, .shared = &alone};

size_t crew_size(void)
{
	return crew.size;
}

void crew_set_streams(size_t streams)
{
	__atomic_store_n(&crew.shared->streams[crew.number], streams, __ATOMIC_RELAXED);
}

void crew_set_connections(size_t connections)
{
	__atomic_store_n(&crew.shared->connections[crew.number], connections, __ATOMIC_RELAXED);
}

static size_t sum_of(const size_t *counts)
{
	size_t sum = 0;

	for (size_t i = 0; i < crew.size; i++)
		sum += __atomic_load_n(&counts[i], __ATOMIC_RELAXED);
	return sum;
}

size_t crew_streams(void)
{
	return sum_of(crew.shared->streams);
}

void crew_set_lag(int64_t lag)
{
	__atomic_store_n(&crew.shared->lag[crew.number], lag, __ATOMIC_RELAXED);
}

int64_t crew_lag(void)
{
	int64_t most = 0;

	for (size_t i = 0; i < crew.size; i++) {
		int64_t lag = __atomic_load_n(&crew.shared->lag[i], __ATOMIC_RELAXED);

		most = lag > most ? lag : most;
	}
	return most;
}

bool crew_is_ahead(void)
{
	size_t share = sum_of(crew.shared->connections) / crew.size;

	return crew.size > 1 &&
	       crew.shared->connections[crew.number] > share + share / AHEAD_SHARE + AHEAD_LEAST;
}

static void read_name(const char *hex, uint8_t name[CENSUS_NAME])
{
	for (size_t i = 0; i < CENSUS_NAME; i++) {
		char digits[3] = {hex[2 * i], hex[2 * i + 1]};

		name[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
}

struct census_entry *crew_take(const char *hex, int64_t most)
{
	uint8_t name[CENSUS_NAME];

	read_name(hex, name);
	return census_take(crew.census, crew.number, name, most);
}

void crew_give(struct census_entry *client)
{
	census_give(crew.census, crew.number, client);
}

static bool share(const struct config *config, size_t size)
{
	if (config->max_streams_per_client > 0 &&
		!(crew.census = census_new(size, (size_t)config->max_streams)))
		return false;
	if (size == 1)
		return true;
	crew.shared = mmap(NULL, sizeof(struct shared) + size * metrics_size(),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crew.shared == MAP_FAILED)
		return false;
	crew.size = size;
	return true;
}

/* The paths of the sockets stay the parent's. */
static void be_process(struct listeners *l, size_t number, pid_t parent)
{
	for (size_t i = 0; i < l->count; i++)
		*l->list[i].path = '\0';
	crew.number = number;
	metrics_share(crew.shared->metrics, crew.size, number);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		raise(SIGTERM); /* held until the process can end properly */
}

/* Returns true in the new process. */
static bool start(struct listeners *l, size_t number)
{
	struct process *p = &crew.processes[number];
	pid_t parent = getpid();

	p->started_ms = clock_ms();
	p->pid = fork();
	if (p->pid == 0) {
		be_process(l, number, parent);
		return true;
	}
	if (p->pid < 0) {
		log_error("cannot start process %zu of %zu: %s", number + 1, crew.size,
			strerror(errno));
		p->pid = 0;
		p->pause_ms = PAUSE_MOST_MS;
		p->due_ms = p->started_ms + p->pause_ms;
	}
	return false;
}

static void pass_on(int number)
{
	for (size_t i = 0; i < crew.size; i++)
		if (crew.processes[i].pid)
			kill(crew.processes[i].pid, number);
}

static void end_all(struct listeners *l, int number)
{
	if (!crew.ending)
		listen_close_own(l);
	crew.ending = true;
	pass_on(number);
}

static const char *how_ended(int status)
{
	return WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it exited";
}

static bool cannot_start(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) >= EX__BASE &&
	       WEXITSTATUS(status) <= EX__MAX && clock_ms() < crew.began_ms + START_MS;
}

static void ended(struct listeners *l, size_t number, int status)
{
	struct process *p = &crew.processes[number];
	int64_t now_ms = clock_ms();

	p->pid = 0;
	crew.shared->streams[number] = 0;
	crew.shared->connections[number] = 0;
	crew.shared->lag[number] = 0;
	if (crew.census)
		census_forget(crew.census, number);
	if (crew.ending)
		return;
	if (cannot_start(status)) {
		crew.status = WEXITSTATUS(status);
		end_all(l, SIGTERM);
		return;
	}
	if (now_ms - p->started_ms > PAUSE_MOST_MS)
		p->pause_ms = 0;
	p->pause_ms = p->pause_ms ? 2 * p->pause_ms : PAUSE_LEAST_MS;
	if (p->pause_ms > PAUSE_MOST_MS)
		p->pause_ms = PAUSE_MOST_MS;
	p->due_ms = now_ms + p->pause_ms;
	log_warn("process %zu of %zu ended (%s); it starts again in %lld ms", number + 1, crew.size,
		how_ended(status), (long long)p->pause_ms);
}

static void collect(struct listeners *l)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < crew.size; i++)
			if (crew.processes[i].pid == pid)
				ended(l, i, status);
}

static bool any_runs(void)
{
	for (size_t i = 0; i < crew.size; i++)
		if (crew.processes[i].pid)
			return true;
	return false;
}

/* Starts what is due. *wait_ms: until the next is. Returns true in a new process. */
static bool start_due(struct listeners *l, int64_t *wait_ms)
{
	int64_t now_ms = clock_ms();

	*wait_ms = PAUSE_MOST_MS;
	for (size_t i = 0; i < crew.size && !crew.ending; i++) {
		struct process *p = &crew.processes[i];

		if (!p->pid && p->due_ms <= now_ms && start(l, i))
			return true;
		if (!p->pid && p->due_ms - now_ms < *wait_ms)
			*wait_ms = p->due_ms > now_ms ? p->due_ms - now_ms : 1;
	}
	return false;
}

bool crew_begin(struct listeners *l, const struct config *config)
{
	int64_t wait_ms;

	if (!share(config, l->count > 0 ? (size_t)config->processes : 1))
		return false;
	if (crew.size == 1)
		return true;
	signals_hold_children();
	crew.began_ms = clock_ms();
	for (;;) {
		if (start_due(l, &wait_ms))
			return true;
		if (crew.ending && !any_runs())
			break;
		int number = signals_wait(wait_ms);
		if (number > 0) {
			log_info("%s: ending %zu processes", signals_name(number), crew.size);
			end_all(l, number);
		}
		collect(l);
	}
	listen_close(l);
	exit(crew.status);
}
