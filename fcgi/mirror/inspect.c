#include "mirror/inspect.h"

#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/report.h"
#include "log/schema.h"
#include "mirror/source.h"

static struct {
	const struct config *config;
	struct source *source;
	enum source_question question;
	bool notices; /* this is the connection of --notices */
	bool standby;
	struct report report;
} inspect;

/* They read little: what comes after all rows, the newest row, one mark, grant and end. */
static const int64_t parameters[SOURCE_QUESTIONS][2] = {
	[SOURCE_LOOK] = {INT64_MAX}, [SOURCE_SIZE] = {1}, [SOURCE_ALL] = {INT64_MAX, 1}};

static const char upgrade[] = "psql -v ON_ERROR_STOP=1 -f schema/postgresql.sql";

/* Everything that the mirror asks is asked here, too. */
static void ask(enum source_question question)
{
	inspect.question = question;
	source_ask(inspect.source, question, parameters[question][0], parameters[question][1]);
}

static void ready(void *context)
{
	report_ok(&inspect.report, "%s is connected: %s", inspect.notices ? "--notices" : "--from",
		source_where(inspect.source));
	ask(SOURCE_STATE);
}

static void tell_version(int64_t version)
{
	if (version < SCHEMA_VERSION)
		report_note(&inspect.report, upgrade,
			"an older postgresql.sql made this log: it has version %" PRId64
			" of the schema, and this rowtail-mirror knows %d; an upgrade keeps every "
			"row",
			version, SCHEMA_VERSION);
	else if (version > SCHEMA_VERSION)
		report_note(&inspect.report, NULL,
			"a newer postgresql.sql made this log: it has version %" PRId64
			" of the schema, and this rowtail-mirror knows %d; install the newer "
			"rowtail-mirror",
			version, SCHEMA_VERSION);
	else
		report_ok(&inspect.report,
			"it has version %d of the schema, as this rowtail-mirror", SCHEMA_VERSION);
}

static void change(void *context, const struct change *c)
{
	if (c->kind == CHANGE_LOG && inspect.question == SOURCE_VERSION)
		tell_version(c->number);
	if (c->kind != CHANGE_LOG || inspect.question != SOURCE_STATE)
		return;
	inspect.standby = c->flags & CHANGE_FROM_STANDBY;
	report_ok(&inspect.report, "it is a %s; its newest number is %" PRId64,
		inspect.standby ? "standby" : "primary", c->number);
}

static void answered(void *context)
{
	static const enum source_question next[] = {[SOURCE_STATE] = SOURCE_VERSION,
		[SOURCE_VERSION] = SOURCE_LOOK,
		[SOURCE_LOOK] = SOURCE_SIZE,
		[SOURCE_SIZE] = SOURCE_ALL};

	if (inspect.question == SOURCE_LISTEN) {
		report_ok(&inspect.report, "it sends notices of new rows (LISTEN)");
		loop_stop();
	} else if (inspect.question != SOURCE_ALL && !inspect.notices) {
		ask(next[inspect.question]);
	} else if (!inspect.standby || inspect.notices) {
		if (!inspect.notices)
			report_ok(&inspect.report, "the log can be read");
		ask(SOURCE_LISTEN);
	} else {
		report_ok(&inspect.report, "the log can be read");
		if (!inspect.config->notices)
			report_note(&inspect.report, NULL,
				"a standby sends no notices of new rows, so each arrives up to "
				"%" PRId64
				" ms later (--poll); --notices with the primary is faster",
				inspect.config->poll_ms);
		loop_stop();
	}
}

static void failed(void *context, enum source_failure failure, const char *sentence)
{
	report_wrong(&inspect.report, failure == SOURCE_LOST ? EX_UNAVAILABLE : EX_CONFIG, NULL,
		"%s: %s", inspect.notices ? "--notices" : "--from", sentence);
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
	int lines;

	report_section(&inspect.report, notices ? "notices" : "source", true);
	if (!text)
		return;
	inspect.notices = notices;
	if (!(inspect.source = source_new(text, &calls, NULL)))
		return;
	lines = inspect.report.lines;
	source_connect(inspect.source);
	/* It may have failed at once, before the loop ran. */
	if (inspect.report.lines == lines)
		loop_run();
	source_close(inspect.source);
}

static void inspect_place(const struct copy *copy)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof(directory), "%s", copy_path(copy));
	if (access(dirname(directory), W_OK | X_OK) == 0)
		report_ok(&inspect.report, "%s will be made there", copy_path(copy));
	else
		report_wrong(&inspect.report, EX_NOINPUT, NULL,
			"the directory of %s cannot be written by this user: create it, or give it "
			"to the user",
			copy_path(copy));
}

static void inspect_copy(struct copy *copy)
{
	struct stat st;

	if (stat(copy_path(copy), &st) < 0 || (st.st_size == 0 && S_ISREG(st.st_mode))) {
		inspect_place(copy);
		return;
	}
	switch (copy_look(copy)) {
	case COPY_OK:
		report_ok(&inspect.report, "%s is a copy, up to number %" PRId64,
			inspect.config->db, copy_state(copy)->cursor);
		break;
	case COPY_FOREIGN:
		report_wrong(&inspect.report, EX_CONFIG, NULL, "%s", copy_error(copy));
		break;
	default:
		report_note(&inspect.report, NULL, "%s; rowtail-mirror makes a new copy",
			copy_error(copy));
	}
}

int inspect_run(const struct config *config, struct copy *copy)
{
	inspect.config = config;
	inspect.report =
		(struct report){.program = "rowtail-mirror", .does = "copy", .json = config->json};
	report_begin(&inspect.report, config->db);
	report_section(&inspect.report, "configuration", true);
	if (config->file)
		report_ok(&inspect.report, "%s can be read", config->file);
	report_section(&inspect.report, "copy", true);
	inspect_copy(copy);
	inspect_source(config->from, false);
	inspect_source(config->notices, true);
	report_end(&inspect.report);
	return inspect.report.status;
}
