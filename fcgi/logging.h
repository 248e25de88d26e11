/*
 * logging: one line per entry on standard error.
 *
 * A line is "2026-11-22T23:24:44.123Z rowtail[PID] LEVEL: text"; control characters in it are
 * replaced, so that nothing a client sends can forge a line. Never blocks for long, never fails
 * loudly, never sees a secret: callers do not pass any.
 */
#ifndef ROWTAIL_LOGGING_H
#define ROWTAIL_LOGGING_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Entries above this level are dropped; LOG_LEVEL_INFO before the first call. */
void log_set_level(enum log_level level);

/* Is an entry of this level written? For what is costly to put together. */
int log_enabled(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
