#include "config/setting_impl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/network.h"
#include "base/origin.h"
#include "base/text.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool setting_advise(char *advice, const char *text)
{
	snprintf(advice, SETTING_ADVICE_MAX, "%s", text);
	return false;
}

static void *member_of(const struct setting *s, struct config *c)
{
	return (char *)c + s->member;
}

/* Adds a text to a list. */
static bool add(const struct setting *s, struct config *c, const char *text, char *advice)
{
	const char **list = *(const char ***)member_of(s, c);
	size_t count = 0;

	while (list[count])
		count++;
	if (count == SETTING_LIST_MAX) {
		snprintf(advice, SETTING_ADVICE_MAX, "give at most %d of them", SETTING_LIST_MAX);
		return false;
	}
	list[count] = text;
	list[count + 1] = NULL;
	return true;
}

void setting_clear(const struct setting *s, struct config *c)
{
	**(const char ***)member_of(s, c) = NULL;
}

bool setting_parse_text(const struct setting *s, struct config *c, const char *text, char *advice)
{
	const char **member = member_of(s, c);

	if (!*text)
		return setting_advise(advice, "give a value, or leave it out");
	if (s->is_list)
		return add(s, c, text, advice);
	*member = text;
	return true;
}

/* Reads digits only: no sign, unit or blank. False also if the number is out of range. */
bool setting_read_number(const char *text, int64_t least, int64_t most, int64_t *number)
{
	return text_digits(text, strlen(text), number) == TEXT_NUMBER && *number >= least &&
	       *number <= most;
}

bool setting_parse_number(const struct setting *s, struct config *c, const char *text, char *advice)
{
	int64_t *member = member_of(s, c);
	const char *unit = "";
	int64_t number;

	if (setting_read_number(text, s->least, s->most, &number)) {
		*member = number * s->scale;
		return true;
	}
	if (!strcmp(s->operand, "SECONDS"))
		unit = " of seconds";
	if (!strcmp(s->operand, "MS"))
		unit = " of milliseconds";
	snprintf(advice, SETTING_ADVICE_MAX, "give a whole number%s from %lld to %lld", unit,
		(long long)s->least, (long long)s->most);
	return false;
}

static bool read_flag(const char *text, bool *flag, char *advice)
{
	static const char *const yes[] = {"yes", "on", "true", "1"};
	static const char *const no[] = {"no", "off", "false", "0"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		*flag = !strcmp(text, yes[i]);
		if (*flag || !strcmp(text, no[i]))
			return true;
	}
	return setting_advise(advice, "give yes or no (or on, off, true, false, 1, 0)");
}

bool setting_parse_flag(const struct setting *s, struct config *c, const char *text, char *advice)
{
	return read_flag(text, member_of(s, c), advice);
}

bool setting_parse_check(const struct setting *s, struct config *c, const char *text, char *advice)
{
	bool check;

	if (!read_flag(text, &check, advice))
		return false;
	c->action = check ? CONFIG_CHECK : CONFIG_SERVE;
	return true;
}

/* An empty query string asks for the channel default. */
static bool parse_follow(const struct setting *s, struct config *c, const char *text, char *advice)
{
	c->follow = text;
	return true;
}

static bool parse_track(const struct setting *s, struct config *c, const char *text, char *advice)
{
	if (!setting_parse_text(s, c, text, advice))
		return false;
	c->action = !strcmp(s->name, "track") ? CONFIG_TRACK : CONFIG_UNTRACK;
	return true;
}

static bool parse_tracked(const struct setting *s, struct config *c, const char *text, char *advice)
{
	bool tracked;

	if (!read_flag(text, &tracked, advice))
		return false;
	c->action = tracked ? CONFIG_TRACKED : CONFIG_SERVE;
	return true;
}

static bool parse_track_json(
	const struct setting *s, struct config *c, const char *text, char *advice)
{
	c->track_json_functions = !strcmp(text, "functions");
	return c->track_json_functions || !strcmp(text, "plain") ||
	       setting_advise(advice,
		       "give plain, or functions if every SQLite that writes to the database is "
		       "3.9 or newer and has json_quote()");
}

/* config.c handles --help and --version before it reads any value. */
bool setting_parse_question(
	const struct setting *s, struct config *c, const char *text, char *advice)
{
	return setting_advise(advice, "use it on the command line, without a value");
}

