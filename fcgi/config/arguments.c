#include "config/arguments.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *find_client_query(char *const *envp)
{
	const char *query = NULL;
	bool cgi = false;

	for (; *envp; envp++) {
		if (!strncmp(*envp, "QUERY_STRING=", 13))
			query = *envp + 13;
		cgi = cgi || !strncmp(*envp, "GATEWAY_INTERFACE=", 18);
	}
	return cgi && query && *query && !strchr(query, '=') ? query : NULL;
}

void arguments_init(struct arguments *a, int argc, char *const *argv, char *const *envp)
{
	*a = (struct arguments){.argc = argc, .at = 1, .argv = argv};
	a->client_query = find_client_query(envp);
}

/* Returns the byte at *query as a web server decodes it, and moves *query past it. */
static char decode(const char **query)
{
	const char *p = *query;

	if (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
		*query += 3;
		return (char)strtol((char[]){p[1], p[2], '\0'}, NULL, 16);
	}
	(*query)++;
	return *p;
}

/*
 * Does the query begin with the word? Ignores backslashes: Apache escapes odd characters with them.
 */
static bool begins(const char *query, const char *word)
{
	char byte;

	for (word += strspn(word, "\\"); *word; word += strspn(word, "\\")) {
		if (!*query)
			return false;
		byte = decode(&query);
		if (byte != '\\' && byte != *word++)
			return false;
	}
	return true;
}

/*
 * Could the argument be a piece of the query? When in doubt, yes: servers may split words in
 * different ways, but each word is a piece of the query.
 */
static bool is_piece(const char *query, const char *argument)
{
	for (; *query; query++)
		if (begins(query, argument))
			return true;
	return false;
}

static enum argument take_option(
	struct arguments *a, const char *text, struct argument_found *found)
{
	size_t dashes = strspn(text, "-");
	size_t length = dashes + strcspn(text + dashes, "=");

	found->setting = dashes == 2 ? setting_find(text + dashes, length - dashes) : NULL;
	if (!found->setting)
		return ARGUMENT_UNKNOWN;
	found->value = "yes";
	if (text[length] == '=')
		found->value = text + length + 1;
	else if (found->setting->operand) {
		if (a->at >= a->argc || !strncmp(a->argv[a->at], "--", 2))
			return ARGUMENT_INCOMPLETE;
		found->value = a->argv[a->at++];
	}
	return ARGUMENT_SETTING;
}

static enum argument take(struct arguments *a, struct argument_found *found)
{
	if (!a->only_files && a->at < a->argc && !strcmp(a->argv[a->at], "--")) {
		a->only_files = true;
		a->at++;
	}
	if (a->at >= a->argc)
		return ARGUMENT_END;
	found->value = a->argv[a->at++];
	if (!a->only_files && found->value[0] == '-')
		return take_option(a, found->value, found);
	return ARGUMENT_FILE;
}

enum argument arguments_next(struct arguments *a, struct argument_found *found)
{
	int first = a->at;
	enum argument kind = take(a, found);

	if (!a->client_query)
		return kind;
	for (; first < a->at; first++)
		if (is_piece(a->client_query, a->argv[first]))
			return ARGUMENT_CLIENT;
	/* In a #! line, the file comes before everything from the client. */
	if (kind == ARGUMENT_FILE)
		a->argc = a->at;
	return kind;
}

bool arguments_ask(const struct arguments *a, const char *question)
{
	for (int i = a->at; i < a->argc && strcmp(a->argv[i], "--") && !a->client_query; i++)
		if (!strcmp(a->argv[i], question))
			return true;
	return false;
}
