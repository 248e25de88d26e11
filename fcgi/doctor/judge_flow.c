#include <stdio.h>
#include <string.h>

#include "doctor/judge_impl.h"

/* rowtail sends a row within milliseconds; a machine can be busy. */
enum { LATE_MS = 1500, SLOW_MS = 100, FIRST_MS = 3000, HEARTBEAT_MS = 30000 };

/* The middle one of the rows' delays; -1 if a row never came. */
static int64_t middle_delay_ms(const struct facts *f, const struct answer *a)
{
	int64_t delay_ms[FACTS_ROWS];
	int count = 0;

	for (int i = 0; i < FACTS_ROWS; i++) {
		int64_t d;
		int at;

		if (f->rows_ms[i] < 0)
			continue;
		if (a->row_ms[i] < 0)
			return -1;
		d = a->row_ms[i] - f->rows_ms[i];
		for (at = count++; at > 0 && delay_ms[at - 1] > d; at--)
			delay_ms[at] = delay_ms[at - 1];
		delay_ms[at] = d;
	}
	return count ? delay_ms[count / 2] : 0;
}

static bool is_held_back(const struct facts *f, const struct answer *a)
{
	const struct answer *first = &f->answer[PROBE_FIRST];

	if (a->first_record_ms < 0)
		return true;
	/* The first request was alone: no other waited for a process or a connection. */
	if (first->first_record_ms < 0 || first->first_record_ms - first->asked_ms > FIRST_MS)
		return true;
	if (!f->with_rows)
		return false;
	/* A stream that was cut in the middle is judged as such. */
	if (a->end_ms >= 0 && a->row_ms[0] < 0 && f->rows_ms[0] >= a->end_ms)
		return false;
	return middle_delay_ms(f, a) < 0 ? a->end_ms < 0 : middle_delay_ms(f, a) > LATE_MS;
}

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

/* A server that waits for the whole answer gives up; the first request was closed before that. */
static bool was_given_up(const struct facts *f, const struct answer *a)
{
	const struct answer *first = &f->answer[PROBE_FIRST];

	return a->status >= 500 && !first->status && !first->failure;
}

/* HTTP/2 was offered, but may not have been chosen. */
static bool was_streamed(const struct facts *f, int i)
{
	const struct answer *a = &f->answer[streams[i].probe];

	if (!a->asked || (a->status && a->status != 200 && !was_given_up(f, a)))
		return false;
	return i < 2 || a->version == 20;
}

/* The streams begin at once, and the log does not grow when rows are inserted: it is not theirs. */
static bool judge_log(const struct facts *f, struct findings *out)
{
	const struct answer *before = &f->answer[PROBE_JSON_1], *after = &f->answer[PROBE_JSON_2];
	struct finding *w;

	if (!f->with_rows || f->rows_ms[0] < 0 || before->status != 200 || after->status != 200 ||
		strcmp(before->body, after->body) != 0)
		return true;
	for (int i = 0; i < STREAMS; i++) {
		const struct answer *a = &f->answer[streams[i].probe];

		if (!was_streamed(f, i))
			continue;
		if (!a->records || a->first_record_ms - a->asked_ms > FIRST_MS)
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
		if (!was_streamed(f, i) || !is_held_back(f, &f->answer[streams[i].probe]))
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
		was_given_up(f, a)       ? "Nothing arrived until the server gave up"
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
	int64_t most = 0;
	struct finding *w;

	for (int i = 0; i < STREAMS; i++)
		if (was_streamed(f, i) && middle_delay_ms(f, &f->answer[streams[i].probe]) > most)
			most = middle_delay_ms(f, &f->answer[streams[i].probe]);
	if (!f->with_rows) {
		const struct answer *a = &f->answer[PROBE_FIRST];

		findings_add(out, LEVEL_OK, "at-once",
			"The first record came %lld ms after the request. (With --db the doctor "
			"inserts rows, and sees whether each comes at once.)",
			(long long)(a->first_record_ms - a->asked_ms));
		return;
	}
	if (most <= SLOW_MS) {
		findings_add(out, LEVEL_OK, "at-once",
			"Rows come one by one, %lld ms after COMMIT.", (long long)most);
		return;
	}
	w = findings_add(out, LEVEL_NOTE, "delayed",
		"Rows come one by one, but %lld ms after COMMIT.", (long long)most);
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
		if (was_streamed(f, i) && f->answer[streams[i].probe].end_ms >= 0)
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
	if (a->last_byte_ms > silent_from + 2 * LATE_MS) {
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

bool judge_flow(const struct facts *f, struct findings *out)
{
	if (!judge_log(f, out))
		return false;
	if (!judge_buffered(f, out))
		return true;
	judge_pace(f, out);
	judge_rows(f, out);
	judge_compressed(f, out);
	judge_replay(f, out);
	judge_cut(f, out);
	judge_heartbeat(f, out);
	return true;
}
