/*
 * rowtail-doctor: opens the stream through the web server, and reports what breaks it on the way.
 * This file only sets the order: options, rows, requests, judgement, report.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "doctor/client.h"
#include "doctor/judge.h"
#include "doctor/options.h"
#include "doctor/plan.h"
#include "doctor/report.h"
#include "doctor/rows.h"

static volatile sig_atomic_t ended_by;

static void on_signal(int number)
{
	ended_by = number;
	plan_stop();
}

/* Ctrl-C must not leave the test rows behind. */
static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaction(numbers[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void announce(const struct options *o)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "rowtail-doctor: this takes about %lld seconds\n",
			(long long)(o->silence_ms / 1000 + 5));
}

static void examine(struct options *o, struct rows *rows, struct facts *f, struct findings *found)
{
	static struct facts again;
	const struct facts *second = NULL;

	plan_first(o, rows, f);
	if (ended_by || !judge_first(f, found))
		return;
	plan_rest(o, rows, f);
	if (plan_has_first_now(f) && !judge_first(f, found))
		return;
	if (!ended_by && judge_wants_second(f)) {
		plan_again(o, rows, f, &again);
		second = &again;
	}
	if (!ended_by)
		judge_all(f, second, found);
}

int main(int argc, char **argv)
{
	static struct options o;
	static struct facts f;
	static struct findings found;
	struct rows *rows = NULL;
	char sentence[512];
	bool clean;

	options_read(&o, argc, argv);
	if (!client_begin(o.insecure))
		errx(EX_OSERR, "libcurl does not start");
	srandom((unsigned)getpid());
	catch_signals();
	if (o.db && !(rows = rows_begin(o.db, sentence, sizeof(sentence))))
		errx(EX_USAGE, "%s", sentence);
	announce(&o);
	examine(&o, rows, &f, &found);
	clean = !rows || rows_end(rows, sentence, sizeof(sentence));
	if (!clean)
		warnx("%s", sentence);
	client_end();
	if (ended_by)
		return 128 + ended_by;
	report_print(&o, &f, &found);
	return fflush(stdout) == 0 && clean ? findings_exit_status(&found) : 2;
}
