#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "doctor/judge_impl.h"

static void wrong(struct findings *out, const char *name, enum fault fault, const char *harm,
	const char *what)
{
	struct finding *w = findings_add(out, LEVEL_WRONG, name, "%s", what);

	w->fault = fault;
	w->harm = harm;
}

/* The answer whose head says most: one that a browser would get. */
static const struct answer *seen(const struct facts *f)
{
	const struct answer *a = &f->answer[PROBE_BROWSER];

	return a->asked && a->status ? a : &f->answer[PROBE_FIRST];
}

static bool is_stored(const struct answer *a)
{
	return a->age_s > 0 || strcasestr(a->cache, "hit");
}

/* Two JSON answers of one URL, with rows in between, must differ. */
static bool was_repeated(const struct facts *f)
{
	const struct answer *a = &f->answer[PROBE_JSON_1], *b = &f->answer[PROBE_JSON_2];

	if (a->status != 200 || b->status != 200 || !a->body_length)
		return false;
	return is_stored(b) || (f->with_rows && judge_newest_is_same(f));
}

static void judge_cached(const struct facts *f, struct findings *out)
{
	const struct answer *a = seen(f);
	const char *control = a->cache_control;
	char what[FINDINGS_TEXT];
	static const char harm[] = "It may get an old answer again, or the beginning of somebody "
				   "else's stream.";

	if (was_repeated(f) || is_stored(a)) {
		wrong(out, "cached", FAULT_CACHED, harm,
			"A cache keeps rowtail's answers: a second request got the first one's "
			"answer.");
		return;
	}
	if (!a->status)
		return;
	if (!strcasestr(control, "no-cache") && !strcasestr(control, "no-store"))
		snprintf(what, sizeof(what),
			"rowtail's Cache-Control (no-cache, no-transform) arrives as %s%s%s.",
			control[0] ? "\"" : "nothing", control, control[0] ? "\"" : "");
	else if (strcasestr(control, "max-age=") || strcasestr(control, "public") || a->expires[0])
		snprintf(what, sizeof(what),
			"Something adds to Cache-Control (\"%s\") or sends Expires (\"%s\").",
			control, a->expires);
	else {
		findings_add(out, LEVEL_OK, "cached", "Nothing caches the stream.");
		return;
	}
	wrong(out, "cached", FAULT_CACHED, harm, what);
}

static void judge_framing(const struct facts *f, struct findings *out)
{
	const struct answer *a = seen(f);
	char what[FINDINGS_TEXT];

	if (a->length[0]) {
		snprintf(what, sizeof(what),
			"The stream has a Content-Length (%s), where it will end.", a->length);
		wrong(out, "length", FAULT_BUFFERED, "It loses the stream there.", what);
	}
	if (a->version == 10) {
		struct finding *n = findings_add(out, LEVEL_NOTE, "http10",
			"The answer is HTTP/1.0, although the doctor asked by HTTP/1.1.");

		n->fault = FAULT_HTTP10;
		n->harm =
			"It cannot tell a stream that ends from one that is cut, and each request "
			"needs a new connection.";
	}
}

/* RFC 9110, 5.6.1: is the word in the list? */
static bool has_word(const char *list, const char *word)
{
	const char *found = strcasestr(list, word);

	return found || strchr(list, '*');
}

