#include "base/logging.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

enum {
	LINE_SIZE = LOG_LINE_MAX, /* at most PIPE_BUF: a pipe takes a line whole or not at all */
	WAIT_MS = 20, /* for a slow reader of standard error */
};

static const char cut_mark[] = "...";

/* A line that is being built. There is always room left for "..." and the newline. */
struct line {
	char bytes[LINE_SIZE];
	size_t length;
	bool cut;
};

static enum log_level max_level = LOG_LEVEL_INFO;
static char recent[LOG_RECENT][LOG_RECENT_MAX];
static unsigned long logged; /* lines so far; recent[logged % LOG_RECENT] is the next place */
static unsigned long lost; /* lines dropped since the last one that was written */

static const char *program = "rowtail";

void log_set_program(const char *name)
{
	program = name;
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

int log_enabled(enum log_level level)
{
	return level <= max_level;
}

/* "2026-11-22T23:24:44.123Z rowtail[PID] LEVEL: " */
static void begin(struct line *line, enum log_level level)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	struct timespec now;
	struct tm utc;
	size_t length;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	length = strftime(line->bytes, LINE_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	length += (size_t)snprintf(line->bytes + length, LINE_SIZE - length,
		".%03ldZ %s[%ld] %s: ", now.tv_nsec / 1000000, program, (long)getpid(),
		names[level]);
	line->length = length;
	line->cut = false;
}

static void add(struct line *line, const char *bytes, size_t length)
{
	if (line->cut || line->length + length + strlen(cut_mark) + 1 > LINE_SIZE) {
		line->cut = true;
		return;
	}
	memcpy(line->bytes + line->length, bytes, length);
	line->length += length;
}

/* C0, DEL, and C1 (U+0080 to U+009F), which some terminals obey. */
static bool is_control(const uint8_t *p, int length)
{
	return *p < 0x20 || *p == 0x7f || (length == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

/* Adds the text with \xHH for each byte of a control character or of ill-formed UTF-8. */
static void add_escaped(struct line *line, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	char escape[5];
	int step, i;

	for (size_t left = strlen(text); left > 0; left -= (size_t)step, p += step) {
		step = utf8_step(p, left);
		if (step > 0 && !is_control(p, step)) {
			add(line, (const char *)p, (size_t)step);
			continue;
		}
		step = step < 0 ? -step : step;
		for (i = 0; i < step; i++) {
			snprintf(escape, sizeof(escape), "\\x%02x", p[i]);
			add(line, escape, 4);
		}
	}
}

/* Also keeps lines that standard error does not take. */
static void keep(const struct line *line)
{
	char *to = recent[logged++ % LOG_RECENT];
	bool cut = line->cut || line->length >= LOG_RECENT_MAX;
	size_t most = LOG_RECENT_MAX - sizeof(cut_mark);
	size_t length = line->length > most && cut ? most : line->length;

	length = utf8_valid_prefix((const uint8_t *)line->bytes, length);
	snprintf(to, LOG_RECENT_MAX, "%.*s%s", (int)length, line->bytes, cut ? cut_mark : "");
}

void log_recent(void (*each)(void *context, const char *line), void *context)
{
	unsigned long first = logged > LOG_RECENT ? logged - LOG_RECENT : 0;

	for (unsigned long i = first; i < logged; i++)
		each(context, recent[i % LOG_RECENT]);
}

/*
 * Writes the line with one write(2), so that lines of several processes don't mix. If standard
 * error is a pipe whose reader is stuck, this waits briefly once, then drops lines. Streams never
 * wait.
 */
static bool put(struct line *line)
{
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (line->cut) {
		memcpy(line->bytes + line->length, cut_mark, strlen(cut_mark));
		line->length += strlen(cut_mark);
	}
	line->bytes[line->length++] = '\n';
	if (poll(&ready, 1, lost ? 0 : WAIT_MS) != 1 || !(ready.revents & POLLOUT))
		return false;
	return write(STDERR_FILENO, line->bytes, line->length) > 0;
}

/* First reports how many lines were dropped, if any. */
static bool put_after_lost(struct line *line)
{
	struct line note;
	char text[64];

	if (lost) {
		begin(&note, LOG_LEVEL_WARN);
		snprintf(text, sizeof(text), "%lu log lines were lost: standard error was full",
			lost);
		add_escaped(&note, text);
		if (!put(&note))
			return false;
		lost = 0;
	}
	return put(line);
}

__attribute__((format(printf, 2, 0))) static void entry(
	enum log_level level, const char *format, va_list args)
{
	int saved_errno = errno; /* for %m, and to restore it for the caller */
	char text[LINE_SIZE];
	struct line line;

	if (!log_enabled(level))
		return;
	begin(&line, level);
	errno = saved_errno;
	vsnprintf(text, sizeof(text), format, args);
	add_escaped(&line, text);
	keep(&line);
	if (!put_after_lost(&line))
		lost++;
	errno = saved_errno;
}

#define DEFINE_ENTRY(name, level)                                                                  \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, format);                                                            \
		entry(level, format, args);                                                        \
		va_end(args);                                                                      \
	}

DEFINE_ENTRY(log_error, LOG_LEVEL_ERROR)
DEFINE_ENTRY(log_warn, LOG_LEVEL_WARN)
DEFINE_ENTRY(log_info, LOG_LEVEL_INFO)
DEFINE_ENTRY(log_debug, LOG_LEVEL_DEBUG)
