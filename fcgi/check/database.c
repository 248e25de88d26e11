/* Can the database be read, and how do others use it? */
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/who.h"
#include "check/query.h"
#include "log/trouble.h"

enum {
	LOCKED_MOMENT_MS = 50,
	ROWS_READ = 256, /* of the oldest and of the newest ids */
	APART_MOMENT_MS = 200, /* opening a database takes less */
	OLDEST_SQLITE = 3007017, /* that the files of schema/ support */
	EXAMINED_MIB = 64, /* a larger file takes too long to examine page by page */
};

static void pause_ms(int ms)
{
	const struct timespec moment = {.tv_nsec = ms * 1000000L};

	nanosleep(&moment, NULL);
}

/* Opens the log. Waits for a lock as long as a commit may take; a longer lock is wrong. */
static enum eventlog_status open_log(struct checking *c, struct eventlog *log)
{
	char sentence[EVENTLOG_SENTENCE_MAX];
	enum eventlog_status e = eventlog_open(log);

	for (int ms = 0; e == EVENTLOG_BUSY && ms < CHECKING_LOCKED_MS; ms += LOCKED_MOMENT_MS) {
		pause_ms(LOCKED_MOMENT_MS);
		e = eventlog_open(log);
	}
	if (e == EVENTLOG_BUSY) {
		trouble_locked(c->config->db, sentence, sizeof(sentence));
		report_wrong(c->report, EX_CONFIG, NULL, "%s", sentence);
	} else if (e == EVENTLOG_FAULT) {
		report_wrong(c->report, access(c->config->db, R_OK) < 0 ? EX_NOINPUT : EX_CONFIG,
			NULL, "%s", eventlog_error(log));
	}
	return e;
}

/* The time of the last row shows whether a writer uses another file than intended. */
static void tell_bounds(struct checking *c)
{
	char last[64] = "";

	if (!strcasecmp(c->config->table, "events"))
		query_text(c, "SELECT created_at FROM events ORDER BY id DESC LIMIT 1", last,
			sizeof(last));
	if (c->bounds.oldest > c->bounds.newest)
		report_ok(c->report, "%s can be followed: it has no rows yet, and the file is %s",
			c->config->table, c->real);
	else
		report_ok(c->report, "%s can be followed: oldest id %lld, newest %lld%s%s",
			c->config->table, (long long)c->bounds.oldest, (long long)c->bounds.newest,
			*last ? ", of " : "", last);
}

static void check_journal(struct checking *c)
{
	char cure[REPORT_CURE_MAX];
	char mode[32];

	query_text(c, "PRAGMA journal_mode", mode, sizeof(mode));
	/* Of a file that was opened without a trace, only the header tells. */
	if (!strcasecmp(mode, "wal") || c->header.is_wal)
		report_ok(c->report, "the journal mode is WAL");
	else
		report_note(c->report, cure_sql(cure, c, "PRAGMA journal_mode=WAL"),
			"the journal mode is %s: readers and writers block each other", mode);
}

static void check_versions(struct checking *c)
{
	char writer[16];

	if (!c->header.version)
		return;
	header_version(writer, c->header.version);
	if (c->header.version < OLDEST_SQLITE)
		report_note(c->report, NULL,
			"SQLite %s wrote the first page last, and the schema needs 3.7.17: upgrade "
			"the "
			"writer's SQLite",
			writer);
	else
		report_ok(c->report, "rowtail has SQLite %s; %s wrote the first page last",
			database_version(), writer);
}

/* Does a process write with another -wal? Called while our own -wal and -shm exist. */
static void check_order(struct checking *c)
{
	char sentence[EVENTLOG_SENTENCE_MAX];

	if (eventlog_slow(c->log, sentence, sizeof(sentence)))
		report_note(c->report, NULL, "%s", sentence);
}

static void check_others(struct checking *c)
{
	char sentence[EVENTLOG_SENTENCE_MAX];
	pid_t suspect = 0;

	if (!eventlog_is_wal(c->log))
		return;
	trouble_is_apart(c->config->db, &suspect, sentence, sizeof(sentence));
	if (!suspect)
		return;
	pause_ms(APART_MOMENT_MS);
	if (trouble_is_apart(c->config->db, &suspect, sentence, sizeof(sentence)))
		report_wrong(c->report, EX_CONFIG, NULL, "%s", sentence);
}

