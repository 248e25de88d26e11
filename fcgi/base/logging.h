/*
 * logging: one line per entry on standard error.
 *
 * A line is "2026-11-22T23:24:44.123Z rowtail[PID] LEVEL: text", in UTC, of at most LOG_LINE_MAX
 * bytes with its newline, and leaves in one write(2). Control characters and bytes that are no
 * UTF-8 come out as \xHH, so that nothing a client sends can forge a line; a text that does not fit
 * is cut between characters and ends in "...".
 *
 * Never blocks for long: when the reader of standard error is stuck, lines are dropped, and counted
 * in the next one that goes through. Never fails loudly, leaves errno as it was. Never sees a
 * secret: callers do not pass any. One thread.
 */
#ifndef ROWTAIL_LOGGING_H
#define ROWTAIL_LOGGING_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum { LOG_LINE_MAX = 1024 };

/* Entries above this level are dropped; LOG_LEVEL_INFO before the first call. */
void log_set_level(enum log_level level);

/* Is an entry of this level written? For what is costly to put together. */
int log_enabled(enum log_level level);

/* One entry. The text has no newline at its end. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
