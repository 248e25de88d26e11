/*
 * Reads the CONFIG file with inih, and checks what inih would let pass.
 *
 * inih splits a line into name and value, and handles comments, blanks and a BOM. Debian's library
 * reports no line numbers and takes its limits from global variables. So this file passes it one
 * line at a time, and counts and checks the lines itself.
 */
#include <assert.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/file.h"
#include "base/text.h"
#include "config/config_impl.h"

enum {
	FILE_MAX = 256 * 1024, /* bytes of a CONFIG file */
	VALUE_MAX = 4096, /* of a value in it */
	ROW_MAX = VALUE_MAX + 256, /* of a line in it: the key, the blanks and the value */
};

static int slurp(struct config_load *l)
{
	const char *name = l->c->file;
	char why[FILE_WHY_MAX];
	ssize_t length;

	if (!(l->text = malloc(FILE_MAX + 1)))
		return config_fail_memory(l);
	if ((length = file_read(name, l->text, FILE_MAX, why)) < 0)
		return config_fail(
			l, EX_NOINPUT, "cannot read the CONFIG file %.255s: %s", name, why);
	l->length = (size_t)length;
	if (l->length >= 16 && !memcmp(l->text, "SQLite format 3", 16))
		return config_fail(l, EX_CONFIG,
			"%.200s is a database, not a CONFIG file; use --db %.200s", name, name);
	if (l->length > FILE_MAX)
		return config_fail(l, EX_CONFIG,
			"%.255s is longer than %d bytes; is it a CONFIG file?", name, FILE_MAX);
	return 0;
}

/* The line has no newline. */
static bool is_plain(const char *line, size_t length)
{
	if (length > 0 && line[length - 1] == '\r')
		length--;
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
			return false;
	return true;
}

/* Refuses what inih would accept or ignore: "name: value", a line without either, sections. */
static int check_line(struct config_load *l, const char *line)
{
	const struct setting *s;
	struct text_quote quote;
	size_t length;

	if (l->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
		line += 3;
	line += strspn(line, " \t\r\n");
	if (!*line || *line == '#' || *line == ';')
		return 0;
	if (*line == '[')
		return config_fail(l, EX_CONFIG, "[sections] are not supported; remove this line");
	if (line[strcspn(line, "=:")] == '=' && *line != '=')
		return 0;
	length = strcspn(line, " \t\r\n");
	if (!line[length + strspn(line + length, " \t\r\n")] && (s = setting_find(line, length)))
		return config_fail(l, EX_CONFIG, "%s has no value; write %s = %s", s->name, s->name,
			s->operand ? s->operand : "yes");
	return config_fail(l, EX_CONFIG,
		"\"%s\" is not a setting; a line is NAME = VALUE, or begins with #",
		text_quote(&quote, line, strcspn(line, "\r\n")));
}

/* Copies the next line to out[ROW_MAX + 2], with its newline. False if it is certainly wrong. */
static bool copy_line(struct config_load *l, char *out)
{
	const char *line = l->text + l->at;
	const char *newline = memchr(line, '\n', l->length - l->at);
	size_t length = newline ? (size_t)(newline - line) : l->length - l->at;

	l->line++;
	l->at += newline ? length + 1 : length;
	if (length > ROW_MAX) {
		config_fail(l, EX_CONFIG, "the line is longer than %d bytes", ROW_MAX);
		return false;
	}
	if (!is_plain(line, length)) {
		config_fail(l, EX_CONFIG,
			"the line has a control character; the file must be plain text");
		return false;
	}
	memcpy(out, line, length);
	memcpy(out + length, "\n", 2);
	return check_line(l, out) == 0;
}

/* Passes inih the next line, as fgets(3) would; NULL at the end of the file. */
static char *next_line(char *out, int size, void *stream)
{
	struct config_load *l = stream;

	assert(size >= ROW_MAX + 2);
	return !l->failed && l->at < l->length && copy_line(l, out) ? out : NULL;
}

/* Returns 1 to go on, 0 to stop: inih's convention. */
static int take_line(void *user, const char *section, const char *name, const char *value)
{
	struct config_load *l = user;
	const struct setting *s = setting_find(name, strlen(name));

	if (!s)
		return config_fail_unknown(l, "setting", name, strlen(name)) == 0;
	return config_apply(l, s, value) == 0;
}

int config_read_file(struct config_load *l)
{
	int wrong;

	l->source = CONFIG_FROM_FILE;
	if (slurp(l))
		return -1;
	ini_max_line = ROW_MAX + 2; /* a newline and a NUL */
	ini_use_stack = true;
	ini_allow_realloc = false;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_allow_no_value = false;
	ini_allow_bom = true;
	wrong = ini_parse_stream(next_line, l, take_line, l);
	if (wrong && !l->failed)
		config_fail(l, EX_CONFIG, "a line is NAME = VALUE, or begins with #");
	return l->failed ? -1 : 0;
}
