/*
 * rowtail-mirror: keeps a copy of the event log in PostgreSQL, an SQLite log that rowtail follows.
 * This file only sets the order: options, lock, signals, loop.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "base/signals.h"
#include "config/program.h"
#include "log/database.h"
#include "mirror/copy.h"
#include "mirror/inspect.h"
#include "mirror/keeper.h"
#include "mirror/pages.h"
#include "mirror/source.h"

static struct config config;

static void stop(int signal)
{
	log_info("%s: ending", signals_name(signal));
	loop_stop();
}

static void load_config(int argc, char **argv)
{
	char sentence[512], libraries[128];
	const struct program program = {&setting_mirror, libraries, NULL};

	snprintf(libraries, sizeof(libraries), "SQLite %s, libuv %s, libpq %s", database_version(),
		loop_version(), source_version());
	program_begin(&program, &config, argc, argv);
	if (!source_is_good(config.from, sentence, sizeof(sentence)))
		errx(EX_CONFIG, "--from %s", sentence);
	if (config.notices && !source_is_good(config.notices, sentence, sizeof(sentence)))
		errx(EX_CONFIG, "--notices %s", sentence);
}

int main(int argc, char **argv)
{
	struct copy *copy;
	char sentence[512];
	int status;

	load_config(argc, argv);
	signals_hold();
	srandom((unsigned)(clock_us() ^ (int64_t)getpid() << 16));
	if (!loop_init() || !signals_begin(stop) || !(copy = copy_new(config.db)))
		err(EX_OSERR, "starting");
	if (config.action == CONFIG_CHECK)
		exit(inspect_run(&config, copy));
	if (!copy_lock(copy, sentence, sizeof(sentence)))
		errx(EX_CONFIG, "%s", sentence);
	/* What a mirror that was killed has left. */
	copy_unmake(copy);
	if (!pages_begin(&config, sentence, sizeof(sentence)))
		errx(EX_CONFIG, "%s", sentence);
	log_info("rowtail-mirror %s keeps %s", ROWTAIL_VERSION, config.db);
	if (!keeper_begin(&config, copy))
		err(EX_OSERR, "starting");
	loop_run();
	status = keeper_exit_status();
	keeper_end();
	pages_end();
	config_free(&config);
	return status;
}
