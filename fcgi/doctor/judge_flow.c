#include <stdio.h>
#include <string.h>

#include "doctor/judge_impl.h"

enum { PROMPT_MS = 3000, HEARTBEAT_MS = 30000, HEARTBEAT_FROM_MS = 3000 };

static const struct {
	enum probe probe;
	const char *words;
} streams[] = {
	{PROBE_PLAIN, "HTTP/1.1"},
	{PROBE_BROWSER, "HTTP/1.1 with Accept-Encoding"},
	{PROBE_H2, "HTTP/2"},
	{PROBE_H2_BROWSER, "HTTP/2 with Accept-Encoding"},
};
enum { STREAMS = sizeof(streams) / sizeof(*streams) };

bool judge_newest_is_same(const struct facts *f)
{
	const struct answer *before = &f->answer[PROBE_JSON_1], *after = &f->answer[PROBE_JSON_2];

	/* On a busy machine the first may be answered when rows are there. */
	return f->rows_ms[0] >= 0 && before->status == 200 && after->status == 200 &&
	       before->end_ms <= f->rows_ms[0] && !strcmp(before->body, after->body);
}

/* The streams begin at once, and the log does not grow when rows are inserted: it is not theirs. */
static bool judge_log(const struct facts *f, struct findings *out)
{
	struct finding *w;

	if (!f->with_rows || !judge_newest_is_same(f))
		return true;
	for (int i = 0; i < STREAMS; i++) {
		const struct answer *a = &f->answer[streams[i].probe];

		if (!judge_was_streamed(f, streams[i].probe))
			continue;
		if (!a->records || a->first_record_ms - a->asked_ms > PROMPT_MS)
			return true;
		for (int row = 0; row < FACTS_ROWS; row++)
			if (a->row_count[row])
				return true;
	}
	w = findings_add(out, LEVEL_WRONG, "other-log",
		"Streams open at once, but none of the rows that the doctor inserted arrives, and "
		"the "
		"newest id stays the same: rowtail serves another log than --db names.");
	w->fatal = true;
	w->harm = "It gets no row that is inserted there.";
	return false;
}

static bool judge_buffered(const struct facts *f, struct findings *out)
{
	char which[FACTS_FIELD] = "";
	bool plain = false;
	const struct answer *a = NULL;
	struct finding *w;

	for (int i = 0; i < STREAMS; i++) {
		if (!judge_was_streamed(f, streams[i].probe) ||
			!judge_is_held_back(f, &f->answer[streams[i].probe]))
			continue;
		a = a ? a : &f->answer[streams[i].probe];
		snprintf(which + strlen(which), sizeof(which) - strlen(which), "%s%s",
			which[0] ? "; " : "", streams[i].words);
		plain = plain || i % 2 == 0;
	}
	if (!a)
		return true;
	w = findings_add(out, LEVEL_WRONG, plain ? "buffered" : "compressed",
		"%s, asked by %s. rowtail sends its head and each row at once: something buffers "
		"the answer%s.",
		judge_was_given_up(f, a) ? "Nothing arrived until the server gave up"
		: a->head_ms < 0         ? "Nothing arrived, not even the head"
		: a->first_record_ms < 0 ? "The head arrived, but no record"
					 : "Records arrived late or not at all",
		which, plain ? "" : " to compress it");
	w->fatal = true;
	w->fault = plain ? FAULT_BUFFERED : FAULT_COMPRESSED;
	w->harm = "Its EventSource does not open, or gets rows late and many at once.";
	return false;
}

static void judge_compressed(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_BROWSER], *h2 = &f->answer[PROBE_H2_BROWSER];
	struct finding *w;

	if (!a->encoding[0] && !h2->encoding[0]) {
		findings_add(out, LEVEL_OK, "compressed", "Nothing compresses the stream.");
		return;
	}
	w = findings_add(out, LEVEL_WRONG, "compressed",
		"The stream is compressed (Content-Encoding: %s), although rowtail says "
		"no-transform. Records still come one by one.",
		a->encoding[0] ? a->encoding : h2->encoding);
	w->fault = FAULT_COMPRESSED;
	w->harm = "Rows arrive, but each stream takes several times the server's memory, and a "
		  "further proxy may buffer it.";
}

/* The records that fill a compressor's first buffer, such as after a reconnection. */
static void judge_replay(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_REPLAY];
	struct finding *w;

	if (!a->asked || a->status != 200 || a->first_record_ms >= 0)
		return;
	w = findings_add(out, LEVEL_WRONG, "compressed",
		"A stream that begins with some KiB of rows, as after a reconnection, is buffered "
		"when a client accepts compression%s.",
		a->encoding[0] ? ", as browsers do" : "");
	w->fatal = true;
	w->fault = FAULT_COMPRESSED;
	w->harm = "It gets nothing after its first reconnection.";
}

