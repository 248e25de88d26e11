/*
 * logging: one line per entry on standard error.
 *
 * A line is "2026-11-22T23:24:44.123Z rowtail[PID] LEVEL: text", in UTC, or a JSON object with
 * time, level, pid, message and the entry's fields. It is written by one write(2). A text line has
 * at most LOG_LINE_MAX bytes including its newline; a JSON line fits into a pipe's PIPE_BUF.
 * Control characters and bytes that are not UTF-8 are escaped, so that no client can forge a line.
 * A text that does not fit is cut between two characters and ends in "...". If standard error is
 * the journal, each line begins with its priority, such as "<4>" (sd-daemon(3)).
 *
 * A line that repeats is left out after LOG_REPEATS times; a line says how often it was repeated.
 *
 * Never blocks for long: when the reader of standard error is stuck, lines are dropped, and the
 * next line that gets through is preceded by their number. Never reports an error; preserves errno.
 * Callers never pass secrets. One thread.
 */
#ifndef ROWTAIL_LOGGING_H
#define ROWTAIL_LOGGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum { LOG_LINE_MAX = 1024, LOG_REPEATS = 5, LOG_REPEAT_S = 10 };

/* The format of all lines, LOG_TEXT at first. */
enum log_format { LOG_TEXT, LOG_JSON };
void log_set_format(enum log_format format);

/* Finds out if standard error is the journal. stream: the environment's JOURNAL_STREAM, or NULL. */
void log_find_journal(const char *stream);

/* Sets the name in each line, "rowtail" at first. Borrowed for good. */
void log_set_program(const char *name);

/* How many lines are kept for log_recent(), and the bytes of each. */
enum { LOG_RECENT = 50, LOG_RECENT_MAX = 320 };

/*
 * Calls `each` for the last lines of this process, oldest first; they have no newline, and one that
 * is too long ends in "...".
 */
void log_recent(void (*each)(void *context, const char *line), void *context);

/* Drops entries above this level. The level is LOG_LEVEL_INFO before the first call. */
void log_set_level(enum log_level level);

/* Is this level logged? Ask before building an expensive entry. */
int log_enabled(enum log_level level);

/* Writes one entry. The text has no newline at its end. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A part of an entry: key=value, or a member of the JSON object. */
struct log_field {
	const char *key;
	const char *text; /* NULL: it is the number */
	int64_t number;
	bool tenths; /* the number counts tenths: 125 is written 12.5 */
};

/* Writes "message key=value key=value", or the same as JSON. Fields without a key are left out. */
void log_fields(
	enum log_level level, const char *message, const struct log_field *fields, size_t count);

/*
 * Logs how often the last line was repeated, if LOG_REPEAT_S have passed or `ending` is set. Call
 * it about every second, and at the end.
 */
void log_settle(bool ending);

#endif
