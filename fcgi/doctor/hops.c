#include "doctor/hops.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Words in the fields Server and Via, and in the error pages that servers write themselves. */
static const struct {
	const char *word;
	enum server server;
} words[] = {
	{"openresty", SERVER_NGINX},
	{"nginx", SERVER_NGINX},
	{"Apache", SERVER_APACHE},
	{"lighttpd", SERVER_LIGHTTPD},
	{"Caddy", SERVER_CADDY},
	{"HAProxy", SERVER_HAPROXY},
	{"varnish", SERVER_VARNISH},
	{"rowtail", SERVER_ROWTAIL},
	{"Your browser sent an invalid request.", SERVER_HAPROXY},
};

static const char *const names[SERVERS] = {"the web server", "nginx", "Apache", "lighttpd", "Caddy",
	"HAProxy", "Varnish", "rowtail itself"};

const char *hops_name(enum server s)
{
	return names[s];
}

static enum server named(const char *text)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasestr(text, words[i].word))
			return words[i].server;
	return SERVER_UNKNOWN;
}

/* Who answers a request that is no HTTP? Go's library, in Caddy, writes this line alone. */
static enum server who_refused(const struct answer *a)
{
	enum server by_field = named(a->server), by_page = named(a->body);

	if (by_field)
		return by_field;
	if (by_page)
		return by_page;
	return a->status == 400 && !strncmp(a->body, "400 Bad Request", 15) ? SERVER_CADDY
									    : SERVER_UNKNOWN;
}

static const struct answer *any_answer(const struct facts *f)
{
	for (int i = 0; i < PROBES; i++)
		if (f->answer[i].status && i != PROBE_BROKEN)
			return &f->answer[i];
	return &f->answer[PROBE_FIRST];
}

void hops_find(struct hops *h, const struct facts *f)
{
	const struct answer *a = any_answer(f), *broken = &f->answer[PROBE_BROKEN];
	enum server told = named(a->server), refused = who_refused(broken), via = named(a->via);

	memset(h, 0, sizeof(*h));
	h->front = refused;
	if (a->varnish || via == SERVER_VARNISH)
		h->front = SERVER_VARNISH;
	else if (!h->front)
		h->front = via ? via : told;
	if (told && told != h->front)
		h->inner = told;
	else if (via && via != h->front)
		h->inner = via;
	if (h->front)
		snprintf(h->front_text, sizeof(h->front_text), "%s",
			told == h->front                    ? a->server
			: named(broken->server) == h->front ? broken->server
							    : names[h->front]);
	if (h->inner)
		snprintf(h->inner_text, sizeof(h->inner_text), "%s",
			told == h->inner ? a->server : names[h->inner]);
	snprintf(h->cdn, sizeof(h->cdn), "%s", a->cdn);
}
