#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/version.h"

enum { LINE_MAX_BYTES = REPORT_CURE_MAX };

/* --- JSON: RFC 8259, section 7 --- */

static void put_string(const char *text)
{
	putchar('"');
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
	putchar('"');
}

/* A text without control characters, in UTF-8; NULL becomes null. */
static void put_member(const char *name, const char *text)
{
	char safe[LINE_MAX_BYTES + 1];

	printf("\"%s\":", name);
	if (!text) {
		fputs("null", stdout);
		return;
	}
	text_harmless(safe, LINE_MAX_BYTES, text, strlen(text), false);
	put_string(safe);
}

static void put_json(struct report *r, const char *level, const char *text, const char *cure)
{
	fputs(r->lines ? ",\n  {" : "\n  {", stdout);
	put_member("level", level);
	putchar(',');
	put_member("text", text);
	putchar(',');
	put_member("cure", cure);
	putchar('}');
}

/* --- text --- */

static void put_text(const struct report *r, const char *level, const char *text, const char *cure)
{
	char safe[LINE_MAX_BYTES + 1];

	text_harmless(safe, LINE_MAX_BYTES, text, strlen(text), false);
	printf("%-6s%s: %s", level, r->section, safe);
	if (cure) {
		text_harmless(safe, LINE_MAX_BYTES, cure, strlen(cure), false);
		printf(". To fix it: %s", safe);
	}
	putchar('\n');
}

/* --- both --- */

static void put(struct report *r, const char *level, const char *cure, const char *format,
	va_list args) __attribute__((format(printf, 4, 0)));

static void put(
	struct report *r, const char *level, const char *cure, const char *format, va_list args)
{
	char text[LINE_MAX_BYTES];

	vsnprintf(text, sizeof(text), format, args);
	if (r->json)
		put_json(r, level, text, cure);
	else
		put_text(r, level, text, cure);
	fflush(stdout);
	r->lines++;
	if (r->progress)
		r->progress();
}

void report_begin(struct report *r, const char *database)
{
	if (!r->json)
		return;
	putchar('{');
	put_member("program", r->program);
	putchar(',');
	put_member("version", ROWTAIL_VERSION);
	putchar(',');
	put_member("commit", *version_commit() ? version_commit() : NULL);
	putchar(',');
	put_member("database", database);
	fputs(",\"sections\":[", stdout);
}

static void end_section(const struct report *r)
{
	if (r->json && r->sections)
		fputs(r->lines ? "\n ]}" : "]}", stdout);
}

void report_section(struct report *r, const char *name, bool checked)
{
	end_section(r);
	r->section = name;
	r->lines = 0;
	if (r->json) {
		fputs(r->sections ? ",\n {" : "\n {", stdout);
		put_member("name", name);
		printf(",\"checked\":%s,\"lines\":[", checked ? "true" : "false");
	}
	r->sections++;
	fflush(stdout);
}

void report_ok(struct report *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put(r, "ok", NULL, format, args);
	va_end(args);
}

void report_note(struct report *r, const char *cure, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put(r, "note", cure, format, args);
	va_end(args);
}

void report_wrong(struct report *r, int status, const char *cure, const char *format, ...)
{
	va_list args;

	if (!r->status)
		r->status = status;
	va_start(args, format);
	put(r, "WRONG", cure, format, args);
	va_end(args);
}

void report_end(struct report *r)
{
	end_section(r);
	if (r->json)
		printf("\n],\"exit_status\":%d}\n", r->status);
	else
		printf(r->status ? "%s would not %s correctly: fix what is WRONG.\n"
				 : "%s can %s.\n",
			r->program, r->does);
	fflush(stdout);
}
