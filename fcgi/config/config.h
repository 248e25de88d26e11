/*
 * config: options, environment and CONFIG file, made into one constant struct.
 *
 * Owns every setting: its name, default, range and help text stand in one table, from which the
 * command line, the environment (ROWTAIL_MAX_STREAMS), the file (max-streams = 5000) and --help are
 * all served (setting.h). The command line wins over the environment, which wins over the file.
 * Opens nothing but the CONFIG file; whether the database can be read is not its question. Its
 * config_file.c is the only includer of inih's <ini.h>.
 */
#ifndef ROWTAIL_CONFIG_H
#define ROWTAIL_CONFIG_H

#include <stdio.h>

#include "config/values.h"

enum { CONFIG_SENTENCE_MAX = 600 };

struct config_error {
	/* EX_USAGE: the command line; EX_NOINPUT: the CONFIG file can't be read; EX_CONFIG: what
	 * stands in it or the environment; EX_OSERR: no memory. */
	int exit_status;
	char sentence[CONFIG_SENTENCE_MAX]; /* which, where (file, line), and what would be right */
};

/*
 * Reads argv, envp and the CONFIG file. Returns 0 and fills *c, to be given to config_free(); or
 * -1 and fills *error: *c is then empty and needs no freeing. The sentence has no full stop, no
 * newline and no control character. With --help or --version on the command line everything else is
 * ignored. Copies what it keeps of argv and envp.
 *
 * An empty variable in envp counts as none. Arguments that could be words of a client's query (see
 * arguments.h) never set anything: behind a CONFIG file they are passed over, elsewhere refused.
 */
int config_load(struct config *c, int argc, char *const *argv, char *const *envp,
	struct config_error *error);

void config_free(struct config *c);

/* The text of --help: usage, the three ways to be started, every option with its default. */
void config_print_help(FILE *out);

#endif
