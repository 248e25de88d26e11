#include "doctor/plan.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "doctor/client.h"
#include "doctor/judge.h"
#include "doctor/mark.h"

enum {
	TICK_MS = 20,
	FIRST_MS = 4000, /* a head that takes longer is held back */
	READY_MS =
		6000, /* so long the streams may take to begin: mod_fcgid starts processes slowly */
	/* From then on: */
	ROW_FIRST_MS = 500, /* when the first row is inserted, then every ROW_EVERY_MS */
	ROW_EVERY_MS = 400,
	ROWS_MS = ROW_FIRST_MS + ROW_EVERY_MS * FACTS_ROWS,
	SETTLE_MS = 1000, /* for the last row */
	LEAVE_MS = ROWS_MS, /* when the leavers leave */
	COUNT_EVERY_MS = 500,
	EARLY_ROWS = 3,
	EARLY_BYTES = 1500,
	REDIRECTS = 3,
	HEADERS = 8,
};

static volatile sig_atomic_t stopped;

/* What goes on; `exchange[PROBES + i]` are those that will leave. */
struct run {
	const struct options *o;
	struct rows *rows;
	struct facts *f;
	struct exchange *exchange[PROBES + FACTS_LEAVERS], *status;
	struct answer leaver[FACTS_LEAVERS], count;
	int64_t began_ms, ready_ms, counted_ms;
	int rows_done;
	bool left, first_count;
	char cookie[1200], authorization[160];
};

void plan_stop(void)
{
	stopped = 1;
}

/* How long it is that all streams have begun, or had the time to; negative before. */
static int64_t since(const struct run *r)
{
	return r->ready_ms < 0 ? -1 : clock_ms() - r->ready_ms;
}

static bool has_begun(const struct answer *a)
{
	return !a->asked || a->records || a->end_ms >= 0;
}

static void see_if_ready(struct run *r)
{
	static const enum probe streams[] = {
		PROBE_PLAIN, PROBE_BROWSER, PROBE_H2, PROBE_H2_BROWSER, PROBE_HEADER, PROBE_REPLAY};
	bool ready = true;

	if (r->ready_ms >= 0)
		return;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++)
		ready = ready && has_begun(&r->f->answer[streams[i]]);
	for (int i = 0; i < FACTS_LEAVERS; i++)
		ready = ready && has_begun(&r->leaver[i]);
	if (ready || clock_ms() - r->began_ms >= READY_MS)
		r->ready_ms = clock_ms();
}

/* The headers of a request with the doctor's token: in both places, or in one. */

static void make_tokens(struct run *r)
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

/* --header's, less those that the doctor's own replace, and the doctor's. */
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
	client_close(r->exchange[probe]);
	r->exchange[probe] = client_ask(&whole, &r->f->answer[probe]);
}

/* Waits until the first request has said what it is: a record, an end, or too long nothing. */
static void wait_first(struct run *r, enum probe probe)
{
	const struct answer *a = &r->f->answer[probe];

	while (!stopped && r->exchange[probe] && !client_is_over(r->exchange[probe]) &&
		clock_ms() - a->asked_ms < FIRST_MS && !(a->records && judge_is_stream(a)))
		client_run(TICK_MS);
}

static const char *const as_stream[] = {"Accept: text/event-stream", NULL};

static void ask_first(struct run *r)
{
	struct request q = {.more_headers = as_stream};

	ask(r, PROBE_FIRST, &q, "", "", TOKENS_USUAL);
	wait_first(r, PROBE_FIRST);
}

/*
 * Follows redirects of one host. If a stream is at their end, its URL is the target from now on;
 * otherwise the first answer stays.
 */
static void follow(struct run *r, struct options *o)
{
	struct answer first = r->f->answer[PROBE_FIRST];
	struct target was = o->target;

	for (int i = 0; i < REDIRECTS; i++) {
		struct target next;
		const char *advice;

		if (r->f->answer[PROBE_FIRST].status < 300 ||
			r->f->answer[PROBE_FIRST].status > 399 ||
			!target_read(&next, client_redirect(r->exchange[PROBE_FIRST]), &advice) ||
			!target_is_same_host(&was, &next))
			break;
		o->target = next;
		if (r->rows)
			target_drop_channels(&o->target);
		ask_first(r);
	}
	if (o->target.secure == was.secure && !strcmp(o->target.path, was.path))
		return;
	r->f->redirected = r->f->answer[PROBE_FIRST].status == 200 &&
			   judge_is_stream(&r->f->answer[PROBE_FIRST]);
	if (!r->f->redirected) {
		o->target = was;
		r->f->answer[PROBE_FIRST] = first;
		return;
	}
	snprintf(r->f->redirect, sizeof(r->f->redirect), "%.150s%.100s", o->target.site,
		o->target.path);
}

