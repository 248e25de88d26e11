#include "doctor/plan_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

enum { EARLY_ROWS = 3, EARLY_BYTES = 1500, HEADERS = 8 };

static const char *const as_stream[] = {"Accept: text/event-stream", NULL};

/* The headers of a request with the doctor's token: in both places, or in one. */

void plan_make_tokens(struct run *r)
{
	const char *bearer = options_header(r->o, "Authorization");
	const char *cookie = options_header(r->o, "Cookie");

	if (r->rows) {
		snprintf(r->authorization, sizeof(r->authorization), "Authorization: Bearer %s",
			rows_token(r->rows));
		snprintf(r->cookie, sizeof(r->cookie), "Cookie: %s%srowtail_token=%s",
			cookie ? cookie : "", cookie ? "; " : "", rows_token(r->rows));
	} else if (bearer && !strncasecmp(bearer, "Bearer ", 7)) {
		r->f->sent_authorization = true;
		snprintf(r->cookie, sizeof(r->cookie), "Cookie: %s%srowtail_token=%s",
			cookie ? cookie : "", cookie ? "; " : "", bearer + 7);
	}
}

enum tokens { TOKENS_USUAL, TOKENS_HEADER_ONLY, TOKENS_COOKIE_ONLY };

/* Collects the doctor's headers, and those of --header that they do not replace. */
static void collect(const struct run *r, const char **out, enum tokens tokens)
{
	bool user_authorization = options_header(r->o, "Authorization");
	bool cookie = r->rows ? tokens != TOKENS_HEADER_ONLY : tokens == TOKENS_COOKIE_ONLY;
	int count = 0;

	for (int i = 0; r->o->headers[i]; i++) {
		const char *header = r->o->headers[i];
		bool is_cookie = !strncasecmp(header, "Cookie:", 7);
		bool is_authorization = !strncasecmp(header, "Authorization:", 14);

		if ((is_cookie && cookie && r->cookie[0]) ||
			(is_authorization && !r->rows && tokens == TOKENS_COOKIE_ONLY))
			continue;
		out[count++] = header;
	}
	if (cookie && r->cookie[0])
		out[count++] = r->cookie;
	if (r->rows && !user_authorization && tokens != TOKENS_COOKIE_ONLY)
		out[count++] = r->authorization;
	out[count] = NULL;
}

static void ask(struct run *r, enum probe probe, const struct request *q, const char *more_path,
	const char *parameters, enum tokens tokens)
{
	struct request whole = *q;
	const char *headers[OPTIONS_HEADERS + 3];
	char url[TARGET_MAX], query[TARGET_MAX];
	const char *channel = r->rows ? rows_channel(r->rows, false) : NULL;

	snprintf(query, sizeof(query), "%s%s%s%s", channel ? "channel=" : "",
		channel ? channel : "", channel && *parameters ? "&" : "", parameters);
	target_write(url, &r->o->target, more_path, query);
	collect(r, headers, tokens);
	whole.url = url;
	whole.headers = headers;
	whole.http2 = q->http2 || r->f->http2_only;
	client_close(r->exchange[probe]);
	r->exchange[probe] = client_ask(&whole, &r->f->answer[probe]);
}

void plan_ask_first(struct run *r)
{
	struct request q = {.more_headers = as_stream};

	ask(r, PROBE_FIRST, &q, "", "", TOKENS_USUAL);
}

void plan_ask_others(struct run *r)
{
	static const char *const any[] = {"Accept: */*", NULL};
	struct request q = {.more_headers = any};

	ask(r, PROBE_OTHERS, &q, "", "", TOKENS_USUAL);
}

void plan_ask_broken(struct run *r)
{
	struct request q = {.method = "ROWTAIL@DOCTOR"};

	ask(r, PROBE_BROKEN, &q, "", "", TOKENS_USUAL);
}

void plan_ask_tokens(struct run *r)
{
	struct request q = {.more_headers = as_stream};

	if (!r->cookie[0])
		return;
	if (r->rows ? !options_header(r->o, "Authorization") : r->f->sent_authorization)
		ask(r, PROBE_AUTHORIZATION, &q, "", "", TOKENS_HEADER_ONLY);
	ask(r, PROBE_COOKIE, &q, "", "", TOKENS_COOKIE_ONLY);
}

void plan_ask_form(struct run *r, const char *parameters)
{
	static const char *const headers[] = {"Accept: text/event-stream",
		"Content-Type: application/x-www-form-urlencoded", "Expect:", NULL};
	char body[256];
	struct request q = {.more_headers = headers, .body = body};

	snprintf(body, sizeof(body), "positions=1%s%s%s", r->rows ? "&channel=" : "",
		r->rows ? rows_channel(r->rows, false) : "", parameters);
	ask(r, PROBE_POST, &q, "", "", TOKENS_USUAL);
}

/* The other requests. */

