#include "config/program.h"

#include <err.h>
#include <stdlib.h>

#include "base/version.h"

extern char **environ;

static void begin_log(const struct config *c)
{
	log_set_level(c->log_level);
	log_set_format(c->log_format);
	log_find_journal(getenv("JOURNAL_STREAM"));
}

void program_begin(const struct program *p, struct config *c, int argc, char **argv)
{
	struct config_error error;
	bool loaded;

	setting_use(p->settings);
	log_set_program(p->settings->program);
	loaded = config_load(c, argc, argv, environ, &error) == 0;
	/* Without any settings, a missing database is not the first problem. */
	if (!loaded && error.nothing_set && p->started_bare)
		p->started_bare();
	if (!loaded)
		errx(error.exit_status, "%s", error.sentence);
	begin_log(c);
	if (c->action == CONFIG_HELP)
		config_print_help(stdout);
	else if (c->action == CONFIG_VERSION)
		version_print(stdout, p->settings->program, p->libraries);
	else
		return;
	exit(0);
}
