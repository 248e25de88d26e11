/* follow: see follow.h. */
#include "follow.h"

#include <string.h>

static void next_record(struct follow *f)
{
	f->id = -1;
	f->kind = FOLLOW_MESSAGE;
	f->data_lines = 0;
	f->whole = false;
}

void follow_init(struct follow *f, const struct follow_plan *plan, int64_t rest)
{
	f->plan = plan;
	f->rest = rest;
	f->position = plan->any_id ? plan->start : -1;
	next_record(f);
}

/* How many rows of the stream have an id up to this one. */
static int64_t rows_until(const struct follow *f, int64_t id)
{
	int64_t first = f->rest > 0 ? f->rest : f->plan->channels;

	return id < first ? 0 : (id - first) / f->plan->channels + 1;
}

/* The first position record says where the stream begins; later ones skip no row of the stream. */
static void take_position(struct follow *f, struct tally *t)
{
	if (f->id < 0 ||
		(f->position >= 0 && (f->id < f->position ||
					     rows_until(f, f->id) != rows_until(f, f->position)))) {
		t->gaps++;
		return;
	}
	f->position = f->id;
}

static void take_row(struct follow *f, int64_t now_ns, struct tally *t)
{
	if (f->plan->any_id && f->whole)
		f->id = f->payload.id;
	if (f->id < 0 || f->position < 0) {
		t->gaps++;
		return;
	}
	if (!f->whole || f->data_lines != 1 || f->payload.id != f->id ||
		f->id % f->plan->channels != f->rest)
		t->corrupt++;
	if (f->id <= f->position) {
		t->twice++;
		return;
	}
	t->lost += rows_until(f, f->id - 1) - rows_until(f, f->position);
	f->position = f->id;
	t->events++;
	t->last_event_ns = now_ns;
	if (t->first_stamp_ns == 0 || f->payload.stamp_ns < t->first_stamp_ns)
		t->first_stamp_ns = f->payload.stamp_ns;
	histogram_add(&t->delivery, now_ns - f->payload.stamp_ns);
}

static void dispatch(struct follow *f, int64_t now_ns, struct tally *t)
{
	if (f->kind == FOLLOW_GAP)
		t->gaps++;
	else if (f->kind == FOLLOW_POSITION)
		take_position(f, t);
	else if (f->data_lines > 0)
		take_row(f, now_ns, t);
	next_record(f);
}

static void take_data(struct follow *f, const char *value, size_t have, size_t total)
{
	f->data_lines += f->data_lines < UINT8_MAX;
	f->whole =
		payload_read(&f->payload, value, have) == 0 && (uint64_t)f->payload.length == total;
}

static void take_id(struct follow *f, const char *value, size_t have, struct tally *t)
{
	const char *end = value + have;

	if (f->plan->any_id)
		return;
	f->id = payload_number(&value, end);
	if (f->id < 0 || value != end)
		t->garbage++;
}

static void take_event(struct follow *f, const char *value, size_t have, struct tally *t)
{
	if (have == 8 && memcmp(value, "position", 8) == 0)
		f->kind = FOLLOW_POSITION;
	else if (have == 3 && memcmp(value, "gap", 3) == 0)
		f->kind = FOLLOW_GAP;
	else
		t->garbage++;
}

/* The value of "name: value" or "name:value"; NULL if the line is another field. */
static const char *field(const char *text, size_t have, const char *name)
{
	size_t length = strlen(name);

	if (have < length || memcmp(text, name, length) != 0)
		return NULL;
	return text + length + (have > length && text[length] == ' ');
}

void follow_line(struct follow *f, const char *text, size_t have, size_t total, int64_t now_ns,
	struct tally *t)
{
	const char *end = text + have, *value;

	if (total == 0)
		dispatch(f, now_ns, t);
	else if ((value = field(text, have, "data:")))
		take_data(f, value, (size_t)(end - value), total - (size_t)(value - text));
	else if ((value = field(text, have, "id:")))
		take_id(f, value, (size_t)(end - value), t);
	else if ((value = field(text, have, "event:")))
		take_event(f, value, (size_t)(end - value), t);
	else if (text[0] != ':' && !field(text, have, "retry:"))
		t->garbage++;
}
