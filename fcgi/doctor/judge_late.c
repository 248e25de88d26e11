#include "doctor/judge_impl.h"

/*
 * rowtail sends a row within milliseconds, but the machine may be busy. So each limit is for the
 * time beyond that of an answer that ends: what holds a stream back does not hold that back.
 */
enum { LATE_MS = 1500, FIRST_MS = 3000 };

static const enum probe streams[] = {
	PROBE_PLAIN, PROBE_BROWSER, PROBE_H2, PROBE_H2_BROWSER, PROBE_REPLAY};

/* How long an answer took that ends; 0 if it did not. */
static int64_t took_ms(const struct answer *a)
{
	return a->asked && a->status && a->end_ms >= 0 ? a->end_ms - a->asked_ms : 0;
}

/* Sorts the value into the first `count`. */
static void insert(int64_t *sorted, int count, int64_t value)
{
	int at = count;

	for (; at > 0 && sorted[at - 1] > value; at--)
		sorted[at] = sorted[at - 1];
	sorted[at] = value;
}

struct delay judge_delay(const struct facts *f, const struct answer *a)
{
	int64_t whole[FACTS_ROWS], beyond[FACTS_ROWS], control[FACTS_ROWS];
	struct delay d = {0};

	for (int i = 0; i < FACTS_ROWS; i++) {
		int64_t took;

		/* A stream begins with the rows that come after its first record. */
		if (f->rows_ms[i] < 0 || f->rows_ms[i] < a->first_record_ms)
			continue;
		if (a->row_ms[i] < 0) {
			d.missing = true;
			continue;
		}
		took = took_ms(&f->answer[PROBE_CONTROL + i]);
		insert(whole, d.rows, a->row_ms[i] - f->rows_ms[i]);
		insert(beyond, d.rows, a->row_ms[i] - f->rows_ms[i] - took);
		insert(control, d.rows, took);
		d.rows++;
	}
	if (d.rows) {
		d.whole_ms = whole[d.rows / 2];
		d.beyond_ms = beyond[d.rows / 2];
		if (whole[0] - control[0] > d.beyond_ms)
			d.beyond_ms = whole[0] - control[0];
	}
	return d;
}

static bool began_late(const struct facts *f, const struct answer *a)
{
	int64_t most = FIRST_MS + took_ms(&f->answer[PROBE_JSON_1]);

	return a->first_record_ms < 0 || a->first_record_ms - a->asked_ms > most;
}

bool judge_is_held_back(const struct facts *f, const struct answer *a)
{
	struct delay d = judge_delay(f, a);

	if (a->first_record_ms < 0 || judge_was_given_up(f, a))
		return true;
	/* The first request was alone: no other waited for a process or a connection. */
	if (began_late(f, a) && began_late(f, &f->answer[PROBE_FIRST]))
		return true;
	if (!f->with_rows)
		return false;
	/* A stream that was cut in the middle is judged as such. */
	if (a->end_ms >= 0 && a->row_ms[0] < 0 && f->rows_ms[0] >= a->end_ms)
		return false;
	if (d.missing)
		return a->end_ms < 0;
	/* Did it begin after all rows? */
	return d.rows ? d.beyond_ms > LATE_MS : f->rows_ms[0] >= 0 && began_late(f, a);
}

bool judge_was_given_up(const struct facts *f, const struct answer *a)
{
	const struct answer *first = &f->answer[PROBE_FIRST];

	return a->status >= 500 && !first->status && !first->failure;
}

bool judge_was_streamed(const struct facts *f, enum probe probe)
{
	const struct answer *a = &f->answer[probe];

	if (!a->asked || (a->status && a->status != 200 && !judge_was_given_up(f, a)))
		return false;
	/* HTTP/2 was offered, but may not have been chosen. */
	return (probe != PROBE_H2 && probe != PROBE_H2_BROWSER) || a->version == 20;
}

bool judge_wants_second(const struct facts *f)
{
	if (!f->answer[PROBE_JSON_1].status)
		return false;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		const struct answer *a = &f->answer[streams[i]];

		if (!judge_was_streamed(f, streams[i]))
			continue;
		if (judge_was_given_up(f, a))
			return false;
		if (streams[i] == PROBE_REPLAY) {
			if (a->first_record_ms < 0)
				return true;
		} else if (judge_is_held_back(f, a) ||
			   judge_delay(f, a).beyond_ms > JUDGE_SLOW_MS) {
			return true;
		}
	}
	return false;
}
