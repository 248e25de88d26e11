#include "mirror/inspect.h"

#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/loop.h"
#include "log/schema.h"
#include "mirror/source.h"

static struct {
	const struct config *config;
	struct source *source;
	enum source_question question;
	bool notices; /* this is the connection of --notices */
	bool standby;
	int64_t rows;
	int status;
} inspect;

static void say(const char *mark, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const char *mark, const char *format, ...)
{
	va_list args;

	printf("%-6s", mark);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void wrong(int status)
{
	if (!inspect.status)
		inspect.status = status;
}

/* Everything that the mirror asks is asked here, too. */
static void ask(enum source_question question)
{
	inspect.question = question;
	source_ask(inspect.source, question, question == SOURCE_SIZE ? 1 : INT64_MAX, 1);
}

static void ready(void *context)
{
	say("ok", "%s is connected: %s", inspect.notices ? "--notices" : "--from",
		source_where(inspect.source));
	ask(SOURCE_STATE);
}

static void tell_version(int64_t version)
{
	if (version < SCHEMA_VERSION)
		say("note",
			"an older postgresql.sql made this log: it has version %" PRId64
			" of the schema, and this rowtail-mirror knows %d; to upgrade it, which "
			"keeps "
			"every row: psql -v ON_ERROR_STOP=1 -f schema/postgresql.sql",
			version, SCHEMA_VERSION);
	else if (version > SCHEMA_VERSION)
		say("note",
			"a newer postgresql.sql made this log: it has version %" PRId64
			" of the schema, and this rowtail-mirror knows %d; install the newer "
			"rowtail-mirror",
			version, SCHEMA_VERSION);
	else
		say("ok", "it has version %d of the schema, as this rowtail-mirror",
			SCHEMA_VERSION);
}

static void change(void *context, const struct change *c)
{
	if (c->kind == CHANGE_LOG && inspect.question == SOURCE_VERSION)
		tell_version(c->number);
	if (c->kind != CHANGE_LOG || inspect.question != SOURCE_STATE)
		return;
	inspect.standby = c->flags & CHANGE_FROM_STANDBY;
	say("ok", "it is a %s; its newest number is %" PRId64,
		inspect.standby ? "standby" : "primary", c->number);
}

static void answered(void *context)
{
	static const enum source_question next[] = {[SOURCE_STATE] = SOURCE_VERSION,
		[SOURCE_VERSION] = SOURCE_LOOK,
		[SOURCE_LOOK] = SOURCE_SIZE,
		[SOURCE_SIZE] = SOURCE_ALL};

	if (inspect.question == SOURCE_LISTEN) {
		say("ok", "it tells of new rows (LISTEN)");
		loop_stop();
	} else if (inspect.question != SOURCE_ALL && !inspect.notices) {
		ask(next[inspect.question]);
	} else if (!inspect.standby || inspect.notices) {
		if (!inspect.notices)
			say("ok", "the log can be read");
		ask(SOURCE_LISTEN);
	} else {
		say("ok", "the log can be read");
		if (!inspect.config->notices)
			say("note",
				"a standby tells nobody of new rows, so each comes up to %" PRId64
				" ms later (--poll); --notices with the primary is faster",
				inspect.config->poll_ms);
		loop_stop();
	}
}

static void failed(void *context, enum source_failure failure, const char *sentence)
{
	say("WRONG", "%s: %s", inspect.notices ? "--notices" : "--from", sentence);
	wrong(failure == SOURCE_LOST ? EX_UNAVAILABLE : EX_CONFIG);
	loop_stop();
}

static void noticed(void *context)
{
}

static void inspect_source(const char *text, bool notices)
{
	static const struct source_calls calls = {.ready = ready,
		.change = change,
		.answered = answered,
		.failed = failed,
		.noticed = noticed};

	inspect.notices = notices;
	if (!(inspect.source = source_new(text, &calls, NULL)))
		return;
	source_connect(inspect.source);
	/* It may have failed at once, before the loop ran. */
	if (!inspect.status)
		loop_run();
	source_close(inspect.source);
}

static void inspect_place(const char *path)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof(directory), "%s", path);
	if (access(dirname(directory), W_OK | X_OK) == 0) {
		say("ok", "%s will be made there", path);
		return;
	}
	say("WRONG",
		"the directory of %s cannot be written by this user: create it, or give it to the "
		"user",
		path);
	wrong(EX_NOINPUT);
}

static void inspect_copy(const struct config *config, struct copy *copy)
{
	struct stat st;

	if (stat(config->db, &st) < 0 || st.st_size == 0) {
		inspect_place(config->db);
		return;
	}
	switch (copy_look(copy)) {
	case COPY_OK:
		say("ok", "%s is a copy, up to number %" PRId64, config->db,
			copy_state(copy)->cursor);
		break;
	case COPY_FOREIGN:
		say("WRONG", "%s", copy_error(copy));
		wrong(EX_CONFIG);
		break;
	default:
		say("note", "%s; rowtail-mirror makes a new copy", copy_error(copy));
	}
}

int inspect_run(const struct config *config, struct copy *copy)
{
	inspect.config = config;
	if (config->file)
		say("ok", "%s can be read", config->file);
	inspect_copy(config, copy);
	inspect_source(config->from, false);
	if (config->notices)
		inspect_source(config->notices, true);
	return inspect.status;
}
