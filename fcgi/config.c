#include "config.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "arguments.h"
#include "setting.h"
#include "utf8.h"

enum {
	FILE_MAX = 256 * 1024,     /* bytes of a CONFIG file */
	VALUE_MAX = 4096,          /* of a value in it */
	ROW_MAX = VALUE_MAX + 256, /* of a line in it: the key, the blanks and the value */
};

enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_ARGUMENTS };

/* What config_free() gives back: copies of all texts, and the list of origins. */
struct block {
	struct block *next;
	char text[];
};

struct memory {
	struct block *blocks;
	const char *origins[SETTING_ORIGINS_MAX + 1];
};

/* One config_load(): what is being read, and where each setting got its value. */
struct load {
	struct config *c;
	struct memory *memory;
	struct config_error *error;
	bool failed;

	enum source source; /* of what is being read */
	int line;           /* in the CONFIG file */
	enum source from[SETTING_COUNT_MAX];
	int from_line[SETTING_COUNT_MAX];

	char *text; /* the CONFIG file */
	size_t length, at;
};

/* Does away with what could forge a second line or disturb a terminal. */
static void make_printable(char *sentence)
{
	uint8_t *p = (uint8_t *)sentence;
	int step;

	for (size_t left = strlen(sentence); left > 0; left -= (size_t)step, p += step) {
		step = utf8_step(p, left);
		if (step < 0 || *p < 0x20 || *p == 0x7f) {
			*p = '?';
			step = 1;
		}
	}
}

/* Says what is wrong, after the file and line where there is one. Returns -1. */
__attribute__((format(printf, 3, 4))) static int fail(
	struct load *l, int exit_status, const char *format, ...)
{
	struct config_error *e = l->error;
	size_t used = 0;
	va_list args;

	if (l->source == SOURCE_FILE && l->line > 0)
		used = (size_t)snprintf(
			e->sentence, sizeof(e->sentence), "%.200s:%d: ", l->c->file, l->line);
	va_start(args, format);
	vsnprintf(e->sentence + used, sizeof(e->sentence) - used, format, args);
	va_end(args);
	make_printable(e->sentence);
	e->exit_status = exit_status;
	l->failed = true;
	return -1;
}

static int fail_memory(struct load *l)
{
	return fail(l, EX_OSERR, "no memory to read the configuration");
}

/* What a wrong word costs: the command line is usage, the rest is configuration. */
static int status_of(enum source source)
{
	return source == SOURCE_ARGUMENTS ? EX_USAGE : EX_CONFIG;
}

/* A setting's name as the current source spells it, in name[SETTING_NAME_MAX]. */
static const char *spelled(const struct load *l, const struct setting *s, char *name)
{
	if (l->source == SOURCE_ENVIRONMENT)
		setting_variable(s, name);
	else
		snprintf(name, SETTING_NAME_MAX, "%s%s", l->source == SOURCE_ARGUMENTS ? "--" : "",
			s->name);
	return name;
}

static char *keep(struct load *l, const char *text)
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

/* Gives a setting the value `text`, which config_free() will free. */
static int apply_one(struct load *l, const struct setting *s, const char *text)
{
	char advice[SETTING_ADVICE_MAX], name[SETTING_NAME_MAX];

	if (setting_apply(s, l->c, text, advice))
		return 0;
	return fail(l, status_of(l->source), "%s \"%.80s\": %s", spelled(l, s, name), text, advice);
}

/* The same for each of the words of a list. */
static int apply_list(struct load *l, const struct setting *s, char *text)
{
	const char *const blank = " \t";
	char *word = text + strspn(text, blank), *end;

	do {
		end = word + strcspn(word, blank);
		text = end + strspn(end, blank);
		*end = '\0';
		if (apply_one(l, s, word))
			return -1;
		word = text;
	} while (*word);
	return 0;
}

/* Takes a value from the current source, in place of what lesser ones said. */
static int apply(struct load *l, const struct setting *s, const char *text)
{
	size_t i = setting_index(s);
	bool list = setting_is_list(s);
	bool again = l->from[i] == l->source;
	char *copy = keep(l, text);

	if (!copy)
		return fail_memory(l);
	if (again && !list && l->source == SOURCE_FILE)
		return fail(l, EX_CONFIG, "%s stands in line %d already; keep one of the two",
			s->name, l->from_line[i]);
	if (list && !again)
		l->c->allow_origins[0] = NULL;
	l->from[i] = l->source;
	l->from_line[i] = l->line;
	return list ? apply_list(l, s, copy) : apply_one(l, s, copy);
}

/* "; did you mean max-streams?", or where all names are listed. */
static int fail_unknown(struct load *l, const char *what, const char *name, size_t length)
{
	const struct setting *near = setting_nearest(name, length);
	char nearest[SETTING_NAME_MAX];

	if (near)
		return fail(l, status_of(l->source), "unknown %s %.*s; did you mean %s?", what,
			length > 80 ? 80 : (int)length, name, spelled(l, near, nearest));
	return fail(l, status_of(l->source), "unknown %s %.*s; rowtail --help lists them all", what,
		length > 80 ? 80 : (int)length, name);
}