bool setting_is_host(const char *host, size_t length)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (length == 0 || host[0] != '[')
		return strspn(host, LOWER UPPER DIGITS ".-_") == length;
	if (host[length - 1] != ']' || length - 2 >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)length - 2, host + 1);
	return inet_pton(AF_INET6, text, &address) == 1;
}

bool setting_parse_mode(const struct setting *s, struct config *c, const char *text, char *advice)
{
	size_t length = strlen(text);
	unsigned mode = 0;

	if (length == 0 || length > 4 || strspn(text, "01234567") != length)
		return setting_advise(advice, "give an octal mode from 0000 to 0777, as in 0660");
	for (; *text; text++)
		mode = mode * 8 + (unsigned)(*text - '0');
	if (mode > 0777)
		return setting_advise(advice, "give an octal mode from 0000 to 0777, as in 0660");
	c->listen_mode = mode;
	return true;
}

_Static_assert((int)SETTING_USUAL_MAX >= (int)ORIGIN_MAX, "an origin fits");
_Static_assert((int)SETTING_ADVICE_MAX >= (int)ORIGIN_ADVICE_MAX, "advice fits");

/* Accepts only the canonical form, because it is compared with what browsers send. */
bool setting_parse_origin(const struct setting *s, struct config *c, const char *text, char *advice)
{
	char usual[ORIGIN_MAX];

	if (!origin_read(text, usual, advice))
		return false;
	if (strcmp(text, usual)) {
		snprintf(advice, SETTING_ADVICE_MAX, "give %.180s", usual);
		return false;
	}
	return add(s, c, text, advice);
}

static bool parse_proxy(const struct setting *s, struct config *c, const char *text, char *advice)
{
	struct network network;

	if (strcmp(text, "unix") != 0 && !network_read(&network, text))
		return setting_advise(advice,
			"give an address or a range whose other bits are 0, as in 127.0.0.1, "
			"10.0.0.0/8 or 2001:db8::/32, or the word unix for unix sockets");
	return add(s, c, text, advice);
}

/* A path is compared with the decoded path of a URL. */
static bool parse_mount(const struct setting *s, struct config *c, const char *text, char *advice)
{
	size_t length = strlen(text);

	if (text[0] != '/' || strstr(text, "//") || text[strcspn(text, "?#%")] ||
		(length > 1 && text[length - 1] == '/'))
		return setting_advise(advice,
			"give a path that begins with one slash and does not end with one, as in "
			"/events");
	return setting_parse_text(s, c, text, advice);
}

bool setting_parse_algorithm(
	const struct setting *s, struct config *c, const char *text, char *advice)
{
	static const char *const known[] = {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
		"ES256", "ES384", "ES512", "EdDSA"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(text, known[i]))
			return setting_parse_text(s, c, text, advice);
	if (!strcasecmp(text, "none"))
		return setting_advise(advice,
			"a token without a signature proves nothing; give the "
			"algorithm that the tokens are signed with, such as HS256");
	return setting_advise(advice,
		"give HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512 "
		"or EdDSA");
}

bool setting_parse_level(const struct setting *s, struct config *c, const char *text, char *advice)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	static const enum log_level levels[] = {
		LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(text, names[i])) {
			c->log_level = levels[i];
			return true;
		}
	return setting_advise(advice, "give error, warn, info or debug");
}

static bool parse_format(const struct setting *s, struct config *c, const char *text, char *advice)
{
	c->log_format = !strcmp(text, "json") ? LOG_JSON : LOG_TEXT;
	return !strcmp(text, "json") || !strcmp(text, "text") ||
	       setting_advise(advice, "give text or json");
}

