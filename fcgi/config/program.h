/*
 * program: what rowtail, rowtail-mirror and rowtail-publish do alike when they start.
 *
 * Reads the settings, answers --help and --version, and sets up the log. Ends the process if the
 * settings are wrong.
 */
#ifndef ROWTAIL_CONFIG_PROGRAM_H
#define ROWTAIL_CONFIG_PROGRAM_H

#include "config/config.h"
#include "config/setting.h"

struct program {
	const struct setting_table *settings;
	const char *libraries; /* for --version: "SQLite 3.40.1, libuv 1.44.2" */
	/*
	 * Called if the program cannot start because nothing is set. May end the process, or NULL.
	 */
	void (*started_bare)(void);
};

/* Fills *c; free it with config_free(). Exits after printing --help or --version. */
void program_begin(const struct program *p, struct config *c, int argc, char **argv);

#endif