/* --- the CONFIG file --- */

static int slurp(struct load *l)
{
	FILE *file = fopen(l->c->file, "re");
	int error;

	if (!file)
		return fail(l, EX_NOINPUT, "cannot read the CONFIG file %.255s: %s", l->c->file,
			strerror(errno));
	if (!(l->text = malloc(FILE_MAX + 1))) {
		fclose(file);
		return fail_memory(l);
	}
	l->length = fread(l->text, 1, FILE_MAX + 1, file);
	error = ferror(file) ? errno : 0;
	fclose(file);
	if (error)
		return fail(l, EX_NOINPUT, "cannot read the CONFIG file %.255s: %s", l->c->file,
			strerror(error));
	if (l->length >= 16 && !memcmp(l->text, "SQLite format 3", 16))
		return fail(l, EX_CONFIG,
			"%.255s is a database, not a CONFIG file; give it as --db %s", l->c->file,
			l->c->file);
	if (l->length > FILE_MAX)
		return fail(l, EX_CONFIG, "%.255s is larger than %d bytes: is it a CONFIG file?",
			l->c->file, FILE_MAX);
	return 0;
}

/* Of a line without its newline. */
static bool is_plain(const char *line, size_t length)
{
	if (length > 0 && line[length - 1] == '\r')
		length--;
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
			return false;
	return true;
}

