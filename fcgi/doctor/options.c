#include "doctor/options.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "base/origin.h"
#include "base/text.h"
#include "base/version.h"
#include "doctor/client.h"

static const char help[] =
	"usage: rowtail-doctor [OPTION...] URL\n"
	"\n"
	"Opens the event stream at URL through the web server, as browsers and other clients do, "
	"and\n"
	"says what is wrong between them and rowtail. For each fault it prints the configuration\n"
	"lines that fix it. Takes about 40 seconds.\n"
	"\n"
	"  --db PATH               the log: insert test rows in a channel of the doctor's own, "
	"see\n"
	"                          whether each arrives at once, and remove them again\n"
	"  --status URL            rowtail's page metrics: see whether rowtail notices that\n"
	"                          clients leave\n"
	"  --header 'Name: value'  send this header too, such as a login; repeatable. Its value "
	"is\n"
	"                          never printed\n"
	"  --origin ORIGIN         see whether a page of this origin may read the stream\n"
	"  --insecure              accept any certificate\n"
	"  --silence SECONDS       how long to watch streams without rows, 1 to 600 (default 35);\n"
	"                          longer time limits do not show\n"
	"  --json                  print one JSON object\n"
	"  --version, --help       print the version, or this help\n"
	"\n"
	"Exit status: 0 fine; 1 it works, but something is wrong; 2 it does not work; 64 usage.\n";

enum { HELP = 256, VERSION, DB, STATUS, HEADER, ORIGIN, INSECURE, SILENCE, JSON };

static const struct option table[] = {
	{"help", no_argument, NULL, HELP},
	{"version", no_argument, NULL, VERSION},
	{"db", required_argument, NULL, DB},
	{"status", required_argument, NULL, STATUS},
	{"header", required_argument, NULL, HEADER},
	{"origin", required_argument, NULL, ORIGIN},
	{"insecure", no_argument, NULL, INSECURE},
	{"silence", required_argument, NULL, SILENCE},
	{"json", no_argument, NULL, JSON},
	{NULL, 0, NULL, 0},
};

static void add_header(struct options *o, const char *header)
{
	const char *colon = strchr(header, ':');
	int count = 0;

	while (o->headers[count])
		count++;
	if (count == OPTIONS_HEADERS)
		errx(EX_USAGE, "--header: at most %d", OPTIONS_HEADERS);
	/* The message must not repeat the header: it may hold a password. */
	if (!colon || colon == header || strpbrk(header, "\r\n") ||
		strcspn(header, " \t") < (size_t)(colon - header))
		errx(EX_USAGE, "--header: write it as 'Name: value', on one line");
	o->headers[count] = header;
}

static void read_origin(struct options *o, const char *text)
{
	char advice[ORIGIN_ADVICE_MAX];

	if (!origin_read(text, o->origin, advice))
		errx(EX_USAGE, "--origin %s: %s", text, advice);
	if (!strcmp(o->origin, "*"))
		errx(EX_USAGE, "--origin: the origin of one page, such as https://app.example.org");
}

static void read_silence(struct options *o, const char *text)
{
	int64_t seconds;

	if (text_digits(text, strlen(text), &seconds) != TEXT_NUMBER || seconds < 1 ||
		seconds > 600)
		errx(EX_USAGE, "--silence %s: a number of seconds from 1 to 600", text);
	o->silence_ms = seconds * 1000;
}

static void read_one(struct options *o, int option)
{
	struct target status;
	const char *advice;

	switch (option) {
	case HELP:
		fputs(help, stdout);
		exit(0);
	case VERSION:
		version_print(stdout, "rowtail-doctor", client_version());
		exit(0);
	case DB:
		o->db = optarg;
		break;
	case STATUS:
		if (!target_read(&status, optarg, &advice))
			errx(EX_USAGE, "--status: %s", advice);
		o->status_url = optarg;
		break;
	case HEADER:
		add_header(o, optarg);
		break;
	case ORIGIN:
		read_origin(o, optarg);
		break;
	case INSECURE:
		o->insecure = true;
		break;
	case SILENCE:
		read_silence(o, optarg);
		break;
	case JSON:
		o->json = true;
		break;
	default: /* getopt_long has said what is wrong */
		fputs("`rowtail-doctor --help` lists the options.\n", stderr);
		exit(EX_USAGE);
	}
}

void options_read(struct options *o, int argc, char **argv)
{
	const char *advice;
	int option;

	memset(o, 0, sizeof(*o));
	o->silence_ms = OPTIONS_SILENCE_S * 1000;
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1)
		read_one(o, option);
	if (argc - optind != 1)
		errx(EX_USAGE, "%s; `rowtail-doctor --help` shows how",
			optind == argc ? "the URL of the stream is missing" : "one URL only");
	if (!target_read(&o->target, argv[optind], &advice))
		errx(EX_USAGE, "the URL: %s", advice);
	o->url = argv[optind];
}

const char *options_header(const struct options *o, const char *name)
{
	size_t length = strlen(name);

	for (int i = 0; o->headers[i]; i++)
		if (!strncasecmp(o->headers[i], name, length) && o->headers[i][length] == ':')
			return o->headers[i] + length + 1 +
			       strspn(o->headers[i] + length + 1, " \t");
	return NULL;
}
