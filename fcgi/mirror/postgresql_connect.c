/*
 * Connection strings.
 *
 * Source: https://www.postgresql.org/docs/current/libpq-connect.html.
 */
#include "mirror/postgresql_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 64 }; /* connection parameters that are passed */

static bool is_secret(const char *keyword)
{
	static const char *const secrets[] = {"password", "sslpassword", "scram_client_key",
		"scram_server_key", "oauth_client_secret"};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		if (!strcmp(keyword, secrets[i]))
			return true;
	return false;
}

bool source_is_good(const char *text, char *sentence, size_t size)
{
	/* libpq's own message may quote a password. */
	PQconninfoOption *options = PQconninfoParse(text, NULL);
	bool good = options;

	if (!options)
		snprintf(sentence, size,
			"is not a connection string that libpq understands; write it as in "
			"\"host=db1,db2 "
			"dbname=app user=mirror\", postgresql://mirror@db1,db2/app or service=app");
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		if (is_secret(o->keyword) && o->val) {
			snprintf(sentence, size,
				"holds a password, which others could read; put it into ~/.pgpass "
				"(PGPASSFILE) or a service file (PGSERVICEFILE), which libpq "
				"reads");
			good = false;
		}
	PQconninfoFree(options);
	return good;
}

/* Moves the first n items of a list to its end: "a,b,c" becomes "b,c,a". The caller frees it. */
static char *rotated(const char *list, unsigned n)
{
	size_t length = strlen(list), items = 1;
	char *out = malloc(length + 2);
	const char *at = list;

	for (const char *p = list; *p; p++)
		items += *p == ',';
	if (!out)
		return NULL;
	for (n %= (unsigned)items; n > 0; n--)
		at = strchr(at, ',') + 1;
	snprintf(out, length + 2, "%s%s%.*s", at, at > list ? "," : "",
		at > list ? (int)(at - list - 1) : 0, list);
	return out;
}

struct words {
	const char *names[WORDS + 1], *values[WORDS + 1];
	size_t count;
};

static void add(struct words *w, const char *name, const char *value)
{
	if (w->count == WORDS || !value)
		return;
	w->names[w->count] = name;
	w->values[w->count++] = value;
}

/* Does the list of hosts have to be turned? A list of one port serves all hosts. */
static bool is_list(const char *name, const char *value)
{
	return (!strcmp(name, "host") || !strcmp(name, "hostaddr") || !strcmp(name, "port")) &&
	       value && strchr(value, ',');
}

/* libpq would write the server's notices to standard error unchanged. */
static void pass_over(void *context, const char *remark)
{
}

/*
 * Begins a connection. What the user gave wins over our settings, since a later word wins. TCP must
 * notice a dead server in seconds, not hours.
 */
PGconn *postgresql_begin(const char *text, unsigned host)
{
	PQconninfoOption *options = PQconninfoParse(text, NULL);
	struct words w = {.count = 0};
	char *lists[WORDS] = {NULL};
	PGconn *connection;
	size_t n = 0;

	add(&w, "fallback_application_name", "rowtail-mirror");
	add(&w, "keepalives_idle", "5");
	add(&w, "keepalives_interval", "2");
	add(&w, "keepalives_count", "3");
	add(&w, "tcp_user_timeout", "10000");
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		if (host > 0 && is_list(o->keyword, o->val))
			add(&w, o->keyword, lists[n++] = rotated(o->val, host));
		else
			add(&w, o->keyword, o->val);
	add(&w, "client_encoding", "UTF8");
	connection = PQconnectStartParams(w.names, w.values, 0);
	if (connection)
		PQsetNoticeProcessor(connection, pass_over, NULL);
	for (size_t i = 0; i < n; i++)
		free(lists[i]);
	PQconninfoFree(options);
	return connection;
}
