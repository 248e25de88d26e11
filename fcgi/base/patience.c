#include "base/patience.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { FIRST_S = 4, AGAIN_S = 1 };

static struct {
	const char *sentence, *path;
	struct sigaction before; /* the earlier action of SIGALRM */
	bool begun, said;
} waiting;

/* Calls only functions that signal-safety(7) allows. */
static void look_up(int signal)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGQUIT};
	sigset_t pending;

	if (!waiting.said && write(STDERR_FILENO, waiting.sentence, strlen(waiting.sentence)) >= 0)
		waiting.said = true;
	if (sigpending(&pending) < 0)
		return;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (sigismember(&pending, ends[i])) {
			if (*waiting.path)
				unlink(waiting.path);
			_exit(0);
		}
}

static void let_alarm(int how)
{
	sigset_t alarms;

	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigprocmask(how, &alarms, NULL);
}

void patience_begin(const char *sentence, const char *path)
{
	const struct itimerval when = {.it_value = {FIRST_S, 0}, .it_interval = {AGAIN_S, 0}};
	const struct sigaction action = {.sa_handler = look_up, .sa_flags = SA_RESTART};
	struct itimerval other;

	/* An alarm that a wrapper has set survives exec(3). Leave it alone. */
	if (getitimer(ITIMER_REAL, &other) < 0 || other.it_value.tv_sec || other.it_value.tv_usec)
		return;
	waiting.sentence = sentence;
	waiting.path = path;
	waiting.begun = sigaction(SIGALRM, &action, &waiting.before) == 0 &&
			setitimer(ITIMER_REAL, &when, NULL) == 0;
	let_alarm(SIG_UNBLOCK);
}

void patience_end(void)
{
	const struct itimerval never = {0};

	if (!waiting.begun)
		return;
	setitimer(ITIMER_REAL, &never, NULL);
	let_alarm(SIG_BLOCK);
	sigaction(SIGALRM, &waiting.before, NULL);
	waiting.begun = false;
}
