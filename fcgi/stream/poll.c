#include "stream/poll.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/wire.h"

enum { GAP_TEXT_MAX = 1024 };

struct poll *poll_new(const struct poll_ask *ask)
{
	struct poll *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->limit = p->asked_limit = ask->limit;
	p->page_end = -1;
	p->wait_ms = ask->wait_ms;
	p->before = ask->before;
	p->at_once = ask->at_once;
	buffer_init(&p->rows, INT32_MAX);
	buffer_init(&p->gap, GAP_TEXT_MAX);
	if (p->before >= 0 && !(p->lengths = calloc(POLL_ROWS_MAX, sizeof(*p->lengths)))) {
		free(p);
		return NULL;
	}
	return p;
}

struct poll *poll_shrink(struct poll *p)
{
	struct poll *smaller = realloc(p, sizeof(*p) + p->head_length);

	if (!smaller)
		return p;
	smaller->later_length = 0;
	return smaller;
}

bool poll_set_texts(struct poll **p, const struct buffer *head, const struct buffer *later)
{
	struct poll *moved = realloc(*p, sizeof(*moved) + head->length + later->length);

	if (!moved)
		return false;
	moved->head_length = head->length;
	moved->later_length = later->length;
	memcpy(moved->texts, head->data, head->length);
	memcpy(moved->texts + head->length, later->data, later->length);
	*p = moved;
	return true;
}

void poll_free(struct poll *p)
{
	if (!p)
		return;
	buffer_free(&p->rows);
	buffer_free(&p->gap);
	free(p->lengths);
	free(p);
}

const uint8_t *poll_head(const struct poll *p)
{
	return p->texts;
}

const uint8_t *poll_later(const struct poll *p)
{
	return p->texts + p->head_length;
}

bool poll_is_full(const struct poll *p)
{
	return (int64_t)(p->first + p->count) >= p->limit ||
	       (p->before < 0 && p->rows.length >= POLL_BYTES);
}

/* Drops the oldest rows, for which there is no room: a page ends below `before`. */
static void drop_oldest(struct poll *p)
{
	while (p->count > 1 && p->rows.length - p->start > POLL_BYTES) {
		p->start += p->lengths[p->first++];
		p->count--;
		p->older = p->overflows = true;
	}
	/* Free the space of dropped rows, so that they do not pile up. */
	if (p->start > POLL_BYTES) {
		p->rows.length -= p->start;
		memmove(p->rows.data, p->rows.data + p->start, p->rows.length);
		p->start = 0;
	}
}

bool poll_has_room(const struct poll *p, size_t length)
{
	return p->before >= 0 || p->count == 0 || length < POLL_BYTES_ALONE;
}

bool poll_add(struct poll *p, const uint8_t *object, size_t length)
{
	if (!buffer_reserve(&p->rows, length + 1)) {
		p->rows.failed = false;
		return false;
	}
	buffer_append(&p->rows, object, length);
	buffer_append(&p->rows, ",", 1);
	if (p->lengths)
		p->lengths[p->first + p->count] = (uint32_t)length + 1;
	p->count++;
	if (p->lengths)
		drop_oldest(p);
	return true;
}

int64_t poll_overflows(const struct poll *p)
{
	int64_t left = p->limit - (int64_t)(p->first + p->count);

	return p->overflows && left > POLL_ROWS_DROPPED ? left / 2 : 0;
}

void poll_forget_rows(struct poll *p)
{
	buffer_free(&p->rows);
	p->count = p->first = p->start = 0;
	p->overflows = false;
}

void poll_drop_rows(struct poll *p)
{
	p->older |= p->count > 0;
	p->first += p->count;
	p->count = p->start = 0;
	buffer_free(&p->rows);
}

bool poll_set_gap(struct poll *p, const char *requested, const struct eventlog_bounds *bounds,
	enum gap reason)
{
	buffer_clear(&p->gap);
	p->has_gap = true;
	wire_json_gap(&p->gap, requested, bounds->oldest, bounds->newest, reason);
	return !p->gap.failed;
}

void poll_write(const struct poll *p, struct buffer *out, int64_t position, bool more, bool end)
{
	if (!p->head_sent)
		buffer_append(out, p->texts, p->head_length);
	buffer_text(out, "{\"position\":");
	wire_number(out, position);
	buffer_text(out, more ? ",\"more\":true" : ",\"more\":false");
	buffer_text(out, end ? ",\"end\":true,\"gap\":" : ",\"end\":false,\"gap\":");
	if (p->has_gap)
		buffer_append(out, p->gap.data, p->gap.length);
	else
		buffer_text(out, "null");
	buffer_text(out, ",\"events\":[");
	/* Without the last comma. */
	if (p->count > 0)
		buffer_append(out, p->rows.data + p->start, p->rows.length - p->start - 1);
	buffer_text(out, "]}\n");
}
