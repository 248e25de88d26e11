/* Prints --help. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/setting.h"

static const char *ways(void)
{
	return "rowtail picks its protocol by how it is started:\n"
	       "  FastCGI  descriptor 0 is a listening socket (started by a web server or by\n"
	       "           spawn-fcgi), or systemd passes one (LISTEN_FDS)\n"
	       "  FastCGI  --listen PATH, HOST:PORT or :PORT is given: on a socket of its own\n"
	       "  HTTP     --http ADDR is given: on a socket of its own, also beside FastCGI;\n"
	       "           or systemd passes one with the name http (FileDescriptorName=)\n"
	       "  CGI      GATEWAY_INTERFACE is set and descriptor 0 is not a listening\n"
	       "           socket: one answer on standard output, then exit\n";
}

enum { COLUMN = 30 }; /* where the descriptions of options begin */

/* Prints words from COLUMN on, in lines of at most 79 columns. The text is ASCII. */
static void print_wrapped(FILE *out, const char *text)
{
	int at = COLUMN;
	int length;

	for (; *text; text += length + (text[length] == ' ')) {
		length = (int)strcspn(text, " ");
		if (at > COLUMN && at + 1 + length > 79) {
			fprintf(out, "\n%*s", COLUMN, "");
			at = COLUMN;
		}
		at += fprintf(out, "%s%.*s", at > COLUMN ? " " : "", length, text);
	}
	putc('\n', out);
}

static void print_options(FILE *out)
{
	const struct setting *s;
	char text[300];

	fprintf(out, "Options:\n");
	for (size_t i = 0; i < setting_count(); i++) {
		s = setting_at(i);
		snprintf(text, sizeof(text), "--%s %s", s->name, s->operand ? s->operand : "");
		fprintf(out, "  %-*s", COLUMN - 2, text);
		snprintf(text, sizeof(text), "%s%s%s%s", s->help, s->standard ? " (default " : "",
			s->standard ? s->standard : "", s->standard ? ")" : "");
		print_wrapped(out, text);
	}
}

static void print_rowtail(FILE *out)
{
	fprintf(out,
		"Usage: rowtail [OPTION]... [CONFIG]\n"
		"tail -f for a SQLite table, in every browser. Each row inserted into the table\n"
		"reaches every subscriber as a Server-Sent Event.\n\n%s\n",
		ways());
	print_options(out);
	fprintf(out,
		"\nEach option is also an environment variable (ROWTAIL_MAX_STREAMS=5000) and a\n"
		"line in a CONFIG file (max-streams = 5000). There, options without an argument\n"
		"take yes or no. The command line wins over the environment, which wins over the\n"
		"file. A CONFIG file that is executable and begins with #!/path/to/rowtail is\n"
		"itself the .fcgi or .cgi program that a web server starts.\n"
		"The manual is rowtail(8).\n");
}

static void print_mirror(FILE *out)
{
	fprintf(out, "Usage: rowtail-mirror --from CONNINFO --db PATH [OPTION]... [CONFIG]\n"
		     "Keeps a copy of rowtail's event log, which is in PostgreSQL, in a SQLite\n"
		     "database beside rowtail.\n\n");
	print_options(out);
	fprintf(out,
		"\nEach option is also an environment variable (ROWTAIL_KEEP_ROWS=100000) and a\n"
		"line in a CONFIG file (keep-rows = 100000). There, options without an argument\n"
		"take yes or no. The command line wins over the environment, which wins over the\n"
		"file. libpq's own variables (PGPASSFILE, PGSERVICEFILE...) count, too.\n"
		"The manual is rowtail-mirror(8).\n");
}

static void print_publish(FILE *out)
{
	fprintf(out,
		"Usage: rowtail-publish --db PATH [OPTION]... [CONFIG]\n"
		"Inserts what clients POST into the event log that rowtail follows. Nobody may\n"
		"publish until the table publishers, or a JWT, says so. It is a CGI program, or\n"
		"a FastCGI responder: on descriptor 0, a socket from systemd, or --listen.\n\n");
	print_options(out);
	fprintf(out,
		"\nEach option is also an environment variable (ROWTAIL_RATE=60) and a line in a\n"
		"CONFIG file (rate = 60). The command line wins over the environment, which wins\n"
		"over the file. A CONFIG file that is executable and begins with\n"
		"#!/path/to/rowtail-publish is itself the .fcgi or .cgi program that a web\n"
		"server starts.\nThe manual is rowtail-publish(8).\n");
}

void config_print_help(FILE *out)
{
	if (setting_used() == &setting_mirror)
		print_mirror(out);
	else if (setting_used() == &setting_publish)
		print_publish(out);
	else
		print_rowtail(out);
}
