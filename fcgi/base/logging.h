/*
 * logging: one line per entry on standard error.
 *
 * A line is "2026-11-22T23:24:44.123Z rowtail[PID] LEVEL: text", in UTC. It has at most
 * LOG_LINE_MAX bytes including its newline, and is written by one write(2). Control characters and
 * bytes that are not UTF-8 are written as \xHH, so that no client can forge a line. A text that
 * does not fit is cut between two characters and ends in "...".
 *
 * Never blocks for long: when the reader of standard error is stuck, lines are dropped, and the
 * next line that gets through is preceded by their number. Never reports an error; preserves errno.
 * Callers never pass secrets. One thread.
 */
#ifndef ROWTAIL_LOGGING_H
#define ROWTAIL_LOGGING_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum { LOG_LINE_MAX = 1024 };

/* Sets the name in each line, "rowtail" at first. Borrowed for good. */
void log_set_program(const char *name);

/* Of the last lines, so much is kept for log_recent(). */
enum { LOG_RECENT = 50, LOG_RECENT_MAX = 320 };

/*
 * Calls `each` for the last lines of this process, oldest first; they have no newline, and one that is
 * too long ends in "...".
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

#endif