static void ask_broken(struct run *r)
{
	struct request q = {.method = "ROWTAIL@DOCTOR"};

	ask(r, PROBE_BROKEN, &q, "", "", TOKENS_USUAL);
}

/* Refused: does the token come through one way and not the other? */
static void ask_tokens(struct run *r)
{
	struct request q = {.more_headers = as_stream};

	if (!r->cookie[0])
		return;
	if (r->rows ? !options_header(r->o, "Authorization") : r->f->sent_authorization)
		ask(r, PROBE_AUTHORIZATION, &q, "", "", TOKENS_HEADER_ONLY);
	ask(r, PROBE_COOKIE, &q, "", "", TOKENS_COOKIE_ONLY);
}

/* A POST whose form has everything. */
static void ask_form(struct run *r, const char *parameters)
{
	static const char *const headers[] = {"Accept: text/event-stream",
		"Content-Type: application/x-www-form-urlencoded", "Expect:", NULL};
	char body[256];
	struct request q = {.more_headers = headers, .body = body};

	snprintf(body, sizeof(body), "positions=1%s%s%s", r->rows ? "&channel=" : "",
		r->rows ? rows_channel(r->rows, false) : "", parameters);
	ask(r, PROBE_POST, &q, "", "", TOKENS_USUAL);
}

static void close_all(struct run *r)
{
	for (int i = 0; i < PROBES + FACTS_LEAVERS; i++) {
		client_close(r->exchange[i]);
		r->exchange[i] = NULL;
	}
	client_close(r->status);
	r->status = NULL;
}

static void describe(const struct options *o, struct facts *f)
{
	snprintf(f->path, sizeof(f->path), "%.200s", o->target.path);
	/* The mount itself, without a slash at its end. */
	if (strlen(f->path) > 1 && f->path[strlen(f->path) - 1] == '/')
		f->path[strlen(f->path) - 1] = '\0';
	f->secure = o->target.secure;
	f->loopback = o->target.loopback;
}