static bool pass_over(void *context, const struct row *row)
{
	return true;
}

/* A view or a damaged file can fail for some rows only, so this reads the oldest and the newest. */
static void check_rows(struct checking *c)
{
	const int64_t after[] = {c->bounds.oldest - 1, c->bounds.newest - ROWS_READ};

	for (int i = 0; i < 2; i++) {
		struct eventlog_batch batch = {0};

		if (eventlog_read(c->log, NULL, after[i] > 0 ? after[i] : 0, EVENTLOG_TOLD_ALL,
			    ROWS_READ, pass_over, NULL, &batch) == EVENTLOG_FAULT) {
			report_wrong(c->report, EX_CONFIG, NULL, "%s", eventlog_error(c->log));
			return;
		}
	}
}

/*
 * Is this about NOT NULL or a type, which no damage has violated? On a read-only connection SQLite
 * examines no CHECK.
 */
static bool is_about_values(const char *finding)
{
	return strstr(finding, " value in ");
}

/* The first finding that is damage; false if there is none. */
static bool find_damage(struct checking *c, char *finding, size_t size)
{
	struct statement *st;
	const char *text;
	size_t length;
	bool found = false;

	if (database_prepare(c->db, &st, "PRAGMA quick_check") != DATABASE_OK)
		return false;
	while (!found && query_next(c, st))
		if ((text = database_text(st, 0, &length)) && strcmp(text, "ok") != 0 &&
			!is_about_values(text)) {
			snprintf(finding, size, "%.*s", (int)strcspn(text, "\n"), text);
			found = true;
		}
	database_finalize(st);
	return found;
}

static void check_pages(struct checking *c)
{
	char finding[256], cure[REPORT_CURE_MAX];

	if (c->header.size > EXAMINED_MIB * INT64_C(1024) * 1024 ||
		!find_damage(c, finding, sizeof(finding)))
		return;
	snprintf(cure, sizeof(cure), "sqlite3 %s .recover | sqlite3 new.db", c->word);
	report_wrong(c->report, EX_CONFIG, cure,
		"%s is damaged (%s): restore a backup, or save what is left in a new file",
		c->config->db, finding);
}

/* Reading without a trace sees what is in the file, and a -wal may have more. */
static void tell_traceless(struct checking *c)
{
	report_note(c->report, NULL,
		"this reads only the file%s, to leave no -wal and -shm behind that this user "
		"could not remove",
		c->traces.wal.st_ino ? ", not the -wal" : "");
}

void section_database(struct checking *c)
{
	char sentence[EVENTLOG_SENTENCE_MAX];
	struct eventlog *log;

	/* section_files has already reported a file that cannot be read, in the same words. */
	if (c->report->status == EX_NOINPUT)
		return;
	if (trouble_is_odd(c->config->db, sentence, sizeof(sentence))) {
		report_wrong(c->report, EX_CONFIG, NULL, "%s", sentence);
		return;
	}
	header_read(&c->header, c->real);
	traces_note(&c->traces, c->real);
	if (c->header.is_wal && traces_would_stay(&c->traces)) {
		database_leave_no_trace();
		tell_traceless(c);
	}
	if (!(log = eventlog_new(c->config->db, c->config->table))) {
		report_wrong(c->report, EX_OSERR, NULL, "there is not enough memory");
		return;
	}
	if (open_log(c, log) != EVENTLOG_OK) {
		eventlog_free(log);
		traces_undo(&c->traces);
		return;
	}
	c->log = log;
	c->db = eventlog_database(log);
	if (eventlog_bounds(log, &c->bounds) == EVENTLOG_OK)
		tell_bounds(c);
	check_journal(c);
	check_versions(c);
	check_order(c);
	check_others(c);
	check_pages(c);
	check_rows(c);
	/* A fault may have closed it. */
	if (!eventlog_is_open(log)) {
		eventlog_free(log);
		traces_undo(&c->traces);
		c->log = NULL;
		c->db = NULL;
	}
}
