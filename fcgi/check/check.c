#include "check/check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "check/section.h"
#include "log/place.h"

enum { SILENT_MS = 30 * 1000 }; /* without a new line for so long, the check hangs */

/* In the order of the report. */
static const struct section {
	const char *name;
	void (*run)(struct checking *c);
	bool needs_log;
} sections[] = {
	{"configuration", section_configuration, false},
	{"files", section_files, false},
	{"database", section_database, false},
	{"schema", section_schema, true},
	{"retention", section_retention, true},
	{"grants", section_grants, true},
	{"publishers", section_publishers, true},
	{"tracked", section_tracked, true},
	{"copy", section_copy, true},
	{"clock", section_clock, true},
	{"place", section_place, false},
	{"watch", section_watch, false},
	{"jwt", section_jwt, false},
	{"listen", section_listen, false},
	{"limits", section_limits, false},
};

static void close_log(struct checking *c)
{
	eventlog_free(c->log);
	c->log = NULL;
	c->db = NULL;
	traces_undo(&c->traces);
}

static void run_all(struct checking *c)
{
	report_begin(c->report, c->config->db);
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		bool checked = !sections[i].needs_log || c->log;

		/* The rest opens the log again, or does not need it. */
		if (i > 0 && sections[i - 1].needs_log && !sections[i].needs_log && c->log)
			close_log(c);
		report_section(c->report, sections[i].name, checked);
		database_wait_until(clock_us() + CHECKING_LOCKED_MS * INT64_C(1000));
		if (checked)
			sections[i].run(c);
	}
	report_end(c->report);
}

/* --- the process that checks, and the one that waits for it --- */

static int progress_pipe[2] = {-1, -1};

/* If the waiting process was killed, nobody else ends this one. */
static void limit_silence(void)
{
	alarm(2 * SILENT_MS / 1000);
}

static void tell_progress(void)
{
	limit_silence();
	if (write(progress_pipe[1], "", 1) < 0)
		return; /* nobody waits any more */
}

/* Ctrl-C must not end this process before it has removed its traces. */
static void hold_signals(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaddset(&set, ends[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Returns when the pipe's other end was closed; false if nothing came for SILENT_MS. */
static bool wait_for_end(void)
{
	struct pollfd end = {.fd = progress_pipe[0], .events = POLLIN};
	char bytes[64];
	int ready;

	for (;;) {
		ready = poll(&end, 1, SILENT_MS);
		if (ready == 0)
			return false;
		if (ready > 0 && read(end.fd, bytes, sizeof(bytes)) == 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return true;
	}
}

static void tell_hanging(struct report *r, const char *database)
{
	report_wrong(r, EX_NOINPUT, NULL,
		"nothing has answered for %d seconds: the file system of %s (a server that is "
		"down, "
		"or a slow disk), or another path in the configuration; see the kernel's log "
		"(dmesg), and put the database on a local disk",
		SILENT_MS / 1000, database);
	report_end(r);
}

/* Waits for the process that checks. Returns the exit status. */
static int wait_for(pid_t child, struct report *r, const char *database)
{
	int status;

	close(progress_pipe[1]);
	if (!wait_for_end()) {
		/* A process that a file system keeps waiting may end later, or never. */
		kill(child, SIGKILL);
		tell_hanging(r, database);
		return r->status;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EX_OSERR;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	report_wrong(r, EX_SOFTWARE, NULL,
		"the check itself was ended by signal %d; please report this as a bug of rowtail",
		WTERMSIG(status));
	report_end(r);
	return r->status;
}

static struct report *new_report(void)
{
	void *shared = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return shared == MAP_FAILED ? NULL : shared;
}

int check_run(const struct config *config)
{
	static struct report alone;
	static struct checking c;
	struct report *shared = new_report();
	pid_t child = -1;

	c.config = config;
	c.report = shared ? shared : &alone;
	c.report->program = "rowtail";
	c.report->does = "serve";
	c.report->json = config->json;
	fflush(stdout);
	if (shared && pipe(progress_pipe) == 0)
		child = fork();
	if (child > 0)
		return wait_for(child, shared, config->db);
	if (child == 0) {
		close(progress_pipe[0]);
		c.report->progress = tell_progress;
		signal(SIGALRM, SIG_DFL);
		limit_silence();
	}
	hold_signals();
	place_real(config->db, c.real);
	text_shell(c.word, sizeof(c.word), config->db);
	run_all(&c);
	return c.report->status;
}