static const struct setting table[] = {
	{"db", "PATH", NULL, "the SQLite database, opened read-only; required",
		.parse = setting_parse_database, .member = AT(db)},
	{"table", "NAME", "events", "the table or view to tail", TEXT(table)},
	{"listen", "ADDR", NULL, "serve FastCGI on PATH, HOST:PORT, or :PORT (loopback)",
		.parse = setting_parse_listen, .member = AT(listen)},
	{"listen-mode", "MODE", "0660", "permissions of the unix socket that --listen makes",
		.parse = setting_parse_mode},
	{"http", "ADDR", NULL,
		"serve HTTP/1.1 on PATH, HOST:PORT, or :PORT (loopback), without a web server; "
		"repeatable",
		.parse = setting_parse_listen, .is_list = true, .member = AT(http)},
	{"http-path", "PATH", "/events", "where --http serves the streams", .parse = parse_mount,
		.member = AT(http_path)},
	{"trusted-proxy", "ADDR", NULL,
		"take the client's address from X-Forwarded-For in --http requests from this "
		"address, range (10.0.0.0/8), or unix (any unix socket); repeatable",
		.parse = parse_proxy, .is_list = true, .member = AT(trusted_proxies)},
	{"pages", "ADDR", NULL,
		"serve /metrics, /status, /status.json and /health by HTTP on this address",
		.parse = setting_parse_listen, .member = AT(pages)},
	{"poll", "MS", "100",
		"longest time between two looks at the log without a file-change notice; "
		"unless set, longer while nothing happens",
		NUMBER(poll_ms, 1, 60000, 1)},
	{"heartbeat", "SECONDS", "15", "longest silence on a stream; then it sends a heartbeat",
		NUMBER(heartbeat_ms, 1, 3600, 1000)},
	{"retry", "MS", "2000", "reconnection time sent at the start of every stream",
		NUMBER(retry_ms, 0, HOUR_MS, 1)},
	{"retry-jitter", "MS", "1000",
		"add a random 0 to MS to --retry, so that clients don't reconnect all at once",
		NUMBER(retry_jitter_ms, 0, HOUR_MS, 1)},
	{"max-stream-age", "SECONDS", "0",
		"end a stream after this time or up to 10% more; the client resumes; 0: no limit",
		NUMBER(max_stream_age_ms, 0, INT64_C(365) * DAY_SECONDS, 1000)},
	{"processes", "N", "1", "number of processes, to use more than one core",
		NUMBER(processes, 1, 64, 1)},
	{"max-streams", "N", "10000",
		"connection limit; further clients are told to reconnect later",
		NUMBER(max_streams, 1, 1000000, 1)},
	{"max-streams-per-client", "N", "0",
		"connection limit per REMOTE_USER, or per REMOTE_ADDR if not set; 0: no limit",
		NUMBER(max_streams_per_client, 0, 1000000, 1)},
	{"stall-timeout", "SECONDS", "60",
		"end a stream whose peer has taken no bytes for this long",
		NUMBER(stall_timeout_ms, 1, DAY_SECONDS, 1000)},
	{"max-replay", "N", "0",
		"a client more than N records behind gets a gap and only the last N; 0: no limit",
		NUMBER(max_replay, 0, 1000000000, 1)},
	{"allow-origin", "ORIGIN", NULL,
		"allow pages of this origin (CORS); repeatable; * allows any, without credentials",
		.parse = setting_parse_origin, .usual = origin_read, .is_list = true,
		.member = AT(allow_origins)},
	{"public", NULL, NULL, "everyone whom the web server lets through may read every channel",
		FLAG(public_)},
	{"allow-query-token", NULL, NULL, "accept access_token in the URL",
		FLAG(allow_query_token)},
	SETTING_JWT_ROWS,
	{"log-level", "LEVEL", "info", "log to standard error: error, warn, info or debug",
		.parse = setting_parse_level},
	{"log-format", "FORMAT", "text", "how to log: text, or json, an object a line",
		.parse = parse_format},
	{"follow", "QUERY", NULL,
		"print the stream that this query string asks for, as in "
		"'channel=orders/*&tail=5'; "
		"with format=json a row a line",
		.parse = parse_follow, .member = AT(follow)},
	{"track", "TABLE", NULL,
		"print SQL that makes every change of a row of this table an event; serve nothing",
		.parse = parse_track, .member = AT(track)},
	{"track-channel", "TEMPLATE", NULL,
		"with --track: the channel, with columns in braces, as in "
		"shop/{customer_id}/orders (default TABLE/KEY)",
		TEXT(track_channel)},
	{"track-columns", "NAMES", NULL, "with --track: only these columns, as in id,total",
		TEXT(track_columns)},
	{"track-except", "NAMES", NULL, "with --track: all columns but these", TEXT(track_except)},
	{"track-changes", NULL, NULL, "with --track: an update sends only the key and what changed",
		FLAG(track_changes)},
	{"track-json", "HOW", "plain",
		"with --track: plain, for writers with any SQLite from 3.7.17 on, or functions, "
		"for "
		"writers that all have json_quote()",
		.parse = parse_track_json},
	{"untrack", "TABLE", NULL, "print SQL that undoes --track; serve nothing",
		.parse = parse_track, .member = AT(track)},
	{"tracked", NULL, NULL, "list the tracked tables; serve nothing", .parse = parse_tracked},
	{"check", NULL, NULL,
		"check configuration, database, permissions and schema; print what is wrong and"
		" how to fix it; serve nothing",
		.parse = setting_parse_check},
	SETTING_LAST_ROWS,
};