void plan_first(struct options *o, struct rows *rows, struct facts *f)
{
	struct run r = {.o = o, .rows = rows, .f = f};

	memset(f, 0, sizeof(*f));
	f->with_rows = rows;
	f->with_status = o->status_url;
	f->silence_ms = o->silence_ms;
	f->left_ms = -1;
	snprintf(f->origin, sizeof(f->origin), "%s", o->origin);
	for (int i = 0; i < FACTS_ROWS; i++)
		f->rows_ms[i] = -1;
	if (rows)
		target_drop_channels(&o->target);
	make_tokens(&r);
	ask_first(&r);
	if (f->answer[PROBE_FIRST].status >= 300 && f->answer[PROBE_FIRST].status < 400)
		follow(&r, o);
	describe(o, f);
	if (!f->answer[PROBE_FIRST].failure) {
		ask_broken(&r);
		if (f->answer[PROBE_FIRST].status == 401 || f->answer[PROBE_FIRST].status == 403) {
			ask_tokens(&r);
			ask_form(&r, "");
		}
		wait_first(&r, PROBE_AUTHORIZATION);
		wait_first(&r, PROBE_COOKIE);
		wait_first(&r, PROBE_POST);
		for (int i = 0; i < 1000 / TICK_MS && !client_is_over(r.exchange[PROBE_BROKEN]);
			i++)
			client_run(TICK_MS);
	}
	close_all(&r);
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
	ask_form(r, "&last_event_id=" FACTS_POSITION);
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

static void ask_answers(struct run *r)
{
	static const char *const any[] = {"Accept: */*", NULL};
	struct request path = {.more_headers = any};
	struct request head = {.method = "HEAD", .more_headers = as_stream};
	struct request json = {.more_headers = any};

	ask(r, PROBE_PATH, &path, "/" FACTS_CHANNEL, "", TOKENS_USUAL);
	ask(r, PROBE_HEAD, &head, "", "", TOKENS_USUAL);
	ask(r, PROBE_JSON_1, &json, "", "format=json", TOKENS_USUAL);
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

/* rowtail_streams in the page that --status names; -1. */
static int64_t count_in(const char *page)
{
	static const char name[] = "\nrowtail_streams ";
	const char *at = strstr(page, name);

	return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

static void ask_status(struct run *r)
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

static void take_count(struct run *r)
{
	struct facts *f = r->f;
	int64_t streams = r->count.status == 200 ? count_in(r->count.body) : -1;

	if (streams < 0) {
		snprintf(f->status_text, sizeof(f->status_text),
			"--status: the answer is %d, without rowtail_streams. It takes the URL of "
			"rowtail's metrics.",
			r->count.status);
	} else if (!r->left) {
		f->streams_before = streams;
		r->first_count = true;
	} else {
		f->streams_after = streams;
		if (f->left_ms < 0 && streams <= f->streams_before - FACTS_LEAVERS)
			f->left_ms = since(r) - LEAVE_MS;
	}
}

static void leave(struct run *r)
{
	for (int i = 0; i < FACTS_LEAVERS; i++) {
		client_close(r->exchange[PROBES + i]);
		r->exchange[PROBES + i] = NULL;
	}
	r->left = true;
}

/* Counts before they leave, lets them leave, and counts until rowtail knows. */
static void watch_leaving(struct run *r)
{
	if (!r->o->status_url || r->f->status_text[0] || r->f->left_ms >= 0)
		return;
	if (r->status && client_is_over(r->status)) {
		take_count(r);
		client_close(r->status);
		r->status = NULL;
	}
	if (since(r) < LEAVE_MS - 2 * COUNT_EVERY_MS)
		return;
	if (!r->left && r->first_count && since(r) >= LEAVE_MS)
		leave(r);
	if (!r->status && clock_ms() - r->counted_ms >= COUNT_EVERY_MS) {
		if (r->rows && r->left)
			rows_insert(r->rows, true, "leaving");
		ask_status(r);
	}
}

/* Rows, and what is asked when they have come. */

static void insert_rows(struct run *r)
{
	char text[MARK_MAX];

	if (!r->rows || r->rows_done == FACTS_ROWS ||
		since(r) < ROW_FIRST_MS + r->rows_done * ROW_EVERY_MS)
		return;
	mark_text(text, r->rows_done);
	if (rows_insert(r->rows, false, text))
		r->f->rows_ms[r->rows_done] = clock_ms();
	r->rows_done++;
}

static void ask_again(struct run *r)
{
	static const char *const any[] = {"Accept: */*", NULL};
	struct request json = {.more_headers = any};

	if (since(r) >= ROWS_MS && !r->exchange[PROBE_JSON_2])
		ask(r, PROBE_JSON_2, &json, "", "format=json", TOKENS_USUAL);
}

static void show_progress(const struct run *r, int64_t whole_ms)
{
	static int64_t shown = -1;

	int64_t now = (clock_ms() - r->began_ms) / 1000;

	if (!isatty(STDERR_FILENO) || now == shown)
		return;
	shown = now;
	fprintf(stderr, "\r\033[K%lld of %lld s: %s ", (long long)shown, (long long)whole_ms / 1000,
		since(r) < ROWS_MS ? "asking as clients do" : "waiting through a silence");
	fflush(stderr);
}

void plan_rest(const struct options *o, struct rows *rows, struct facts *f)
{
	struct run r = {.o = o, .rows = rows, .f = f, .began_ms = clock_ms(), .ready_ms = -1};
	int64_t whole_ms = (rows ? ROWS_MS + SETTLE_MS : ROWS_MS) + o->silence_ms;

	make_tokens(&r);
	ask_replay(&r);
	ask_streams(&r);
	ask_positions(&r);
	ask_answers(&r);
	ask_preflight(&r);
	ask_tokens(&r);
	ask_leavers(&r);
	while (!stopped && since(&r) < whole_ms) {
		client_run(TICK_MS);
		see_if_ready(&r);
		insert_rows(&r);
		ask_again(&r);
		watch_leaving(&r);
		show_progress(&r, whole_ms);
	}
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (o->status_url && !f->status_text[0] && !r.left)
		snprintf(f->status_text, sizeof(f->status_text), "--status: no answer in time.");
	close_all(&r);
}
