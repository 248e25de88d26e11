#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "config/arguments.h"
#include "config/config_impl.h"

/* What config_free() frees: copies of all texts, and the lists. */
struct block {
	struct block *next;
	char text[];
};

struct config_memory {
	struct block *blocks;
	const char *origins[SETTING_LIST_MAX + 1];
	const char *http[SETTING_LIST_MAX + 1];
	const char *proxies[SETTING_LIST_MAX + 1];
};

int config_fail(struct config_load *l, int exit_status, const char *format, ...)
{
	struct config_error *e = l->error;
	char raw[CONFIG_SENTENCE_MAX];
	int used = 0;
	va_list args;

	if (l->source == CONFIG_FROM_FILE && l->line > 0)
		used = snprintf(raw, sizeof(raw), "%.200s:%d: ", l->c->file, l->line);
	va_start(args, format);
	vsnprintf(raw + used, sizeof(raw) - (size_t)used, format, args);
	va_end(args);
	text_harmless(e->sentence, sizeof(e->sentence) - 1, raw, strlen(raw), false);
	e->exit_status = exit_status;
	l->failed = true;
	return -1;
}

int config_fail_memory(struct config_load *l)
{
	return config_fail(l, EX_OSERR, "not enough memory to read the configuration");
}

/* The exit status for a mistake: EX_USAGE on the command line, else EX_CONFIG. */
static int status_of(enum config_source source)
{
	return source == CONFIG_FROM_ARGUMENTS ? EX_USAGE : EX_CONFIG;
}

/* Writes a setting's name, as the current source spells it, to name[SETTING_NAME_MAX]. */
static const char *spelled(const struct config_load *l, const struct setting *s, char *name)
{
	if (l->source == CONFIG_FROM_ENVIRONMENT)
		setting_variable(s, name);
	else
		snprintf(name, SETTING_NAME_MAX, "%s%s",
			l->source == CONFIG_FROM_ARGUMENTS ? "--" : "", s->name);
	return name;
}

static char *keep(struct config_load *l, const char *text)
{
	size_t size = strlen(text) + 1;
	struct block *block = malloc(sizeof(*block) + size);

	if (!block)
		return NULL;
	memcpy(block->text, text, size);
	block->next = l->memory->blocks;
	l->memory->blocks = block;
	return block->text;
}

/* Sets a setting to `text`, which config_free() will free. */
static int apply_one(struct config_load *l, const struct setting *s, const char *text)
{
	char advice[SETTING_ADVICE_MAX], name[SETTING_NAME_MAX];
	struct text_quote quote;

	if (setting_apply(s, l->c, text, advice))
		return 0;
	return config_fail(l, status_of(l->source), "%s \"%s\": %s", spelled(l, s, name),
		text_quote(&quote, text, strlen(text)), advice);
}

/* Adds a word to a list, in its canonical form. */
static int apply_word(struct config_load *l, const struct setting *s, const char *word)
{
	char usual[SETTING_USUAL_MAX], advice[SETTING_ADVICE_MAX];

	/* A word without a canonical form is refused as it was written. */
	if (s->usual && s->usual(word, usual, advice) && strcmp(word, usual) &&
		!(word = keep(l, usual)))
		return config_fail_memory(l);
	return apply_one(l, s, word);
}

/* Adds each word of a text to a list. Spaces or commas separate the words. */
static int apply_list(struct config_load *l, const struct setting *s, char *text)
{
	const char *const blank = " \t\r\n,";
	char *word = text + strspn(text, blank), *end;

	do {
		end = word + strcspn(word, blank);
		text = end + strspn(end, blank);
		*end = '\0';
		if (apply_word(l, s, word))
			return -1;
		word = text;
	} while (*word);
	return 0;
}

int config_apply(struct config_load *l, const struct setting *s, const char *text)
{
	size_t i = setting_index(s);
	bool list = setting_is_list(s);
	bool again = l->from[i] == l->source;
	char *copy = keep(l, text);

	if (!copy)
		return config_fail_memory(l);
	if (again && !list && l->source == CONFIG_FROM_FILE)
		return config_fail(l, EX_CONFIG,
			"%s is already set in line %d; remove one of the two", s->name,
			l->from_line[i]);
	if (list && !again)
		setting_clear(s, l->c);
	l->from[i] = l->source;
	l->from_line[i] = l->line;
	return list ? apply_list(l, s, copy) : apply_one(l, s, copy);
}

