#include "doctor/judge.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "doctor/judge_impl.h"

bool judge_is_stream(const struct answer *a)
{
	return text_is_media_type(a->type, strlen(a->type), "text/event-stream");
}

/* Is it an HTML page, by its type or its beginning? */
static bool is_page(const struct answer *a)
{
	return strcasestr(a->type, "html") || strcasestr(a->body, "<html") ||
	       strcasestr(a->body, "<!doctype html");
}

/* The first line of an answer's body, for a sentence. */
const char *judge_line(const struct answer *a, char line[JUDGE_LINE])
{
	size_t length = strcspn(a->body, "\r\n");

	if (is_page(a))
		return "an HTML page";
	if (!length)
		return "nothing";
	text_harmless(line, JUDGE_LINE - 1, a->body, length < 160 ? length : 160, false);
	return line;
}

static void say(struct findings *out, const char *name, enum fault fault, const char *harm,
	const char *what)
{
	struct finding *f = findings_add(out, LEVEL_WRONG, name, "%s", what);

	f->fatal = true;
	f->fault = fault;
	f->harm = harm;
}

static bool judge_reached(const struct answer *a, struct findings *out)
{
	char what[FINDINGS_TEXT];
	static const char *const why[] = {[FAILURE_RESOLVE] = "the host's name is not known",
		[FAILURE_CONNECT] = "nobody accepts the connection",
		[FAILURE_TLS] = "TLS fails",
		[FAILURE_CERTIFICATE] =
			("the certificate is not trusted, so a browser opens nothing "
			 "(--insecure examines the rest)"),
		[FAILURE_ENCODING] = "the compressed answer cannot be read",
		[FAILURE_BROKEN] = "the connection broke",
		[FAILURE_FLOOD] = "the answer does not end"};

	if (a->failure == FAILURE_NONE || a->status)
		return true;
	snprintf(what, sizeof(what), "%s: %s.", why[a->failure], a->failure_text);
	what[0] = (char)(what[0] >= 'a' && what[0] <= 'z' ? what[0] - 32 : what[0]);
	say(out, a->failure == FAILURE_CERTIFICATE ? "certificate" : "unreachable", FAULT_NONE,
		"Its EventSource never opens, and keeps trying.", what);
	return false;
}

static bool is_login(const struct answer *a)
{
	static const char *const words[] = {
		"login", "signin", "sign-in", "sign_in", "/auth", "sso"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasestr(a->location, words[i]))
			return true;
	return strcasestr(a->body, "type=\"password\"") || strcasestr(a->body, "type=password");
}

static bool judge_redirect(const struct answer *a, struct findings *out)
{
	char what[FINDINGS_TEXT];
	bool login = is_login(a);
	size_t path = strcspn(a->location, "?#");

	if (a->status < 300 || a->status > 399)
		return true;
	/* What follows the path may be a secret, such as a ticket of a login. */
	snprintf(what, sizeof(what), "The answer is a redirect (%d) to %.*s%s%s.", a->status,
		a->location[0] ? (int)path : 7, a->location[0] ? a->location : "nowhere",
		a->location[path] ? "…" : "", login ? ", which looks like a login page" : "");
	say(out, login ? "login" : "redirect", FAULT_FRONT_CONTROLLER,
		"Its EventSource follows the redirect, gets a page instead of a stream, and gives "
		"up "
		"for good.",
		what);
	return false;
}

/* Refused: because rowtail does not get what the doctor sent? */
static void judge_refused(const struct facts *f, struct findings *out)
{
	if (f->answer[PROBE_POST].status == 200 && judge_is_stream(&f->answer[PROBE_POST]))
		say(out, "query", FAULT_QUERY, "It asks for one channel and gets another.",
			"The query string does not reach rowtail: the same request as a form is "
			"accepted.");
	if (judge_mount_is_channel(f))
		judge_path(f, out);
	judge_token(f, out);
}

