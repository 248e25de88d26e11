#include "base/logging.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

enum {
	LINE_SIZE = 4096, /* PIPE_BUF: a pipe takes a line whole or not at all */
	JSON_TEXT_MAX = 700, /* bytes of one text in a JSON line, so that all fit */
	WAIT_MS = 20, /* for a slow reader of standard error */
};

static const char cut_mark[] = "...";
static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* A line that is being built. There is always room left for "..." and the newline. */
struct line {
	char bytes[LINE_SIZE];
	size_t length, most;
	size_t start; /* after the priority */
	bool cut;
};

static enum log_level max_level = LOG_LEVEL_INFO;
static enum log_format format_now = LOG_TEXT;
static bool is_journal;
static char recent[LOG_RECENT][LOG_RECENT_MAX];
static unsigned long logged; /* lines so far; recent[logged % LOG_RECENT] is the next place */
static unsigned long lost; /* lines dropped since the last one that was written */

static const char *program = "rowtail";

void log_set_program(const char *name)
{
	program = name;
}

/* The last line, and how often it came. */
static struct {
	char text[LOG_LINE_MAX];
	enum log_level level;
	time_t since_s;
	unsigned times;
	unsigned long left_out; /* since the last report */
} last;

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_set_format(enum log_format format)
{
	format_now = format;
}

void log_find_journal(const char *stream)
{
	unsigned long long device, inode;
	struct stat st;

	is_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

int log_enabled(enum log_level level)
{
	return level <= max_level;
}

static void add(struct line *line, const char *bytes, size_t length)
{
	if (line->cut || line->length + length + strlen(cut_mark) + 1 > line->most) {
		line->cut = true;
		return;
	}
	memcpy(line->bytes + line->length, bytes, length);
	line->length += length;
}

static void add_text(struct line *line, const char *text)
{
	add(line, text, strlen(text));
}

/* "2026-11-22T23:24:44.123Z rowtail[PID] LEVEL: ", or the beginning of an object. */
static void begin(struct line *line, enum log_level level)
{
	static const int priorities[] = {3, 4, 6, 7};
	struct timespec now;
	struct tm utc;
	char time[32], text[128];

	line->most = format_now == LOG_JSON ? LINE_SIZE : LOG_LINE_MAX;
	line->length = line->start = 0;
	line->cut = false;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &utc);
	if (is_journal) {
		snprintf(text, sizeof(text), "<%d>", priorities[level]);
		add_text(line, text);
		line->start = line->length;
	}
	if (format_now == LOG_JSON)
		snprintf(text, sizeof(text), "{\"time\":\"%s.%03ldZ\",\"pid\":%ld,\"level\":\"%s\"",
			time, now.tv_nsec / 1000000, (long)getpid(), level_names[level]);
	else
		snprintf(text, sizeof(text), "%s.%03ldZ %s[%ld] %s: ", time, now.tv_nsec / 1000000,
			program, (long)getpid(), level_names[level]);
	add_text(line, text);
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

/* Adds a JSON string, at most JSON_TEXT_MAX bytes long. U+FFFD stands for ill-formed UTF-8. */
static void add_json(struct line *line, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t end = line->length + JSON_TEXT_MAX;
	char escape[16];
	int step;

	add(line, "\"", 1);
	for (size_t left = strlen(text); left > 0; left -= (size_t)step, p += step) {
		if (line->length > end) {
			add_text(line, cut_mark);
			break;
		}
		step = utf8_step(p, left);
		if (step < 0) {
			step = -step;
			add_text(line, "\\ufffd");
		} else if (is_control(p, step)) {
			snprintf(escape, sizeof(escape), "\\u%04x", step == 1 ? p[0] : p[1]);
			add_text(line, escape);
		} else {
			if (*p == '"' || *p == '\\')
				add(line, "\\", 1);
			add(line, (const char *)p, (size_t)step);
		}
	}
	add(line, "\"", 1);
}

/* Adds a value; in quotes, with \" and \\, if it is empty or has a blank, a quote, '=' or '\'. */
static void add_value(struct line *line, const char *text)
{
	char one[2] = "";

	if (*text && !strpbrk(text, " \t\"=\\")) {
		add_escaped(line, text);
		return;
	}
	add(line, "\"", 1);
	for (const char *p = text; *p;) {
		size_t plain = strcspn(p, "\"\\");
		char part[LOG_LINE_MAX];

		snprintf(part, sizeof(part), "%.*s", (int)plain, p);
		add_escaped(line, part);
		p += plain;
		if (!*p)
			break;
		one[0] = *p++;
		add(line, "\\", 1);
		add_text(line, one);
	}
	add(line, "\"", 1);
}

static void add_field(struct line *line, const struct log_field *field)
{
	char number[32];

	if (field->tenths)
		snprintf(number, sizeof(number), "%" PRId64 ".%d", field->number / 10,
			(int)(field->number % 10));
	else
		snprintf(number, sizeof(number), "%" PRId64, field->number);
	if (format_now == LOG_JSON) {
		add_text(line, ",\"");
		add_text(line, field->key);
		add_text(line, "\":");
	} else {
		add_text(line, " ");
		add_text(line, field->key);
		add_text(line, "=");
	}
	if (!field->text)
		add_text(line, number);
	else if (format_now == LOG_JSON)
		add_json(line, field->text);
	else
		add_value(line, field->text);
}

static void add_message(struct line *line, const char *text)
{
	if (format_now == LOG_JSON) {
		add_text(line, ",\"message\":");
		add_json(line, text);
	} else {
		add_escaped(line, text);
	}
}

/* Also keeps lines that standard error does not take. */
static void keep(const struct line *line)
{
	char *to = recent[logged++ % LOG_RECENT];
	const char *from = line->bytes + line->start;
	size_t length = line->length - line->start, most = LOG_RECENT_MAX - sizeof(cut_mark);
	bool cut = line->cut || length >= LOG_RECENT_MAX;

	length = utf8_valid_prefix((const uint8_t *)from, length > most && cut ? most : length);
	snprintf(to, LOG_RECENT_MAX, "%.*s%s", (int)length, from, cut ? cut_mark : "");
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
		add_message(&note, text);
		if (format_now == LOG_JSON)
			add_text(&note, "}");
		if (!put(&note))
			return false;
		lost = 0;
	}
	return put(line);
}