int config_fail_unknown(struct config_load *l, const char *what, const char *name, size_t length)
{
	const struct setting *near = setting_nearest(name, length);
	char nearest[SETTING_NAME_MAX];
	struct text_quote quote;

	text_quote(&quote, name, length);
	if (near)
		return config_fail(l, status_of(l->source), "unknown %s %s; did you mean %s?", what,
			quote.text, spelled(l, near, nearest));
	return config_fail(l, status_of(l->source), "unknown %s %s; %s --help lists all options",
		what, quote.text, setting_used()->program);
}

/* --- the environment --- */

static const struct setting *find_variable(const char *name, size_t length)
{
	char variable[SETTING_NAME_MAX];

	for (size_t i = 0; i < setting_count(); i++) {
		setting_variable(setting_at(i), variable);
		if (strlen(variable) == length && !memcmp(variable, name, length))
			return setting_at(i);
	}
	return NULL;
}

/* Is it a setting of another program of rowtail's? All may have one environment. */
static bool is_of_another(const char *variable, size_t length)
{
	static const struct setting_table *const all[] = {
		&setting_rowtail, &setting_mirror, &setting_publish};
	const struct setting_table *mine = setting_used();
	bool found = false;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all) && !found; i++) {
		setting_use(all[i]);
		found = find_variable(variable, length);
	}
	setting_use(mine);
	return found;
}

/*
 * Names that are not settings: ROWTAIL_PAGE and ROWTAIL_MOUNT are parameters of a request.
 * Container runtimes describe a service called rowtail with ROWTAIL_SERVICE_HOST, ROWTAIL_PORT,
 * ROWTAIL_PORT_80_TCP_ADDR…
 */