static void judge_pace(const struct facts *f, struct findings *out)
{
	struct delay most = {0};
	struct finding *w;

	for (int i = 0; i < STREAMS; i++) {
		struct delay d = judge_delay(f, &f->answer[streams[i].probe]);

		if (!judge_was_streamed(f, streams[i].probe))
			continue;
		most.whole_ms = d.whole_ms > most.whole_ms ? d.whole_ms : most.whole_ms;
		most.beyond_ms = d.beyond_ms > most.beyond_ms ? d.beyond_ms : most.beyond_ms;
	}
	if (!f->with_rows) {
		const struct answer *first = &f->answer[PROBE_FIRST];
		const struct answer *a = first->records ? first : &f->answer[PROBE_PLAIN];

		findings_add(out, LEVEL_OK, "at-once",
			"The first record came %lld ms after the request. (With --db the doctor "
			"inserts rows, and sees whether each comes at once.)",
			(long long)(a->first_record_ms - a->asked_ms));
		return;
	}
	if (most.beyond_ms <= JUDGE_SLOW_MS) {
		findings_add(out, LEVEL_OK, "at-once",
			"Rows come one by one, %lld ms after COMMIT%s.", (long long)most.whole_ms,
			most.whole_ms > JUDGE_SLOW_MS
				? "; other answers take as long: the machine is busy"
				: "");
		return;
	}
	w = findings_add(out, LEVEL_NOTE, "delayed",
		"Rows come one by one, but %lld ms after COMMIT.", (long long)most.whole_ms);
	w->fault = FAULT_DELAYED;
	w->harm = "Rows come a little late.";
}

static void judge_rows(const struct facts *f, struct findings *out)
{
	bool differs = false, twice = false;
	struct finding *w;

	for (int i = 0; i < STREAMS; i++) {
		const struct answer *a = &f->answer[streams[i].probe];

		differs = differs || a->row_differs;
		for (int row = 0; row < FACTS_ROWS; row++)
			twice = twice || a->row_count[row] > 1;
	}
	if (!f->with_rows)
		return;
	if (!differs && !twice) {
		findings_add(out, LEVEL_OK, "unchanged", "Rows come unchanged, each once.");
		return;
	}
	w = findings_add(out, LEVEL_WRONG, "rewritten", "%s",
		differs ? "Rows do not arrive as they were inserted: something changes the text of "
			  "the answer (SSI, templates, sub_filter, charset)."
			: "A row arrived twice on one stream.");
	w->fatal = true;
	w->fault = FAULT_REWRITTEN;
	w->harm = "It gets other data than was published.";
}

/* The first stream that ended before the doctor closed it. */
static const struct answer *cut_one(const struct facts *f)
{
	static const enum probe others[] = {PROBE_HEADER, PROBE_QUERY};

	for (int i = 0; i < STREAMS; i++)
		if (judge_was_streamed(f, streams[i].probe) &&
			f->answer[streams[i].probe].end_ms >= 0)
			return &f->answer[streams[i].probe];
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		const struct answer *a = &f->answer[others[i]];

		if (a->asked && a->status == 200 && a->end_ms >= 0 && a->records)
			return a;
	}
	return NULL;
}

static void judge_cut(const struct facts *f, struct findings *out)
{
	const struct answer *a = cut_one(f);
	struct finding *w;

	if (!a) {
		findings_add(out, LEVEL_OK, "open", "Streams stay open through %lld s of silence.",
			(long long)(f->silence_ms / 1000));
		return;
	}
	w = findings_add(out, LEVEL_WRONG, "cut",
		"The stream was ended after %.1f s, %.1f s after its last byte%s%s.",
		(double)(a->end_ms - a->asked_ms) / 1000,
		(double)(a->end_ms - (a->last_byte_ms < 0 ? a->asked_ms : a->last_byte_ms)) / 1000,
		a->page_in_stream ? ", with an HTML page inside it" : "",
		a->ended_with_retry ? ". rowtail itself ended it: its max-stream-age is that "
				      "short, or somebody stopped the process"
				    : "");
	w->fault = FAULT_CUT;
	w->harm = "Its EventSource loses the stream again and again. It resumes and loses no row, "
		  "but rows come late and the server does needless work.";
}

static void judge_heartbeat(const struct facts *f, struct findings *out)
{
	const struct answer *a = &f->answer[PROBE_PLAIN];
	int64_t silent_from = f->with_rows ? f->rows_ms[FACTS_ROWS - 1] : a->asked_ms;
	struct finding *w;

	if (f->silence_ms < HEARTBEAT_MS || a->end_ms >= 0 || a->last_byte_ms < 0)
		return;
	if (a->last_byte_ms > silent_from + HEARTBEAT_FROM_MS) {
		findings_add(out, LEVEL_OK, "heartbeat", "Heartbeats arrive.");
		return;
	}
	w = findings_add(out, LEVEL_WRONG, "heartbeat", "No heartbeat came within %lld s.",
		(long long)(f->silence_ms / 1000));
	w->fault = FAULT_HEARTBEAT;
	w->harm =
		"Proxies and mobile networks end a silent stream, and nobody notices a client that "
		"is gone.";
}

bool judge_flow(const struct facts *f, const struct facts *second, struct findings *out)
{
	const struct facts *last = second ? second : f;

	if (!judge_log(last, out))
		return false;
	if (!judge_buffered(last, out))
		return true;
	judge_pace(last, out);
	judge_rows(f, out);
	judge_compressed(f, out);
	judge_replay(last, out);
	judge_cut(f, out);
	judge_heartbeat(f, out);
	return true;
}