/* Fetch Standard, 4.9: the value is the origin or *, once; with credentials never *. */
static void judge_cors(const struct facts *f, struct findings *out)
{
	const struct answer *a = seen(f);
	char what[FINDINGS_TEXT];
	static const char harm[] = "A page of that origin gets an error and no row.";

	if (!f->origin[0] || !a->status)
		return;
	if (!f->secure && !f->loopback && !strncmp(f->origin, "https:", 6)) {
		snprintf(what, sizeof(what),
			"A page of %s may not open a stream of an http:// URL.", f->origin);
		wrong(out, "mixed-content", FAULT_NONE, "The browser refuses it as mixed content.",
			what);
	}
	if (!a->allow_origins) {
		snprintf(what, sizeof(what),
			"There is no Access-Control-Allow-Origin for %s. Either rowtail does not "
			"allow "
			"it, or the web server removes it.",
			f->origin);
		wrong(out, "cors", FAULT_CORS, harm, what);
	} else if (a->allow_origins > 1 || strchr(a->allow_origin, ',')) {
		snprintf(what, sizeof(what),
			"Access-Control-Allow-Origin comes more than once (\"%s\"): rowtail sends "
			"it, "
			"and the web server too.",
			a->allow_origin);
		wrong(out, "cors-twice", FAULT_CORS_TWICE, harm, what);
	} else if (strcmp(a->allow_origin, f->origin) && strcmp(a->allow_origin, "*")) {
		snprintf(what, sizeof(what), "Access-Control-Allow-Origin is \"%s\", not %s.",
			a->allow_origin, f->origin);
		wrong(out, "cors", FAULT_CORS, harm, what);
	} else if (!a->allow_credentials) {
		findings_add(out, LEVEL_NOTE, "cors",
			"%s may read the stream, but not with credentials (cookies, logins).",
			f->origin);
	} else {
		findings_add(out, LEVEL_OK, "cors", "%s may read the stream.", f->origin);
	}
}

static void judge_preflight(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_PREFLIGHT];
	char what[FINDINGS_TEXT];

	if (!a->asked || !seen(f)->allow_origins)
		return;
	if (a->status < 200 || a->status > 299 || !a->allow_origins)
		snprintf(what, sizeof(what),
			"The browser's preflight before a POST (OPTIONS) gets %d%s.", a->status,
			a->allow_origins ? "" : " without Access-Control-Allow-Origin");
	else if (!has_word(a->allow_methods, "POST"))
		snprintf(what, sizeof(what), "OPTIONS allows no POST (\"%s\").", a->allow_methods);
	else if (!has_word(a->allow_headers, "authorization"))
		snprintf(what, sizeof(what),
			"OPTIONS does not allow the header Authorization (\"%s\").",
			a->allow_headers);
	else {
		findings_add(out, LEVEL_OK, "preflight", "It may also POST and send headers.");
		return;
	}
	wrong(out, "preflight", FAULT_PREFLIGHT,
		"EventSource works. A page of that origin cannot POST, nor send Authorization.",
		what);
}

static void judge_leaving(const struct facts *f, struct findings *out)
{
	if (!f->with_status)
		return;
	if (f->status_text[0]) {
		findings_add(out, LEVEL_NOTE, "leaving", "%s", f->status_text);
	} else if (f->left_ms >= 0) {
		findings_add(out, LEVEL_OK, "leaving",
			"rowtail notices after %.1f s that a client has left.",
			(double)f->left_ms / 1000);
	} else if (!f->with_rows) {
		findings_add(out, LEVEL_NOTE, "leaving",
			"rowtail did not notice within --silence that clients had left. Some "
			"servers need up to four heartbeats; with --db the doctor sends rows "
			"instead.")
			->fault = FAULT_LEAVING_LATE;
	} else {
		char what[FINDINGS_TEXT];

		snprintf(what, sizeof(what),
			"rowtail counts %lld streams after %d clients have left, and counted %lld "
			"before.",
			(long long)f->streams_after, FACTS_LEAVERS, (long long)f->streams_before);
		wrong(out, "leaving", FAULT_LEAVING,
			"It notices nothing. But streams of clients that are gone pile up, until "
			"no new "
			"one is served.",
			what);
	}
}

static void judge_versions(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_H2];

	if (f->http2_only)
		findings_add(out, LEVEL_NOTE, "http2-only",
			"The server speaks HTTP/2 only. Browsers do too; many proxies and programs "
			"do not.");
	else if (f->secure && a->asked && a->version == 20)
		findings_add(
			out, LEVEL_OK, "http2", "HTTP/2 works: many streams share a connection.");
	else
		findings_add(out, LEVEL_NOTE, "http1",
			"%s: a browser opens six connections to a host, so all its tabs together "
			"have at most six streams. One stream can follow many channels.",
			f->secure ? "The server does not speak HTTP/2"
				  : "Browsers speak HTTP/2 over https:// only");
}

void judge_answer(const struct facts *f, struct findings *out)
{
	judge_cached(f, out);
	judge_framing(f, out);
	judge_cors(f, out);
	judge_preflight(f, out);
	judge_leaving(f, out);
	judge_versions(f, out);
}
