#include "doctor/report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "doctor/secret.h"

enum { TEXT = 4096 };

static const char *const levels[] = {"ok", "note", "WRONG"};

/* A text of the doctor's, without secrets; valid until the next call. */
static const char *clean(const struct options *o, const char *text)
{
	static char safe[TEXT];

	text_harmless(safe, sizeof(safe) - 1, text, strlen(text), false);
	secret_hide(safe, sizeof(safe), o);
	return safe;
}

/* Calls show for each cure of a finding: of rowtail, of the servers seen, or of all if none was. */
struct shown {
	const struct options *o;
	const struct facts *f;
	int count;
	void (*show)(struct shown *s, const struct cure *c);
};

static void each_of(struct shown *s, enum fault fault, enum server server)
{
	const struct cure *c;
	int at = 0;

	while ((c = cure_next(fault, server, &at))) {
		s->show(s, c);
		s->count++;
	}
}

static void each_cure(struct shown *s, enum fault fault, const struct hops *h)
{
	if (fault == FAULT_NONE)
		return;
	each_of(s, fault, SERVER_ROWTAIL);
	for (int server = SERVER_NGINX; server < SERVER_ROWTAIL; server++)
		if (server == (int)h->front || server == (int)h->inner || (!h->front && !h->inner))
			each_of(s, fault, (enum server)server);
}

/* As text. */

static void print_lines(const char *lines)
{
	for (const char *line = lines; *line; line += *line == '\n') {
		size_t length = strcspn(line, "\n");

		printf("           %.*s\n", (int)length, line);
		line += length;
	}
}

static void show_text(struct shown *s, const struct cure *c)
{
	char text[TEXT], place[512];

	cure_text(place, sizeof(place), c->place, s->f);
	cure_text(text, sizeof(text), c->lines, s->f);
	printf("       %s: in %s, %s:\n",
		c->server == SERVER_ROWTAIL ? "rowtail" : hops_name(c->server), c->file, place);
	print_lines(text);
}

static void print_hops(const struct options *o, const struct hops *h)
{
	if (h->cdn[0])
		printf("note   cdn: %s is in front of everything.\n", clean(o, h->cdn));
	if (!h->front)
		printf("note   server: the web server does not say what it is. The lines for all "
		       "servers are shown.\n");
	else if (h->inner)
		printf("ok     server: %s, and behind it %s.\n", clean(o, h->front_text),
			hops_name(h->inner));
	else
		printf("ok     server: %s.\n", clean(o, h->front_text));
}

static void print_text(const struct options *o, const struct facts *f, const struct findings *found,
	const struct hops *h)
{
	struct shown s = {.o = o, .f = f, .show = show_text};
	static const char *const ends[] = {
		"It works.", "It works, but see above.", "It does not work."};

	print_hops(o, h);
	for (int i = 0; i < found->count; i++) {
		const struct finding *one = &found->finding[i];

		printf("%-5s  %s: %s\n", levels[one->level], one->name, clean(o, one->what));
		if (one->harm)
			printf("       A page: %s\n", one->harm);
		each_cure(&s, one->fault, h);
	}
	printf("%s\n", ends[findings_exit_status(found)]);
}

/* As JSON. RFC 8259, 7. */

static void print_string(const char *text)
{
	char whole[TEXT];

	/* A text may have been cut within a character. */
	text_harmless(whole, sizeof(whole) - 1, text, strlen(text), true);
	putchar('"');
	for (text = whole; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c == '\n')
			fputs("\\n", stdout);
		else if (c < ' ')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_member(const char *name, const char *text, const char *after)
{
	print_string(name);
	putchar(':');
	print_string(text);
	fputs(after, stdout);
}

static void show_json(struct shown *s, const struct cure *c)
{
	char text[TEXT];

	fputs(s->count ? "," : "", stdout);
	fputs("{", stdout);
	print_member("server", c->server == SERVER_ROWTAIL ? "rowtail" : hops_name(c->server), ",");
	print_member("file", c->file, ",");
	cure_text(text, sizeof(text), c->place, s->f);
	print_member("place", text, ",");
	cure_text(text, sizeof(text), c->lines, s->f);
	print_member("lines", text, "}");
}

static void print_json(const struct options *o, const struct facts *f, const struct findings *found,
	const struct hops *h)
{
	char url[TARGET_MAX];

	target_write(url, &o->target, "", "");
	fputs("{", stdout);
	print_member("url", clean(o, url), ",");
	print_member("server", clean(o, h->front_text), ",");
	print_member("behind", clean(o, h->inner_text), ",");
	print_member("cdn", clean(o, h->cdn), ",");
	printf("\"exit_status\":%d,\"findings\":[", findings_exit_status(found));
	for (int i = 0; i < found->count; i++) {
		const struct finding *one = &found->finding[i];
		struct shown s = {.o = o, .f = f, .show = show_json};

		fputs(i ? ",{" : "{", stdout);
		print_member("level", levels[one->level], ",");
		print_member("name", one->name, ",");
		print_member("what", clean(o, one->what), ",");
		print_member("harm", one->harm ? one->harm : "", ",\"cures\":[");
		each_cure(&s, one->fault, h);
		fputs("]}", stdout);
	}
	puts("]}");
}

void report_print(const struct options *o, const struct facts *f, const struct findings *found)
{
	struct hops h;

	hops_find(&h, f);
	if (o->json)
		print_json(o, f, found, &h);
	else
		print_text(o, f, found, &h);
}
