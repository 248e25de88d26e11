#include "doctor/plan.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "doctor/judge.h"
#include "doctor/mark.h"
#include "doctor/plan_impl.h"

enum {
	TICK_MS = 20,
	FIRST_MS = 4000, /* a head that takes longer is held back */
	CONTROL_MS = 2000, /* after so long without a record the control is asked */
	READY_MS = 6000, /* for the streams to begin: mod_fcgid starts processes slowly */
	READY_AGAIN_MS = 3000, /* it has the processes now */
	PATIENCE = 4, /* so many times as long as an answer that ends may be missing */
	PATIENCE_MS = 6000, /* at most */
	/* From then on: */
	ROW_FIRST_MS = 500, /* when the first row is inserted, then every ROW_EVERY_MS */
	ROW_EVERY_MS = 400,
	ROWS_MS = ROW_FIRST_MS + ROW_EVERY_MS * FACTS_ROWS,
	SETTLE_MS = 1000, /* for the last row */
	LEAVE_MS = ROWS_MS, /* when the leavers leave */
	COUNT_EVERY_MS = 500,
	REDIRECTS = 3,
};

static volatile sig_atomic_t stopped;

void plan_stop(void)
{
	stopped = 1;
}

/* The time since all streams have begun, or had the time to; negative before that. */
static int64_t since(const struct run *r)
{
	return r->ready_ms < 0 ? -1 : clock_ms() - r->ready_ms;
}

/* The longest that an answer that ends has taken in this run, until now. */
static int64_t slowest_ms(const struct run *r)
{
	int64_t slowest = 0;

	for (int i = PROBE_JSON_1; i < PROBES; i++) {
		const struct answer *a = &r->f->answer[i];
		int64_t took = (a->end_ms >= 0 ? a->end_ms : clock_ms()) - a->asked_ms;

		if (i != PROBE_BROKEN && r->exchange[i] && took > slowest)
			slowest = took;
	}
	return slowest;
}

/* How much longer than on an idle machine to wait for something. */
static int64_t patience_ms(const struct run *r)
{
	int64_t ms = r->is_silent ? 0 : PATIENCE * slowest_ms(r);

	return ms < PATIENCE_MS ? ms : PATIENCE_MS;
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
	int64_t most_ms;

	if (r->ready_ms >= 0)
		return;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++)
		ready = ready && has_begun(&r->f->answer[streams[i]]);
	for (int i = 0; i < FACTS_LEAVERS; i++)
		ready = ready && has_begun(&r->leaver[i]);
	ready = ready && client_is_over(r->exchange[PROBE_JSON_1]);
	most_ms = (r->is_second ? READY_AGAIN_MS : READY_MS) + patience_ms(r);
	if (ready || clock_ms() - r->began_ms >= most_ms)
		r->ready_ms = clock_ms();
}

/*
 * Waits until the answer shows what it is: by a record, by its end, or by a silence that is too
 * long. libcurl ends the wait for a connection.
 */
static void wait_first(struct run *r, enum probe probe)
{
	const struct answer *a = &r->f->answer[probe];
	const struct exchange *e = r->exchange[probe];

	while (!stopped && e && !client_is_over(e) && !(a->records && judge_is_stream(a)) &&
		(clock_ms() - a->asked_ms < FIRST_MS + patience_ms(r) || !client_is_connected(e))) {
		client_run(TICK_MS);
		if (!r->exchange[PROBE_JSON_1] && clock_ms() - a->asked_ms >= CONTROL_MS)
			plan_ask_json(r, PROBE_JSON_1);
	}
}

static void ask_first(struct run *r)
{
	plan_ask_first(r);
	wait_first(r, PROBE_FIRST);
}

/* A server that does not speak HTTP/1.1 breaks the connection: does it speak HTTP/2? */
static void try_http2(struct run *r)
{
	struct answer first = r->f->answer[PROBE_FIRST];

	if (!r->o->target.secure || first.status ||
		(first.failure != FAILURE_TLS && first.failure != FAILURE_BROKEN))
		return;
	r->f->http2_only = true;
	ask_first(r);
	if (r->f->answer[PROBE_FIRST].status)
		return;
	r->f->http2_only = false;
	r->f->answer[PROBE_FIRST] = first;
}

/* A login that --header gives is for one server; a redirect may only add TLS. */
static bool may_follow(const struct target *was, const struct target *next)
{
	return target_is_same_site(was, next->site) ||
	       (!was->secure && next->secure && target_is_same_host(was, next));
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
			!may_follow(&was, &next))
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
	text_harmless(f->path, 200, o->target.path, strlen(o->target.path), false);
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
	plan_make_tokens(&r);
	ask_first(&r);
	try_http2(&r);
	if (f->answer[PROBE_FIRST].status >= 300 && f->answer[PROBE_FIRST].status < 400)
		follow(&r, o);
	describe(o, f);
	if (!f->answer[PROBE_FIRST].failure) {
		plan_ask_broken(&r);
		if (judge_is_away(&f->answer[PROBE_FIRST]))
			plan_ask_others(&r);
		if (f->answer[PROBE_FIRST].status == 401 || f->answer[PROBE_FIRST].status == 403) {
			plan_ask_tokens(&r);
			plan_ask_form(&r, "");
			plan_ask_path(&r);
		}
		wait_first(&r, PROBE_OTHERS);
		wait_first(&r, PROBE_AUTHORIZATION);
		wait_first(&r, PROBE_COOKIE);
		wait_first(&r, PROBE_POST);
		wait_first(&r, PROBE_PATH);
		for (int i = 0; i < 1000 / TICK_MS && !client_is_over(r.exchange[PROBE_BROKEN]);
			i++)
			client_run(TICK_MS);
	}
	close_all(&r);
}

