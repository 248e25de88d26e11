/*
 * arguments: the command line, cut into settings with their values and the CONFIG file.
 *
 * Pure; for config.c alone. Also knows when arguments may be a client's words. A web server may
 * split a query string that has no '=' at its '+' signs, decode the words and hand them to a CGI
 * program as arguments (RFC 3875, section 4.4; Apache does, behind those of a #! line). An option
 * that came this way would be set by whoever is out there.
 */
#ifndef ROWTAIL_ARGUMENTS_H
#define ROWTAIL_ARGUMENTS_H

#include <stdbool.h>

#include "config/setting.h"

struct arguments {
	int argc, at; /* argv[at] is the next one to be looked at */
	char *const *argv;
	const char *client_query; /* a query string whose words may be among them, or NULL */
	bool only_files; /* "--" has been passed */
};

enum argument {
	ARGUMENT_END,
	ARGUMENT_SETTING, /* `setting` and its `value`; "yes" for a bare flag */
	ARGUMENT_FILE, /* `value` */
	ARGUMENT_UNKNOWN, /* `value`: begins with '-', but is no option */
	ARGUMENT_INCOMPLETE, /* `setting`, but no value behind it */
	ARGUMENT_CLIENT, /* what could come from the client and must not be used */
};

struct argument_found {
	const struct setting *setting;
	const char *value; /* borrowed from argv */
};

/* Begins after argv[0]. envp tells whether there is a client's query. Borrows both. */
void arguments_init(struct arguments *a, int argc, char *const *argv, char *const *envp);

/* Takes the next one, with its value if that is the argument behind it. */
enum argument arguments_next(struct arguments *a, struct argument_found *found);

/* Does the question ("--help") stand there, as an argument that is no client's word? */
bool arguments_ask(const struct arguments *a, const char *question);

#endif
