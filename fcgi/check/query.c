#include "check/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/text.h"
#include "log/trouble.h"

/* Reports why a statement failed, unless it is only that a table or a column is missing. */
static void tell(struct checking *c, enum database_status s)
{
	static bool told;
	char sentence[EVENTLOG_SENTENCE_MAX];
	struct database_failure why;

	if (told || s == DATABASE_OK || s == DATABASE_ROW || s == DATABASE_DONE ||
		s == DATABASE_SCHEMA)
		return;
	told = true;
	if (s == DATABASE_BUSY) {
		trouble_locked(c->config->db, sentence, sizeof(sentence));
		report_note(c->report, NULL, "this could not be read: %s", sentence);
		return;
	}
	database_explain(c->db, &why);
	trouble_explain(c->config->db, &why, sentence, sizeof(sentence));
	report_wrong(c->report, EX_CONFIG, NULL, "%s", sentence);
}

/* Returns a statement that stands at its first row, or NULL. */
static struct statement *first(struct checking *c, const char *sql, const char *bind)
{
	struct statement *st;
	enum database_status s = database_prepare(c->db, &st, sql);

	if (s == DATABASE_OK) {
		if (bind)
			database_bind_text(st, 1, bind, strlen(bind));
		s = database_step(st);
	}
	if (s == DATABASE_ROW)
		return st;
	tell(c, s);
	database_finalize(st);
	return NULL;
}

bool query_text(struct checking *c, const char *sql, char *out, size_t size)
{
	struct statement *st = first(c, sql, NULL);
	const char *text;
	size_t length;
	bool found = st && (text = database_text(st, 0, &length));

	*out = '\0';
	if (found)
		snprintf(out, size, "%s", text);
	database_finalize(st);
	return found;
}

bool query_int(struct checking *c, const char *sql, int64_t *out)
{
	struct statement *st = first(c, sql, NULL);
	bool found = st && !database_is_null(st, 0);

	*out = found ? database_int(st, 0) : 0;
	database_finalize(st);
	return found;
}

bool query_any(struct checking *c, const char *sql, const char *bind)
{
	struct statement *st = first(c, sql, bind);

	database_finalize(st);
	return st != NULL;
}

bool query_next(struct checking *c, struct statement *st)
{
	enum database_status s = database_step(st);

	tell(c, s);
	return s == DATABASE_ROW;
}

/* The directory with the SQL files: here, or where make install puts them beside this program. */
static void find_schema(char *directory, size_t size)
{
	char program[PATH_MAX], *slash;
	ssize_t length;

	snprintf(directory, size, "schema");
	if (access("schema/rowtail.sql", R_OK) == 0 ||
		(length = readlink("/proc/self/exe", program, sizeof(program) - 64)) <= 0)
		return;
	program[length] = '\0';
	for (int i = 0; i < 2; i++)
		if ((slash = strrchr(program, '/')))
			*slash = '\0';
	snprintf(program + strlen(program), sizeof(program) - strlen(program), "%s",
		"/share/rowtail/schema");
	if (access(program, R_OK) == 0)
		snprintf(directory, size, "%s", program);
}

const char *cure_schema(char *cure, const struct checking *c, const char *file)
{
	char directory[PATH_MAX], path[PATH_MAX + 64], word[2 * PATH_MAX];

	find_schema(directory, sizeof(directory));
	snprintf(path, sizeof(path), "%s/%s", directory, file);
	snprintf(cure, REPORT_CURE_MAX, "sqlite3 %s < %s", c->word,
		text_shell(word, sizeof(word), path));
	return cure;
}

const char *cure_sql(char *cure, const struct checking *c, const char *sql)
{
	snprintf(cure, REPORT_CURE_MAX, "sqlite3 %s \"%s\"", c->word, sql);
	return cure;
}