/* rowtail_streams in the page that --status names; -1. */
static int64_t count_in(const char *page)
{
	static const char name[] = "\nrowtail_streams ";
	const char *at = strstr(page, name);

	return at ? strtoll(at + strlen(name), NULL, 10) : -1;
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
		plan_ask_status(r);
	}
}

/* Inserts the next row when it is due. */
static void insert_rows(struct run *r)
{
	char text[MARK_MAX];

	if (!r->rows || r->rows_done == FACTS_ROWS ||
		since(r) < ROW_FIRST_MS + r->rows_done * ROW_EVERY_MS)
		return;
	mark_text(text, r->rows_done);
	if (rows_insert(r->rows, false, text)) {
		r->f->rows_ms[r->rows_done] = clock_ms();
		plan_ask_json(r, PROBE_CONTROL + r->rows_done);
	}
	r->rows_done++;
}

static void show_progress(const struct run *r, int64_t whole_ms)
{
	static int64_t shown = -1;

	int64_t now = (clock_ms() - r->began_ms) / 1000;

	if (!isatty(STDERR_FILENO) || now == shown)
		return;
	shown = now;
	fprintf(stderr, "\r\033[K%lld of %lld s: %s ", (long long)shown, (long long)whole_ms / 1000,
		since(r) < ROWS_MS ? "sending requests as clients do"
				   : "watching streams without rows");
	fflush(stderr);
}

static bool is_row_missing(const struct run *r, const struct answer *a)
{
	for (int i = 0; i < FACTS_ROWS; i++)
		if (r->f->rows_ms[i] >= 0 && a->row_ms[i] < 0)
			return true;
	return false;
}

/* Is something still to come that would be called wrong without it? */
static bool is_incomplete(const struct run *r)
{
	for (int i = PROBE_PLAIN; i < PROBES; i++) {
		const struct answer *a = &r->f->answer[i];

		if (i == PROBE_BROKEN || client_is_over(r->exchange[i]))
			continue;
		if (!judge_is_stream(a) || !a->records ||
			(i <= PROBE_H2_BROWSER && is_row_missing(r, a)))
			return true;
	}
	return r->left && r->f->left_ms < 0;
}

/* Until whole_ms after all streams have begun. */
static void go_on(struct run *r, int64_t whole_ms)
{
	while (!stopped && (since(r) < whole_ms ||
				   (is_incomplete(r) && since(r) < whole_ms + patience_ms(r)))) {
		client_run(TICK_MS);
		see_if_ready(r);
		insert_rows(r);
		if (since(r) >= ROWS_MS && !r->exchange[PROBE_JSON_2])
			plan_ask_json(r, PROBE_JSON_2);
		if (!r->is_second)
			watch_leaving(r);
		show_progress(r, whole_ms);
	}
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

void plan_rest(const struct options *o, struct rows *rows, struct facts *f)
{
	struct run r = {.o = o, .rows = rows, .f = f, .began_ms = clock_ms(), .ready_ms = -1};
	const struct answer *first = &f->answer[PROBE_FIRST], *json = &f->answer[PROBE_JSON_1];

	/* Two requests got nothing in ten seconds: more patience does not help. */
	r.is_silent = !first->status && json->asked && !json->status;
	plan_make_tokens(&r);
	plan_ask_all(&r);
	go_on(&r, (rows ? ROWS_MS + SETTLE_MS : ROWS_MS) + o->silence_ms);
	if (o->status_url && !f->status_text[0] && !r.left)
		snprintf(f->status_text, sizeof(f->status_text), "--status: no answer in time.");
	close_all(&r);
}

bool plan_has_first_now(struct facts *f)
{
	struct answer *first = &f->answer[PROBE_FIRST];
	const struct answer *plain = &f->answer[PROBE_PLAIN];
	/* A server that waits for the whole answer gives up with an error, but JSON it passes. */
	bool given_up = plain->status >= 500 && f->answer[PROBE_JSON_1].status < 500;

	if (stopped || first->status || !plain->status || given_up)
		return false;
	*first = *plain;
	return true;
}

void plan_again(
	const struct options *o, struct rows *rows, const struct facts *f, struct facts *second)
{
	struct run r = {.o = o, .rows = rows, .f = second, .is_second = true, .ready_ms = -1};

	*second = *f;
	for (int i = 0; i < FACTS_ROWS; i++) {
		second->rows_ms[i] = -1;
		second->answer[PROBE_CONTROL + i].asked = false;
	}
	r.began_ms = clock_ms();
	plan_make_tokens(&r);
	plan_ask_again(&r);
	go_on(&r, ROWS_MS + SETTLE_MS);
	close_all(&r);
}