static void ask_streams(struct run *r)
{
	char origin[400];
	const char *browser[HEADERS] = {as_stream[0], "Cache-Control: no-cache"};
	struct request plain = {.more_headers = as_stream};
	struct request gzip = {.more_headers = browser, .compressed = true};

	snprintf(origin, sizeof(origin), "Origin: %s", r->f->origin);
	if (r->f->origin[0])
		browser[2] = origin;
	ask(r, PROBE_PLAIN, &plain, "", "", TOKENS_USUAL);
	ask(r, PROBE_BROWSER, &gzip, "", "", TOKENS_USUAL);
	if (!r->f->secure)
		return;
	plain.http2 = gzip.http2 = true;
	ask(r, PROBE_H2, &plain, "", "", TOKENS_USUAL);
	ask(r, PROBE_H2_BROWSER, &gzip, "", "", TOKENS_USUAL);
}

static void ask_positions(struct run *r)
{
	static const char *const header[] = {
		"Accept: text/event-stream", "Last-Event-ID: " FACTS_POSITION, NULL};
	struct request by_header = {.more_headers = header}, by_query = {.more_headers = as_stream};

	ask(r, PROBE_HEADER, &by_header, "", "", TOKENS_USUAL);
	ask(r, PROBE_QUERY, &by_query, "", "last_event_id=" FACTS_POSITION, TOKENS_USUAL);
	plan_ask_form(r, "&last_event_id=" FACTS_POSITION);
}

/* Rows of some KiB, which a compressor would collect. */
static void ask_replay(struct run *r)
{
	char data[EARLY_BYTES + 1], position[64];
	const char *headers[] = {as_stream[0], NULL};
	struct request q = {.more_headers = headers, .compressed = true};

	if (!r->rows)
		return;
	for (int i = 0; i < EARLY_ROWS; i++) {
		for (int c = 0; c < EARLY_BYTES; c++)
			data[c] = (char)('a' + random() % 26);
		data[EARLY_BYTES] = '\0';
		if (!rows_insert(r->rows, false, data))
			return;
	}
	snprintf(position, sizeof(position), "last_event_id=%lld",
		(long long)rows_position(r->rows));
	ask(r, PROBE_REPLAY, &q, "", position, TOKENS_USUAL);
}

void plan_ask_path(struct run *r)
{
	static const char *const any[] = {"Accept: */*", NULL};
	struct request path = {.more_headers = any};

	ask(r, PROBE_PATH, &path, "/" FACTS_CHANNEL, "", TOKENS_USUAL);
	ask(r, PROBE_SLASH, &path, "/rowtail-doctor%2F**", "", TOKENS_USUAL);
}

static void ask_answers(struct run *r)
{
	struct request head = {.method = "HEAD", .more_headers = as_stream};

	plan_ask_path(r);
	ask(r, PROBE_HEAD, &head, "", "", TOKENS_USUAL);
	plan_ask_json(r, PROBE_JSON_1);
}

static void ask_preflight(struct run *r)
{
	char origin[400];
	const char *headers[] = {origin, "Access-Control-Request-Method: POST",
		"Access-Control-Request-Headers: authorization,content-type,last-event-id", NULL};
	struct request q = {.method = "OPTIONS", .more_headers = headers};
	char url[TARGET_MAX];

	if (!r->f->origin[0])
		return;
	snprintf(origin, sizeof(origin), "Origin: %s", r->f->origin);
	/* A browser sends no login and no cookie with it. */
	target_write(url, &r->o->target, "", "");
	q.url = url;
	r->exchange[PROBE_PREFLIGHT] = client_ask(&q, &r->f->answer[PROBE_PREFLIGHT]);
}

/* Leaving. */

static void ask_leavers(struct run *r)
{
	const char *headers[OPTIONS_HEADERS + 3];
	struct request q = {.headers = headers, .more_headers = as_stream};
	char url[TARGET_MAX], query[160] = "";

	if (!r->o->status_url)
		return;
	if (r->rows)
		snprintf(query, sizeof(query), "channel=%s", rows_channel(r->rows, true));
	target_write(url, &r->o->target, "", query);
	q.url = url;
	collect(r, headers, TOKENS_USUAL);
	for (int i = 0; i < FACTS_LEAVERS; i++)
		r->exchange[PROBES + i] = client_ask(&q, &r->leaver[i]);
}

void plan_ask_status(struct run *r)
{
	static const char *const none[] = {NULL};
	struct request q = {.url = r->o->status_url, .headers = none, .more_headers = none};

	/* A login is for the host that it was given for. */
	if (target_is_same_site(&r->o->target, r->o->status_url))
		q.headers = r->o->headers;
	client_close(r->status);
	r->status = client_ask(&q, &r->count);
	r->counted_ms = clock_ms();
}

void plan_ask_json(struct run *r, enum probe probe)
{
	static const char *const any[] = {"Accept: */*", NULL};
	struct request json = {.more_headers = any};

	ask(r, probe, &json, "", "format=json", TOKENS_USUAL);
}

void plan_ask_again(struct run *r)
{
	ask_replay(r);
	ask_streams(r);
	plan_ask_json(r, PROBE_JSON_1);
}

void plan_ask_all(struct run *r)
{
	ask_replay(r);
	ask_streams(r);
	ask_positions(r);
	ask_answers(r);
	ask_preflight(r);
	plan_ask_tokens(r);
	ask_leavers(r);
}