enum { COUNT = sizeof(table) / sizeof(*table) };
_Static_assert((int)COUNT < (int)SETTING_COUNT_MAX, "config.c keeps an array of this size");

const struct setting_table setting_rowtail = {"rowtail", table, COUNT};

static const struct setting_table *used = &setting_rowtail;

void setting_use(const struct setting_table *settings)
{
	used = settings;
}

const struct setting_table *setting_used(void)
{
	return used;
}

size_t setting_count(void)
{
	return used->count;
}

const struct setting *setting_at(size_t n)
{
	return &used->list[n];
}

size_t setting_index(const struct setting *s)
{
	return (size_t)(s - used->list);
}

const struct setting *setting_find(const char *name, size_t length)
{
	for (size_t i = 0; i < used->count; i++)
		if (strlen(used->list[i].name) == length &&
			!memcmp(used->list[i].name, name, length))
			return &used->list[i];
	return NULL;
}

bool setting_is_list(const struct setting *s)
{
	return s->is_list;
}

bool setting_is_question(const struct setting *s)
{
	return s->parse == setting_parse_question;
}

void setting_variable(const struct setting *s, char *variable)
{
	char *p = variable + snprintf(variable, SETTING_NAME_MAX, "ROWTAIL_%s", s->name);

	while (p-- > variable)
		*p = (char)(*p == '-' ? '_' : toupper((unsigned char)*p));
}

bool setting_apply(const struct setting *s, struct config *c, const char *text, char *advice)
{
	return s->parse(s, c, text, advice);
}

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/*
 * Counts the letters to add, drop or change (Levenshtein). Both are shorter than SETTING_NAME_MAX.
 */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[SETTING_NAME_MAX];
	size_t width = strlen(b);

	for (size_t j = 0; j <= width; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i]; i++) {
		unsigned corner = row[0]++;

		for (size_t j = 0; j < width; j++) {
			unsigned above = row[j + 1];

			row[j + 1] = least_of(row[j] + 1, above + 1, corner + (a[i] != b[j]));
			corner = above;
		}
	}
	return row[width];
}

/* "--Max_Stream", "ROWTAIL_MAX_STREAM" -> "max-stream". False if it is too long for a name. */
static bool plain_name(char *plain, const char *name, size_t length)
{
	size_t dashes;

	if (length >= SETTING_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		plain[i] = (char)(name[i] == '_' ? '-' : tolower((unsigned char)name[i]));
	plain[length] = '\0';
	dashes = strspn(plain, "-");
	if (!strncmp(plain + dashes, "rowtail-", 8))
		dashes += 8;
	memmove(plain, plain + dashes, length - dashes + 1);
	return true;
}

/* The first setting whose name contains `plain`, which must have at least 4 letters. */
static const struct setting *part_of(const char *plain)
{
	for (size_t i = 0; i < used->count && strlen(plain) >= 4; i++)
		if (strstr(used->list[i].name, plain))
			return &used->list[i];
	return NULL;
}

const struct setting *setting_nearest(const char *name, size_t length)
{
	const struct setting *nearest = NULL;
	char plain[SETTING_NAME_MAX];
	unsigned far, best;

	if (!plain_name(plain, name, length))
		return NULL;
	/*
	 * Allow one typo in a short name, two in a longer one; otherwise everything is near "db".
	 */
	best = strlen(plain) < 5 ? 2 : 3;
	for (size_t i = 0; i < used->count; i++) {
		far = distance(plain, used->list[i].name);
		if (far < best && far < strlen(used->list[i].name)) {
			best = far;
			nearest = &used->list[i];
		}
	}
	return nearest ? nearest : part_of(plain);
}
