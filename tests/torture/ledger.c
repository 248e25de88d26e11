/* ledger: see ledger.h. */
#include "ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD_MAX = 50 };

/* Reports the first few errors, so that they can be investigated. */
__attribute__((format(printf, 2, 3))) static void tell(
	const struct ledger *l, const char *format, ...)
{
	static int told;
	va_list arguments;

	if (told++ >= TOLD_MAX)
		return;
	fprintf(stderr, "%s, id %" PRId64 ", position %" PRId64 ", base %" PRId64 ": ", l->name,
		l->id, l->position, l->base);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static void next_event(struct ledger *l)
{
	l->kind = LEDGER_ROW;
	l->type = '\0';
	l->id = -1;
	l->reason = LEDGER_OTHER;
	l->newest = 0;
	l->data_lines = 0;
	l->hash = SEEN_START;
	l->whole = false;
}

/* Whether the filter has all or none of a channel's keys. */
static bool has_whole_channels(uint64_t filter)
{
	const uint64_t types = (UINT64_C(1) << ROW_TYPES) - 1;

	for (; filter; filter >>= ROW_TYPES)
		if ((filter & types) != 0 && (filter & types) != types)
			return false;
	return true;
}

void ledger_init(struct ledger *l, const char *name, uint64_t filter)
{
	memset(l, 0, sizeof *l);
	l->name = name;
	l->filter = filter;
	l->by_type = !has_whole_channels(filter);
	l->position = -1;
	ledger_connected(l);
}

void ledger_connected(struct ledger *l)
{
	next_event(l);
	l->first = true;
}

/* Where the stream begins, or that it is beyond the client's position. */
static void take_position(struct ledger *l, struct ledger_tally *t)
{
	t->positions++;
	if (l->id < 0 || l->id < l->position ||
		(l->first && l->position >= 0 && l->id > l->position)) {
		t->disorder++;
		tell(l, "a position that is not the client's");
	}
	if (l->position < 0)
		l->base = l->id;
	l->position = l->id;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/*
 * After a gap, with each row (INT64_MAX at the end) and what was before it in its key: whether a
 * row is missing that this client had not received. Up to gap_until there may still be one.
 */
static void judge_gap(struct ledger *l, int key, int64_t id, int64_t before, struct ledger_tally *t)
{
	const uint64_t bit = UINT64_C(1) << key;

	/* A failover or a restore may have taken back the deletion that this gap was for. */
	if (l->gap_from < t->restored)
		l->gap_keys = 0;
	if (!(l->gap_keys & bit))
		return;
	if (before > l->gap_from && before != l->last_id[key]) {
		t->owed++;
		l->gap_keys = 0;
	} else if (id > l->gap_until && (l->gap_keys &= ~bit) == 0 && !l->by_type) {
		t->needless++;
		tell(l, "a gap after %" PRId64 " that was not owed; newest was %" PRId64,
			l->gap_from, l->gap_until);
	}
}

static void take_gap(struct ledger *l, struct ledger_tally *t)
{
	t->gaps[l->reason]++;
	if (l->id < 0) {
		t->disorder++;
		tell(l, "a gap without an id");
		return;
	}
	l->gap_from = l->position;
	l->gap_until = l->newest;
	l->gap_keys = l->reason == LEDGER_PRUNED ? l->filter : 0;
	/*
	 * Another file, or a copy so far behind that it does not know the position: its numbers may
	 * be lower, and the rows above the gap come again.
	 */
	if (l->reason != LEDGER_PRUNED)
		memset(l->last_number, 0, sizeof l->last_number);
	for (int key = 0; l->reason != LEDGER_PRUNED && key < ROW_KEYS; key++)
		if (l->last_id[key] > l->id)
			l->last_id[key] = l->id;
	l->base = l->position = l->id;
}

/* A row whose predecessor has no id in it: the numbers alone tell. */
static void look_for_hole_in_commit(struct ledger *l, const struct row *r, struct ledger_tally *t)
{
	int64_t had = l->last_number[r->key];

	/* After another file nothing is known: rows may have been deleted from this commit. */
	if (had == 0)
		l->gap_keys = 0;
	else
		judge_gap(l, r->key, l->id,
			r->number == had + 1 ? l->last_id[r->key] : ROW_SAME_COMMIT, t);
	if (had == 0 || l->last_id[r->key] <= larger(l->base, l->gap_until) || r->number == had + 1)
		return;
	*(r->number > had ? &t->lost : &t->twice) += 1;
	tell(l, "key %d: number %" PRId64 " after %" PRId64, r->key, r->number, had);
}

static void look_for_hole(struct ledger *l, const struct row *r, struct ledger_tally *t)
{
	int64_t missing = l->last_number[r->key] ? r->number - l->last_number[r->key] - 1 : 1;

	if (r->before == ROW_SAME_COMMIT) {
		look_for_hole_in_commit(l, r, t);
		return;
	}
	judge_gap(l, r->key, l->id, r->before, t);
	if (r->before == l->last_id[r->key])
		return;
	if (r->before < l->last_id[r->key] && l->last_id[r->key] > l->base) {
		t->untold++;
		tell(l, "key %d had %" PRId64 ", but before number %" PRId64 " was %" PRId64,
			r->key, l->last_id[r->key], r->number, r->before);
	} else if (r->before > larger(l->base, l->gap_until) && r->before > l->last_id[r->key]) {
		t->lost += missing > 0 ? missing : 1;
		tell(l,
			"lost %" PRId64 " of key %d before number %" PRId64 ": had %" PRId64
			", was %" PRId64,
			missing, r->key, r->number, l->last_id[r->key], r->before);
	}
}

static bool has_type(const struct ledger *l)
{
	return l->type == row_type(l->row.key)[0];
}

static void take_row(struct ledger *l, struct ledger_tally *t)
{
	const struct row *r = &l->row;

	t->rows++;
	if (l->id < 0 || l->position < 0 || l->first) {
		t->disorder++;
		tell(l, "a row before the first position, or without an id");
		return;
	}
	if (!l->whole || l->data_lines != r->lines + 1) {
		t->corrupt++;
		tell(l, "corrupt, with %d lines", l->data_lines);
		return;
	}
	if (t->seen && !seen_same(t->seen, l->id, seen_hash(l->hash, &l->type, 1, 1))) {
		t->unlike++;
		tell(l, "another row than before: key %d number %" PRId64, r->key, r->number);
	}
	if (!(l->filter & UINT64_C(1) << r->key) || !has_type(l)) {
		t->foreign++;
		tell(l, "not asked for: key %d", r->key);
		return;
	}
	if (l->id <= l->position) {
		*(l->id <= l->last_id[r->key] ? &t->twice : &t->disorder) += 1;
		tell(l, "twice, or out of order: key %d number %" PRId64, r->key, r->number);
		return;
	}
	look_for_hole(l, r, t);
	l->position = l->last_id[r->key] = l->id;
	l->last_number[r->key] = r->number;
}

/*
 * An event without data is not dispatched (the id of a comment's record is never sent alone here).
 */
static void dispatch(struct ledger *l, struct ledger_tally *t)
{
	if (l->data_lines > 0) {
		if (l->kind == LEDGER_POSITION)
			take_position(l, t);
		else if (l->kind == LEDGER_GAP)
			take_gap(l, t);
		else if (l->kind == LEDGER_DENIED)
			t->denied++;
		else
			take_row(l, t);
		l->first = false;
	}
	next_event(l);
}

/* "newest" in a gap's data; 0 if there is none. */
static int64_t newest_in(const char *text, size_t have)
{
	const char *at = memmem(text, have, "\"newest\":", 9);
	int64_t newest = 0;

	for (at = at ? at + 9 : text + have; at < text + have && *at >= '0' && *at <= '9'; at++)
		newest = newest * 10 + *at - '0';
	return newest;
}

static void take_data(struct ledger *l, const char *text, size_t have, size_t total)
{
	l->data_lines++;
	l->hash = seen_hash(l->hash, text, have, total);
	if (l->kind == LEDGER_GAP) {
		if (memmem(text, have, "\"pruned\"", 8))
			l->reason = LEDGER_PRUNED;
		else if (memmem(text, have, "\"replaced\"", 10) ||
			 memmem(text, have, "\"future\"", 8))
			l->reason = LEDGER_REPLACED;
		l->newest = newest_in(text, have);
	} else if (l->kind == LEDGER_ROW && l->data_lines == 1) {
		l->whole = row_read(&l->row, text, have, total);
	} else if (l->kind == LEDGER_ROW) {
		l->whole = l->whole && row_is_line(&l->row, text, have, total);
	}
}

static void take_id(struct ledger *l, const char *text, size_t have)
{
	char digits[24] = "", *end;

	memcpy(digits, text, have < sizeof digits ? have : sizeof digits - 1);
	l->id = strtoll(digits, &end, 10);
	if (*end || end == digits)
		l->id = -1;
}

static void take_event(struct ledger *l, const char *text, size_t have, struct ledger_tally *t)
{
	if (have == 8 && !memcmp(text, "position", 8))
		l->kind = LEDGER_POSITION;
	else if (have == 3 && !memcmp(text, "gap", 3))
		l->kind = LEDGER_GAP;
	else if (have == 6 && !memcmp(text, "denied", 6))
		l->kind = LEDGER_DENIED;
	else if (have == 1)
		l->type = *text;
	else
		t->garbage++;
}

static bool is_field(const char *text, size_t have, const char *name)
{
	return have >= strlen(name) && !memcmp(text, name, strlen(name));
}

void ledger_line(
	struct ledger *l, const char *text, size_t have, size_t total, struct ledger_tally *t)
{
	if (total == 0)
		dispatch(l, t);
	else if (is_field(text, have, "data: "))
		take_data(l, text + 6, have - 6, total - 6);
	else if (is_field(text, have, "id: "))
		take_id(l, text + 4, have - 4);
	else if (is_field(text, have, "event: "))
		take_event(l, text + 7, have - 7, t);
	else if (text[0] != ':' && !is_field(text, have, "retry: ")) {
		t->garbage++;
		tell(l, "no field: %.*s", (int)(have < 60 ? have : 60), text);
	}
}

void ledger_close(struct ledger *l, const int64_t last_id[ROW_KEYS],
	const int64_t last_number[ROW_KEYS], struct ledger_tally *t)
{
	for (int key = 0; key < ROW_KEYS; key++) {
		int64_t had = l->last_id[key];

		if (last_id[key] <= larger(l->base, l->gap_until))
			judge_gap(l, key, INT64_MAX, last_id[key], t);
		if (last_id[key] > 0 && had > last_id[key] && had > l->base) {
			t->untold++;
			tell(l, "key %d had %" PRId64 ", but the log ends with %" PRId64, key, had,
				last_id[key]);
		}
		if (!(l->filter & UINT64_C(1) << key) || last_id[key] <= had ||
			last_id[key] <= larger(l->base, l->gap_until))
			continue;
		t->lost += l->last_number[key] ? last_number[key] - l->last_number[key] : 1;
		tell(l, "lost the end of key %d: had %" PRId64 ", the log ends with %" PRId64, key,
			had, last_id[key]);
	}
}
