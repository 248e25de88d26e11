/*
 * config: options, environment and CONFIG file, combined into one constant struct.
 *
 * Owns every setting. One table (setting.h) holds its name, default, range and help text, for the
 * command line, the environment (ROWTAIL_MAX_STREAMS), the file (max-streams = 5000) and --help.
 * The command line wins over the environment, which wins over the file. Opens only the CONFIG file;
 * never checks whether the database can be read. Its config_file.c is the only file that includes
 * inih's <ini.h>.
 */
#ifndef ROWTAIL_CONFIG_H
#define ROWTAIL_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "config/values.h"

enum { CONFIG_SENTENCE_MAX = 600 };

struct config_error {
	/*
	 * EX_USAGE: the command line is wrong. EX_NOINPUT: the CONFIG file can't be read.
	 * EX_CONFIG: the CONFIG file or the environment is wrong. EX_OSERR: no memory.
	 */
	int exit_status;
	char sentence[CONFIG_SENTENCE_MAX]; /* what is wrong, where (file, line), what is right */
	bool nothing_set; /* by any option, variable or file: the caller knows better advice */
};

/*
 * Reads argv, envp and the CONFIG file. Returns 0 and fills *c, which the caller frees with
 * config_free(). On failure returns -1 and fills *error; *c is then empty and needs no freeing. The
 * sentence has no full stop, no newline and no control character. --help or --version on the
 * command line makes it ignore everything else. Copies what it keeps of argv and envp.
 *
 * An empty variable in envp counts as unset. Arguments that could be words of a client's query (see
 * arguments.h) never set anything: after a CONFIG file they are ignored, elsewhere they are an
 * error.
 */
int config_load(struct config *c, int argc, char *const *argv, char *const *envp,
	struct config_error *error);

void config_free(struct config *c);

/* Prints the text of --help: usage, the three ways to start rowtail, all options with defaults. */
void config_print_help(FILE *out);

#endif