/* inih would take "name: value", pass over a line without either, and know sections. */
static int check_line(struct load *l, const char *line)
{
	if (l->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
		line += 3;
	line += strspn(line, " \t\r\n");
	if (!*line || *line == '#' || *line == ';')
		return 0;
	if (*line == '[')
		return fail(l, EX_CONFIG, "there are no [sections]; take this line out");
	if (line[strcspn(line, "=:")] != '=' || *line == '=')
		return fail(l, EX_CONFIG,
			"\"%.*s\" is no setting; a line is NAME = VALUE, or begins with #",
			(int)strcspn(line, "\r\n") > 80 ? 80 : (int)strcspn(line, "\r\n"), line);
	return 0;
}

/* Copies the next line to out[ROW_MAX + 2], with its newline; false when it can't be right. */
static bool copy_line(struct load *l, char *out)
{
	const char *line = l->text + l->at;
	const char *newline = memchr(line, '\n', l->length - l->at);
	size_t length = newline ? (size_t)(newline - line) : l->length - l->at;

	l->line++;
	l->at += newline ? length + 1 : length;
	if (length > ROW_MAX) {
		fail(l, EX_CONFIG, "the line is longer than %d bytes", ROW_MAX);
		return false;
	}
	if (!is_plain(line, length)) {
		fail(l, EX_CONFIG, "there is a control character; the file must be plain text");
		return false;
	}
	memcpy(out, line, length);
	memcpy(out + length, "\n", 2);
	return check_line(l, out) == 0;
}

/* Hands inih the next line, as fgets(3) would; NULL at the end of it all. */
static char *next_line(char *out, int size, void *stream)
{
	struct load *l = stream;

	assert(size >= ROW_MAX + 2);
	return !l->failed && l->at < l->length && copy_line(l, out) ? out : NULL;
}

/* 1 to go on, 0 to stop, as inih wants it. */
static int take_line(void *user, const char *section, const char *name, const char *value)
{
	struct load *l = user;
	const struct setting *s = setting_find(name, strlen(name));

	if (!s)
		return fail_unknown(l, "setting", name, strlen(name)) == 0;
	return apply(l, s, value) == 0;
}

static int read_file(struct load *l)
{
	int wrong;

	l->source = SOURCE_FILE;
	if (slurp(l))
		return -1;
	ini_max_line = ROW_MAX + 3;
	ini_use_stack = true;
	ini_allow_realloc = false;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_allow_no_value = false;
	ini_allow_bom = true;
	ini_stop_on_first_error = true;
	wrong = ini_parse_stream(next_line, l, take_line, l);
	if (wrong && !l->failed)
		fail(l, EX_CONFIG, "a line is NAME = VALUE, or begins with #");
	return l->failed ? -1 : 0;
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

/*
 * Names that others give: ROWTAIL_PAGE is a parameter of a request, and container runtimes describe
 * a service called rowtail as ROWTAIL_SERVICE_HOST, ROWTAIL_PORT, ROWTAIL_PORT_80_TCP_ADDR…
 */
static bool is_foreign(const char *name, size_t length)
{
	static const char *const parts[] = {"_PORT", "_SERVICE_"};
	const char *found;

	if (length == strlen("ROWTAIL_PAGE") && !memcmp(name, "ROWTAIL_PAGE", length))
		return true;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		found = memmem(name, length, parts[i], strlen(parts[i]));
		if (found)
			return true;
	}
	return false;
}

static int read_variable(struct load *l, const char *variable)
{
	size_t length = strcspn(variable, "=");
	const struct setting *s = find_variable(variable, length);

	/* An empty variable counts as none: that is how many a launcher unsets one. */
	if (!variable[length] || !variable[length + 1] || is_foreign(variable, length))
		return 0;
	if (!s)
		return fail_unknown(l, "environment variable", variable, length);
	/* Container images like to hold a ROWTAIL_VERSION. */
	return setting_is_question(s) ? 0 : apply(l, s, variable + length + 1);
}

static int read_environment(struct load *l, char *const *envp)
{
	l->source = SOURCE_ENVIRONMENT;
	for (; *envp; envp++)
		if (!strncmp(*envp, "ROWTAIL_", 8) && read_variable(l, *envp))
			return -1;
	return 0;
}

/* --- the command line --- */

/* Says what is wrong with an argument. Returns -1. */
static int fail_argument(struct load *l, enum argument kind, const struct argument_found *found)
{
	const struct setting *s = found->setting;

	switch (kind) {
	case ARGUMENT_UNKNOWN:
		return fail_unknown(l, "option", found->value, strcspn(found->value, "="));
	case ARGUMENT_INCOMPLETE:
		return fail(l, EX_USAGE, "--%s: a value must follow: --%s %s", s->name, s->name,
			s->operand);
	case ARGUMENT_CLIENT:
		return fail(l, EX_USAGE,
			"these arguments may be words of the client's query string (RFC 3875, "
			"4.4); "
			"put settings into a CONFIG file or the environment");
	default:
		return fail(l, EX_USAGE, "\"%.80s\" is one CONFIG file too many, after \"%.80s\"",
			found->value, l->c->file);
	}
}

/* Looks through the arguments without applying any: which one is the CONFIG file? */
static int survey(struct load *l, struct arguments a)
{
	struct argument_found found;
	enum argument kind;

	while ((kind = arguments_next(&a, &found)) != ARGUMENT_END) {
		if (kind == ARGUMENT_SETTING)
			continue;
		if (kind != ARGUMENT_FILE || l->c->file)
			return fail_argument(l, kind, &found);
		if (!(l->c->file = keep(l, found.value)))
			return fail_memory(l);
	}
	return 0;
}

static int read_arguments(struct load *l, struct arguments a)
{
	struct argument_found found;
	enum argument kind;

	l->source = SOURCE_ARGUMENTS;
	while ((kind = arguments_next(&a, &found)) != ARGUMENT_END)
		if (kind == ARGUMENT_SETTING && apply(l, found.setting, found.value))
			return -1;
	return 0;
}

/* --- all together --- */

/* What no value can tell alone. */
static int check_whole(struct load *l)
{
	struct config *c = l->c;
	const char *given = c->jwt_key ? "jwt-key" : "jwt-algorithm";
	const char *missing = c->jwt_key ? "jwt-algorithm" : "jwt-key";
	size_t i = setting_index(setting_find(given, strlen(given)));

	if (!c->jwt_key != !c->jwt_algorithm) {
		l->source = l->from[i];
		l->line = l->from_line[i];
		return fail(l, status_of(l->source),
			"%s is of no use without %s; give both or neither", given, missing);
	}
	if (c->db)
		return 0;
	if (c->file)
		return fail(l, EX_CONFIG,
			"no database: %.255s needs a line db = PATH (or give --db PATH or "
			"ROWTAIL_DB)",
			c->file);
	return fail(l, EX_USAGE,
		"no database: give --db PATH, ROWTAIL_DB, or a line db = PATH in a CONFIG file; "
		"rowtail --help tells more");
}

static int read_all(struct load *l, struct arguments a, char *const *envp)
{
	l->source = SOURCE_ARGUMENTS;
	if (arguments_ask(&a, "--help"))
		l->c->action = CONFIG_HELP;
	else if (arguments_ask(&a, "--version"))
		l->c->action = CONFIG_VERSION;
	if (l->c->action != CONFIG_SERVE)
		return 0;
	if (survey(l, a))
		return -1;
	if (l->c->file && read_file(l))
		return -1;
	if (read_environment(l, envp) || read_arguments(l, a))
		return -1;
	return check_whole(l);
}

static void set_defaults(struct load *l)
{
	char advice[SETTING_ADVICE_MAX];
	const struct setting *s;

	l->c->memory = l->memory;
	l->c->allow_origins = l->memory->origins;
	for (size_t i = 0; i < setting_count(); i++) {
		s = setting_at(i);
		if (s->standard && !setting_apply(s, l->c, s->standard, advice))
			assert(!"every default is valid");
	}
}

int config_load(struct config *c, int argc, char *const *argv, char *const *envp,
	struct config_error *error)
{
	struct load l = {.c = c, .error = error};
	struct arguments a;
	int result;

	memset(c, 0, sizeof(*c));
	memset(error, 0, sizeof(*error));
	if (!(l.memory = calloc(1, sizeof(*l.memory))))
		return fail_memory(&l);
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
	struct memory *memory = c->memory;
	struct block *block;

	while (memory && (block = memory->blocks)) {
		memory->blocks = block->next;
		free(block);
	}
	free(memory);
	memset(c, 0, sizeof(*c));
}
