/* What rowtail itself is told to do: the configuration, the key of JWTs, its sockets. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "access/access.h"
#include "base/text.h"
#include "check/query.h"
#include "protocol/http.h"
#include "server/listen.h"

void section_configuration(struct checking *c)
{
	/* rowtail has refused a wrong configuration before this. */
	if (c->config->file)
		report_ok(c->report, "the configuration is valid (%s)", c->config->file);
	else
		report_ok(c->report, "the configuration is valid");
}

/* Whoever can read a secret can make tokens. A public key is no secret. */
static void check_key_mode(struct checking *c)
{
	const struct config *config = c->config;
	char cure[REPORT_CURE_MAX];
	char word[8192];
	struct stat st;

	if (config->jwt_algorithm[0] != 'H' || stat(config->jwt_key, &st) < 0 ||
		!S_ISREG(st.st_mode) || !(st.st_mode & S_IROTH))
		return;
	snprintf(cure, sizeof(cure), "chmod o-rwx %s",
		text_shell(word, sizeof(word), config->jwt_key));
	report_note(c->report, cure,
		"every user of this machine can read the secret in %s, and make tokens with it",
		config->jwt_key);
}

void section_jwt(struct checking *c)
{
	struct eventlog *log;
	struct access *a;
	char sentence[512];
	int status = EX_CONFIG;

	if (!c->config->jwt_key || !(log = eventlog_new(c->config->db, c->config->table)))
		return;
	a = access_new(c->config, &access_reading, log, &status, sentence, sizeof(sentence));
	if (a)
		report_ok(c->report, "the key in %s can verify %s", c->config->jwt_key,
			c->config->jwt_algorithm);
	else
		report_wrong(c->report, status, NULL, "%s", sentence);
	access_free(a);
	eventlog_free(log);
	check_key_mode(c);
}

static void check_socket(struct checking *c, const struct listen_wish *wish)
{
	static const char prefix[] = "listen: "; /* of messages at the start */
	char text[LISTEN_SENTENCE_MAX];
	enum listen_finding finding = listen_check(wish, text, sizeof(text));
	const char *sentence = text;

	if (!strncmp(text, prefix, strlen(prefix)))
		sentence += strlen(prefix);
	if (finding == LISTEN_FREE)
		report_ok(c->report, "%s", sentence);
	else if (finding == LISTEN_IMPOSSIBLE)
		report_wrong(c->report, EX_CONFIG, NULL, "%s", sentence);
	else
		report_note(c->report, NULL, "%s", sentence);
}

void section_listen(struct checking *c)
{
	struct listen_wish wish;

	for (size_t n = 0; listen_wish(c->config, n, &wish); n++)
		if (wish.protocol != LISTEN_FOR_FASTCGI && !http_is_built())
			report_wrong(c->report, EX_CONFIG, NULL,
				"this rowtail was built without llhttp, so it has no --http and no "
				"--pages");
		else if (listen_is_repeated(c->config, n))
			report_wrong(c->report, EX_CONFIG, NULL,
				"%s is given twice; give each socket an address of its own",
				wish.address);
		else
			check_socket(c, &wish);
}
