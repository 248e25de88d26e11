#include "base/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/logging.h"
#include "base/loop.h"

enum meaning { END_ALWAYS, END, HANG_UP, PASS_OVER };

static const struct {
	const char *name;
	int number;
	enum meaning meaning;
} table[] = {
	{"SIGTERM", SIGTERM, END_ALWAYS},
	{"SIGINT", SIGINT, END_ALWAYS},
	{"SIGQUIT", SIGQUIT, END_ALWAYS},
	{"SIGUSR1", SIGUSR1, END},
	{"SIGUSR2", SIGUSR2, END},
	{"SIGALRM", SIGALRM, END},
	{"SIGVTALRM", SIGVTALRM, END},
	{"SIGPROF", SIGPROF, END},
	{"SIGXCPU", SIGXCPU, END},
	{"SIGPWR", SIGPWR, END},
#ifdef SIGSTKFLT
	{"SIGSTKFLT", SIGSTKFLT, END},
#endif
	{"SIGHUP", SIGHUP, HANG_UP},
	{"SIGPIPE", SIGPIPE, PASS_OVER},
	{"SIGIO", SIGIO, PASS_OVER},
	{"SIGTTOU", SIGTTOU, PASS_OVER},
	{"SIGXFSZ", SIGXFSZ, PASS_OVER},
};
enum { COUNT = sizeof(table) / sizeof(*table) };

static void (*end)(int number);
static bool has_terminal;

void signals_hold(void)
{
	sigset_t waiting;

	sigemptyset(&waiting);
	for (size_t i = 0; i < COUNT; i++)
		sigaddset(&waiting, table[i].number);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		sigaddset(&waiting, number);
	sigprocmask(SIG_SETMASK, &waiting, NULL);
	/* Needed before there is a loop: standard error may be closed at the first write. */
	signal(SIGPIPE, SIG_IGN);
}

static bool is_at_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool is_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void hung_up(int number)
{
	if (has_terminal)
		end(number);
	else
		log_info("SIGHUP ignored: rowtail has nothing to reload");
}

static bool take(int number, enum meaning meaning)
{
	if (meaning != END_ALWAYS && is_ignored(number))
		return true;
	if (meaning == PASS_OVER)
		return signal(number, SIG_IGN) != SIG_ERR;
	return loop_on_signal(number, meaning == HANG_UP ? hung_up : end);
}

bool signals_begin(void (*on_end)(int number))
{
	sigset_t none;

	end = on_end;
	has_terminal = is_at_terminal();
	for (size_t i = 0; i < COUNT; i++)
		if (!take(table[i].number, table[i].meaning))
			return false;
	/* Debuggers such as valgrind keep one of these for themselves. */
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		take(number, END);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

void signals_hold_children(void)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
}

static bool hangs_up(void)
{
	if (!is_at_terminal())
		log_info("SIGHUP ignored: rowtail has nothing to reload");
	return is_at_terminal();
}

int signals_wait(int64_t ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	enum meaning meaning = END;
	sigset_t held;
	int number;

	sigprocmask(SIG_BLOCK, NULL, &held);
	number = sigtimedwait(&held, NULL, &time);
	if (number <= 0 || number == SIGCHLD)
		return 0;
	for (size_t i = 0; i < COUNT; i++)
		if (table[i].number == number)
			meaning = table[i].meaning;
	if (meaning == PASS_OVER || (meaning != END_ALWAYS && is_ignored(number)) ||
		(meaning == HANG_UP && !hangs_up()))
		return 0;
	return number;
}

const char *signals_name(int number)
{
	static char name[24];

	for (size_t i = 0; i < COUNT; i++)
		if (table[i].number == number)
			return table[i].name;
	snprintf(name, sizeof(name), "SIGRTMIN+%d", number - SIGRTMIN);
	return name;
}
