/*
 * program: what rowtail, rowtail-mirror and rowtail-publish do alike when they start.
 *
 * Reads the settings, answers --help and --version, and sets up the log. Ends the process if the settings
 * are wrong.
 */
#ifndef ROWTAIL_CONFIG_PROGRAM_H
#define ROWTAIL_CONFIG_PROGRAM_H

#include "config/config.h"
#include "config/setting.h"

struct program {
	const struct setting_table *settings;
	const char
		*libraries; /* with their versions, for --version: "SQLite 3.40.1, libuv 1.44.2" */
	/* Is called if it is started without any setting and cannot start. May end the process. NULL: nothing. */
	void (*started_bare)(void);
};

/* Fills *c, which the caller frees with config_free(). Does not return with CONFIG_HELP and CONFIG_VERSION. */
void program_begin(const struct program *p, struct config *c, int argc, char **argv);

#endif
