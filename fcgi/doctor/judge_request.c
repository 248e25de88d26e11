#include <stdio.h>
#include <string.h>

#include "doctor/judge_impl.h"

static void wrong(struct findings *out, const char *name, enum fault fault, bool fatal,
	const char *harm, const char *what)
{
	struct finding *w = findings_add(out, LEVEL_WRONG, name, "%s", what);

	w->fault = fault;
	w->fatal = fatal;
	w->harm = harm;
}

/* Answers to the position that no log has: rowtail repeats it in a gap record. */
static bool was_heard(const struct answer *a)
{
	return !strcmp(a->first_type, "gap") && strstr(a->first_data, FACTS_POSITION);
}

static bool was_ignored(const struct answer *a)
{
	return a->status == 200 && a->records > 0 && !was_heard(a);
}

bool judge_query_is_lost(const struct facts *f)
{
	return was_ignored(&f->answer[PROBE_QUERY]);
}

static void judge_position(const struct facts *f, struct findings *out)
{
	const struct answer *header = &f->answer[PROBE_HEADER], *query = &f->answer[PROBE_QUERY];

	if (was_ignored(header))
		wrong(out, "last-event-id", FAULT_LAST_EVENT_ID, false,
			"After each reconnection it misses the rows that came meanwhile.",
			"The header Last-Event-ID does not reach rowtail.");
	else if (was_heard(header))
		findings_add(out, LEVEL_OK, "last-event-id", "Last-Event-ID reaches rowtail.");
	if (judge_query_is_lost(f))
		wrong(out, "query", FAULT_QUERY, true,
			"It gets the channel `default`, whatever it asks for.",
			"The query string does not reach rowtail.");
	else if (was_heard(query))
		findings_add(out, LEVEL_OK, "query", "The query string reaches rowtail.");
}

static void judge_post(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_POST];
	char line[JUDGE_LINE], what[FINDINGS_TEXT];
	static const char harm[] =
		"EventSource works. Clients that POST (fetch-event-source) do not.";

	/* If every answer is held back, this one need not be reported again. */
	if (!a->asked || (!a->records && f->answer[PROBE_FIRST].first_record_ms < 0))
		return;
	if (a->status == 200 && was_heard(a)) {
		findings_add(out, LEVEL_OK, "post", "POST works, and its form reaches rowtail.");
		return;
	}
	if (was_ignored(a))
		snprintf(what, sizeof(what),
			"A POST is answered, but its form does not reach rowtail.");
	else if (a->status == 200 || !a->status)
		snprintf(what, sizeof(what), "A POST gets %s.",
			a->status ? "no record" : "no answer");
	else
		snprintf(what, sizeof(what), "A POST is refused: %d, %s.", a->status,
			judge_line(a, line));
	wrong(out, "post", FAULT_POST, false, harm, what);
}

/* Does rowtail name the mount, or its last parts, before the channel that it refuses? */
bool judge_mount_is_channel(const struct facts *f)
{
	char channel[FACTS_FIELD * 2];

	for (const char *part = strchr(f->path, '/'); part && part[1];
		part = strchr(part + 1, '/')) {
		snprintf(channel, sizeof(channel), "%s/" FACTS_CHANNEL, part + 1);
		if (strstr(f->answer[PROBE_PATH].body, channel))
			return true;
	}
	return false;
}

/* As encodeURIComponent() writes a channel such as orders/42. */
static void judge_slash(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_SLASH];
	char line[JUDGE_LINE];
	struct finding *n;

	if (!a->asked || !a->status || (a->status == 400 && strstr(a->body, FACTS_SLASH)))
		return;
	n = findings_add(out, LEVEL_NOTE, "encoded-slash",
		"An encoded slash (%%2F) in the path behind %s does not reach rowtail: %d, %s.",
		f->path, a->status, judge_line(a, line));
	n->fault = FAULT_SLASH;
	n->harm = "Channels such as orders/42 do not work if it encodes them for the path. They "
		  "work in ?channel=, and unencoded in the path.";
}

void judge_path(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_PATH];
	char line[JUDGE_LINE], what[FINDINGS_TEXT];

	if (!a->asked || !a->status)
		return;
	if (judge_mount_is_channel(f)) {
		wrong(out, "path", FAULT_PATH, false,
			"It gets another channel than it asks for, and a wrong one if it names "
			"none.",
			"rowtail takes the mount point for the beginning of a channel: the web "
			"server does not tell it where it is mounted.");
		return;
	}
	if (a->status == 400 && strstr(a->body, FACTS_CHANNEL)) {
		findings_add(out, LEVEL_OK, "path",
			"The path behind %s reaches rowtail, and its messages come unchanged.",
			f->path);
		judge_slash(f, out);
		return;
	}
	if (a->status == 400) {
		snprintf(what, sizeof(what),
			"rowtail's error messages are replaced: a request for an impossible "
			"channel got %s.",
			judge_line(a, line));
		wrong(out, "error-pages", FAULT_ERROR_PAGES, false,
			"Its developer does not learn what is wrong.", what);
		return;
	}
	snprintf(what, sizeof(what),
		"The path behind %s does not reach rowtail as a channel: %d, %s.", f->path,
		a->status,
		a->status == 200 && judge_is_stream(a) ? "a stream of another channel"
						       : judge_line(a, line));
	wrong(out, "path", FAULT_PATH, false,
		"Channels in the URL's path do not work; those in ?channel= do.", what);
}

static bool is_refused(const struct answer *a)
{
	return a->status == 401 || a->status == 403;
}

/* Two requests with the same token, in the header and in the cookie. */
void judge_token(const struct facts *f, struct findings *out)
{
	const struct answer *header = &f->answer[PROBE_AUTHORIZATION];
	const struct answer *cookie = &f->answer[PROBE_COOKIE];

	if (!header->asked || !cookie->asked)
		return;
	if (is_refused(header) && cookie->status == 200)
		wrong(out, "authorization", FAULT_AUTHORIZATION, false,
			"A client that sends its token in the header is refused (401), and gives "
			"up "
			"for good.",
			"The header Authorization does not reach rowtail; the same token in the "
			"cookie rowtail_token does.");
	else if (header->status == 200 && is_refused(cookie))
		wrong(out, "cookie", FAULT_COOKIE, false,
			"An EventSource that is logged in by a cookie is refused (401), and gives "
			"up "
			"for good.",
			"The cookie rowtail_token does not reach rowtail; the same token in "
			"Authorization does.");
	else if (header->status == 200)
		findings_add(out, LEVEL_OK, "authorization",
			"A token in Authorization or in the cookie rowtail_token is accepted.");
}

static void judge_head(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_HEAD];
	struct finding *n;

	if (!a->asked || (a->end_ms >= 0 && a->status))
		return;
	n = findings_add(out, LEVEL_NOTE, "head", "HEAD gets no answer.");
	n->harm = "Monitors that use HEAD hang.";
}

void judge_request(const struct facts *f, struct findings *out)
{
	judge_position(f, out);
	judge_post(f, out);
	judge_path(f, out);
	judge_token(f, out);
	judge_head(f, out);
}
