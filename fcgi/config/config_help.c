/* The part of config.h that talks to people. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/setting.h"

static const char *ways(void)
{
	return "How rowtail is started decides how it speaks:\n"
	       "  FastCGI  when descriptor 0 is a listening socket (a web server or spawn-fcgi\n"
	       "           started it), or systemd passes one (LISTEN_FDS)\n"
	       "  FastCGI  with --listen PATH, HOST:PORT or :PORT, on a socket of its own\n"
	       "  CGI      when GATEWAY_INTERFACE is set and descriptor 0 is no listening\n"
	       "           socket: one answer on standard output\n";
}

/* Writes words from `column` on, in lines of at most 79 columns. The text is ASCII. */
static void print_wrapped(FILE *out, const char *text, int column)
{
	int at = column;
	int length;

	for (; *text; text += length + (text[length] == ' ')) {
		length = (int)strcspn(text, " ");
		if (at > column && at + 1 + length > 79) {
			fprintf(out, "\n%*s", column, "");
			at = column;
		}
		at += fprintf(out, "%s%.*s", at > column ? " " : "", length, text);
	}
	putc('\n', out);
}

void config_print_help(FILE *out)
{
	enum { COLUMN = 30 };
	const struct setting *s;
	char text[300];

	fprintf(out,
		"Usage: rowtail [OPTION]... [CONFIG]\n"
		"tail -f for a SQLite table, in every browser: each row that is inserted\n"
		"reaches every subscriber as a Server-Sent Event.\n\n%s\nOptions:\n",
		ways());
	for (size_t i = 0; i < setting_count(); i++) {
		s = setting_at(i);
		snprintf(text, sizeof(text), "--%s %s", s->name, s->operand ? s->operand : "");
		fprintf(out, "  %-*s", COLUMN - 2, text);
		snprintf(text, sizeof(text), "%s%s%s%s", s->help, s->standard ? " (default " : "",
			s->standard ? s->standard : "", s->standard ? ")" : "");
		print_wrapped(out, text, COLUMN);
	}
	fprintf(out,
		"\nEach option is also an environment variable (ROWTAIL_MAX_STREAMS=5000) and a\n"
		"line of a CONFIG file (max-streams = 5000), where a flag is yes or no. The\n"
		"command line wins over the environment, which wins over the file. An\n"
		"executable file that begins with #!/path/to/rowtail is itself the .fcgi or .cgi\n"
		"program that a web server starts. rowtail(8) is the manual.\n");
}