/* Another status than 200: is it rowtail's word, or that of a server in front? */
static bool judge_status(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_FIRST];
	char line[JUDGE_LINE], what[FINDINGS_TEXT];
	enum fault fault = FAULT_NONE;
	const char *name = "status";
	static const char for_good[] = "Its EventSource gives up for good.";

	if (a->status == 200)
		return true;
	snprintf(what, sizeof(what), "The answer is %d: %s.", a->status, judge_line(a, line));
	if (a->status == 401 || a->status == 403) {
		name = "access", judge_refused(f, out);
		if (!f->with_rows && !judge_mount_is_channel(f) && strstr(a->body, "granted"))
			fault = FAULT_ACCESS;
		if (f->with_rows && !judge_mount_is_channel(f))
			snprintf(what + strlen(what), sizeof(what) - strlen(what),
				" The log that --db names has a grant for the doctor: does rowtail "
				"serve "
				"another log?");
	} else if (a->status == 404 || (a->status == 405 && is_page(a)))
		fault = FAULT_FRONT_CONTROLLER, name = "not-found";
	else if (a->status >= 500)
		fault = FAULT_DOWN, name = "down";
	say(out, name, fault, for_good, what);
	if (a->status >= 500)
		say(out, "down-answer", FAULT_DOWN_ANSWER,
			"Its EventSource gives up for good, instead of reconnecting in a few "
			"seconds.",
			"While rowtail is down, the web server answers with an error, not with an "
			"event stream that says when to reconnect.");
	return false;
}

bool judge_is_away(const struct answer *a)
{
	return judge_is_stream(a) && !a->records && a->end_ms >= 0 && a->retry_ms >= 0;
}

static bool judge_away(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_FIRST], *others = &f->answer[PROBE_OTHERS];
	char what[FINDINGS_TEXT], line[JUDGE_LINE];

	if (!judge_is_away(a))
		return true;
	snprintf(what, sizeof(what),
		"The answer only says to reconnect in %lld ms: \"%s\". rowtail is down, or has "
		"reached its connection limit.",
		(long long)a->retry_ms, a->comment);
	if (others->status >= 400)
		snprintf(what + strlen(what), sizeof(what) - strlen(what),
			" Other clients get %d: %s.", others->status, judge_line(others, line));
	say(out, "down", FAULT_DOWN,
		"Its EventSource reconnects again and again, and gets nothing until rowtail is "
		"back.",
		what);
	findings_add(out, LEVEL_OK, "down-answer",
		"While rowtail is down, an EventSource is told to reconnect, and does not give "
		"up.");
	return false;
}

static bool judge_type(const struct answer *a, struct findings *out)
{
	char what[FINDINGS_TEXT], line[JUDGE_LINE];
	bool inside = a->records > 0 || a->retry_ms >= 0;

	if (judge_is_stream(a))
		return true;
	if (inside) {
		snprintf(what, sizeof(what),
			"The stream comes as \"%s\", not as text/event-stream: something sets "
			"Content-Type.",
			a->type);
		say(out, "type", FAULT_TYPE, "Its EventSource gives up for good.", what);
		return true;
	}
	snprintf(what, sizeof(what), "The answer is %s%s (%s), not rowtail's stream.",
		is_login(a) ? "a login page: " : "", judge_line(a, line),
		a->type[0] ? a->type : "without a Content-Type");
	say(out, is_login(a) ? "login" : "front-controller", FAULT_FRONT_CONTROLLER,
		"Its EventSource gets a page instead of a stream, and gives up for good.", what);
	return false;
}

static bool judge_flood(const struct facts *f, struct findings *out)
{
	char what[FINDINGS_TEXT];

	for (int i = 0; i < PROBES; i++) {
		const struct answer *a = &f->answer[i];

		if (a->failure != FAILURE_FLOOD)
			continue;
		snprintf(what, sizeof(what),
			"More than 64 MiB came within %.1f s. Either that is not rowtail's stream, "
			"or the "
			"channel is very busy: ask for another.",
			(double)(a->end_ms - a->asked_ms) / 1000);
		say(out, "flood", FAULT_NONE, "It cannot keep up with that.", what);
		return false;
	}
	return true;
}

bool judge_first(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_FIRST];
	bool fine;

	if (!judge_reached(a, out) || !judge_flood(f, out))
		return false;
	if (f->redirected)
		findings_add(out, LEVEL_NOTE, "redirect",
			"The URL redirects to %s, where the stream is. Use that URL: each "
			"reconnection now takes two requests.",
			f->redirect);
	if (!a->status) /* held back, perhaps */
		return true;
	if (!judge_redirect(a, out) || !judge_status(f, out))
		return false;
	fine = judge_type(a, out);
	return fine && judge_away(f, out);
}

void judge_all(const struct facts *f, const struct facts *second, struct findings *out)
{
	if (!judge_flood(f, out))
		return;
	if (!judge_query_is_lost(f) && !judge_flow(f, second, out))
		return;
	judge_request(f, out);
	judge_answer(f, out);
}