static bool is_foreign(const char *name, size_t length)
{
	static const char *const names[] = {"ROWTAIL_PAGE", "ROWTAIL_MOUNT"};
	static const char *const parts[] = {"_PORT", "_SERVICE_"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (length == strlen(names[i]) && !memcmp(name, names[i], length))
			return true;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (memmem(name, length, parts[i], strlen(parts[i])))
			return true;
	return false;
}

static int read_variable(struct config_load *l, const char *variable)
{
	size_t length = strcspn(variable, "=");
	const struct setting *s = find_variable(variable, length);

	/* Many launchers unset a variable by making it empty. */
	if (!variable[length] || !variable[length + 1] || is_foreign(variable, length))
		return 0;
	if (!s && is_of_another(variable, length))
		return 0;
	if (!s)
		return config_fail_unknown(l, "environment variable", variable, length);
	/* ROWTAIL_VERSION is common in container images, so it is ignored. */
	return setting_is_question(s) ? 0 : config_apply(l, s, variable + length + 1);
}

static int read_environment(struct config_load *l, char *const *envp)
{
	l->source = CONFIG_FROM_ENVIRONMENT;
	for (; *envp; envp++)
		if (!strncmp(*envp, "ROWTAIL_", 8) && read_variable(l, *envp))
			return -1;
	return 0;
}

/* --- the command line --- */

/* Reports what is wrong with an argument. Returns -1. */
static int fail_argument(
	struct config_load *l, enum argument kind, const struct argument_found *found)
{
	const struct setting *s = found->setting;
	struct text_quote quote;

	switch (kind) {
	case ARGUMENT_UNKNOWN:
		return config_fail_unknown(l, "option", found->value, strcspn(found->value, "="));
	case ARGUMENT_INCOMPLETE:
		return config_fail(
			l, EX_USAGE, "--%s needs a value: --%s %s", s->name, s->name, s->operand);
	case ARGUMENT_CLIENT:
		return config_fail(l, EX_USAGE,
			"these arguments may come from the client's query string (RFC 3875, 4.4);"
			" put settings into a CONFIG file or the environment");
	default:
		return config_fail(l, EX_USAGE,
			"unexpected argument \"%s\": %.255s is already the CONFIG file",
			text_quote(&quote, found->value, strlen(found->value)), l->c->file);
	}
}

/* Finds the CONFIG file among the arguments; applies none of them. */
static int survey(struct config_load *l, struct arguments a)
{
	struct argument_found found;
	enum argument kind;

	while ((kind = arguments_next(&a, &found)) != ARGUMENT_END) {
		if (kind == ARGUMENT_SETTING)
			continue;
		if (kind != ARGUMENT_FILE || l->c->file)
			return fail_argument(l, kind, &found);
		if (!(l->c->file = keep(l, found.value)))
			return config_fail_memory(l);
	}
	return 0;
}

static int read_arguments(struct config_load *l, struct arguments a)
{
	struct argument_found found;
	enum argument kind;

	l->source = CONFIG_FROM_ARGUMENTS;
	while ((kind = arguments_next(&a, &found)) != ARGUMENT_END)
		if (kind == ARGUMENT_SETTING && config_apply(l, found.setting, found.value))
			return -1;
	return 0;
}

/* --- all together --- */

static bool nothing_is_set(const struct config_load *l)
{
	for (size_t i = 0; i < setting_count(); i++)
		if (l->from[i] != CONFIG_FROM_DEFAULT)
			return false;
	return true;
}

/* Checks the required setting `name`, whose value is there or not. */
static int require(struct config_load *l, bool there, const char *name, const char *what)
{
	const struct setting *s = setting_find(name, strlen(name));
	char variable[SETTING_NAME_MAX];

	if (there || !s)
		return 0;
	setting_variable(s, variable);
	if (l->c->file)
		return config_fail(l, EX_CONFIG,
			"no %s: add a line %s = %s to %.255s (or give --%s or %s)", what, name,
			s->operand, l->c->file, name, variable);
	l->error->nothing_set = nothing_is_set(l);
	return config_fail(l, EX_USAGE,
		"no %s: give --%s %s, %s, or a line %s = %s in a CONFIG file; "
		"see %s --help",
		what, name, s->operand, variable, name, s->operand, setting_used()->program);
}

static bool is_given(const struct config_load *l, const char *name)
{
	const struct setting *s = setting_find(name, strlen(name));

	return s && l->from[setting_index(s)] != CONFIG_FROM_DEFAULT;
}

/* Checks that involve more than one setting. */
static int check_whole(struct config_load *l)
{
	struct config *c = l->c;
	const char *given = c->jwt_key ? "jwt-key" : "jwt-algorithm";
	const char *missing = c->jwt_key ? "jwt-algorithm" : "jwt-key";
	size_t i = setting_index(setting_find(given, strlen(given)));

	if (!c->jwt_key != !c->jwt_algorithm) {
		l->source = l->from[i];
		l->line = l->from_line[i];
		return config_fail(l, status_of(l->source), "%s needs %s; give both or neither",
			given, missing);
	}
	c->polls_always = is_given(l, "poll");
	l->source = CONFIG_FROM_DEFAULT;
	if (require(l, c->from, "from", "PostgreSQL database"))
		return -1;
	return require(l, c->db, "db", "database");
}

static int read_all(struct config_load *l, struct arguments a, char *const *envp)
{
	l->source = CONFIG_FROM_ARGUMENTS;
	if (arguments_ask(&a, "--help"))
		l->c->action = CONFIG_HELP;
	else if (arguments_ask(&a, "--version"))
		l->c->action = CONFIG_VERSION;
	if (l->c->action != CONFIG_SERVE)
		return 0;
	if (survey(l, a))
		return -1;
	if (l->c->file && config_read_file(l))
		return -1;
	if (read_environment(l, envp) || read_arguments(l, a))
		return -1;
	return check_whole(l);
}

static void set_defaults(struct config_load *l)
{
	char advice[SETTING_ADVICE_MAX];
	const struct setting *s;

	l->c->memory = l->memory;
	l->c->allow_origins = l->memory->origins;
	l->c->http = l->memory->http;
	l->c->trusted_proxies = l->memory->proxies;
	for (size_t i = 0; i < setting_count(); i++) {
		s = setting_at(i);
		if (s->standard && !setting_apply(s, l->c, s->standard, advice))
			assert(!"every default is valid");
	}
}

int config_load(struct config *c, int argc, char *const *argv, char *const *envp,
	struct config_error *error)
{
	struct config_load l = {.c = c, .error = error};
	struct arguments a;
	int result;

	memset(c, 0, sizeof(*c));
	memset(error, 0, sizeof(*error));
	if (!(l.memory = calloc(1, sizeof(*l.memory))))
		return config_fail_memory(&l);
	set_defaults(&l);
	arguments_init(&a, argc, argv, envp);
	result = read_all(&l, a, envp);
	free(l.text);
	if (result)
		config_free(c);
	return result;
}

void config_free(struct config *c)
{
	struct config_memory *memory = c->memory;
	struct block *block;

	while (memory && (block = memory->blocks)) {
		memory->blocks = block->next;
		free(block);
	}
	free(memory);
	memset(c, 0, sizeof(*c));
}