static void emit(
	enum log_level level, const char *text, const struct log_field *fields, size_t count)
{
	struct line line;

	begin(&line, level);
	add_message(&line, text);
	for (size_t i = 0; i < count; i++)
		if (fields[i].key)
			add_field(&line, &fields[i]);
	if (format_now == LOG_JSON)
		add_text(&line, "}");
	keep(&line);
	if (!put_after_lost(&line))
		lost++;
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void report_repeats(void)
{
	char text[80];

	if (!last.left_out)
		return;
	snprintf(
		text, sizeof(text), "the previous line was repeated %lu more times", last.left_out);
	last.left_out = 0;
	emit(last.level, text, NULL, 0);
}

/* Has this line come so often that it is left out? */
static bool is_repeated(enum log_level level, const char *text)
{
	bool same = level == last.level && !strcmp(text, last.text) &&
		    now_s() - last.since_s < LOG_REPEAT_S;

	if (same && ++last.times > LOG_REPEATS) {
		last.left_out++;
		return true;
	}
	if (same)
		return false;
	report_repeats();
	snprintf(last.text, sizeof(last.text), "%s", text);
	last.level = level;
	last.since_s = now_s();
	last.times = 1;
	return false;
}

void log_settle(bool ending)
{
	if (ending || now_s() - last.since_s >= LOG_REPEAT_S) {
		report_repeats();
		*last.text = '\0';
	}
}

void log_fields(
	enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
	int saved_errno = errno;

	if (log_enabled(level))
		emit(level, message, fields, count);
	errno = saved_errno;
}

__attribute__((format(printf, 2, 0))) static void entry(
	enum log_level level, const char *format, va_list args)
{
	int saved_errno = errno; /* for %m, and to restore it for the caller */
	char text[LOG_LINE_MAX];

	if (!log_enabled(level))
		return;
	vsnprintf(text, sizeof(text), format, args);
	if (!is_repeated(level, text))
		emit(level, text, NULL, 0);
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
