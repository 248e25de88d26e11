/*
 * arguments: the command line, split into settings with their values and the CONFIG file.
 *
 * Pure; for config.c only. Also detects arguments that may come from a client. A web server may
 * split a query string without '=' at its '+' signs, decode the words and pass them to a CGI
 * program as arguments (RFC 3875, section 4.4; Apache does, after those of a #! line). An option
 * that arrives this way would be set by anybody on the network.
 */
#ifndef ROWTAIL_ARGUMENTS_H
#define ROWTAIL_ARGUMENTS_H

#include <stdbool.h>

#include "config/setting.h"

struct arguments {
	int argc, at; /* argv[at] is the next argument */
	char *const *argv;
	const char *client_query; /* a query string whose words may be among argv, or NULL */
	bool only_files; /* "--" came before */
};

enum argument {
	ARGUMENT_END,
	ARGUMENT_SETTING, /* `setting` and its `value`; "yes" for a bare flag */
	ARGUMENT_FILE, /* `value` */
	ARGUMENT_UNKNOWN, /* `value` begins with '-' but is not an option */
	ARGUMENT_INCOMPLETE, /* `setting` has no value after it */
	ARGUMENT_CLIENT, /* it may come from the client and must not be used */
};

struct argument_found {
	const struct setting *setting;
	const char *value; /* borrowed from argv */
};

/* Begins after argv[0]. Looks in envp for a client's query. Borrows both. */
void arguments_init(struct arguments *a, int argc, char *const *argv, char *const *envp);

/* Takes the next argument, and its value if the value is the argument after it. */
enum argument arguments_next(struct arguments *a, struct argument_found *found);

/* Is the question ("--help") among the arguments, and not a word from a client? */
bool arguments_ask(const struct arguments *a, const char *question);

#endif
