#include "doctor/reader.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

void reader_init(struct reader *r)
{
	memset(r, 0, sizeof(*r));
	buffer_init(&r->line, READER_MAX + 1);
	buffer_init(&r->data, READER_MAX + 1);
}

void reader_free(struct reader *r)
{
	buffer_free(&r->line);
	buffer_free(&r->data);
}

/* The buffer as a string; a NUL inside ends it. */
static const char *string(struct buffer *b)
{
	if (!buffer_append(b, "", 1))
		return "";
	b->length--;
	return (const char *)b->data;
}

static void dispatch(struct reader *r)
{
	if (r->has_data) {
		struct reader_event event = {.type = r->type[0] ? r->type : "message", .id = r->id};

		event.data = string(&r->data);
		r->event(r->context, &event);
	}
	buffer_clear(&r->data);
	r->type[0] = '\0';
	r->has_data = false;
}

static void take_retry(struct reader *r, const char *value)
{
	int64_t ms;

	if (text_digits(value, strlen(value), &ms) == TEXT_NUMBER)
		r->retry(r->context, ms);
}

static void take_field(struct reader *r, const char *name, size_t length, const char *value)
{
	if (length == 4 && !memcmp(name, "data", 4)) {
		if (r->has_data)
			buffer_append(&r->data, "\n", 1);
		buffer_text(&r->data, value);
		r->has_data = true;
	} else if (length == 5 && !memcmp(name, "event", 5)) {
		snprintf(r->type, sizeof(r->type), "%s", value);
	} else if (length == 2 && !memcmp(name, "id", 2)) {
		snprintf(r->id, sizeof(r->id), "%s", value);
	} else if (length == 5 && !memcmp(name, "retry", 5)) {
		take_retry(r, value);
	} else {
		r->stray(r->context, name);
	}
}

static void take_line(struct reader *r)
{
	const char *line = string(&r->line), *colon = strchr(line, ':');
	size_t length = colon ? (size_t)(colon - line) : strlen(line);

	if (!*line) {
		dispatch(r);
	} else if (colon == line) {
		r->comment(r->context, line[1] == ' ' ? line + 2 : line + 1);
	} else {
		const char *value = colon ? colon + 1 : "";

		take_field(r, line, length, *value == ' ' ? value + 1 : value);
	}
	buffer_clear(&r->line);
}

/* The byte order mark that may stand at the beginning is no part of the stream. */
static void skip_mark(struct reader *r)
{
	static const char mark[] = "\xef\xbb\xbf";

	if (!r->begun && r->line.length == 3) {
		r->begun = true;
		if (!memcmp(r->line.data, mark, 3))
			buffer_clear(&r->line);
	}
}

/* Takes bytes of one line, up to its end or the place of the mark; returns how many. */
static size_t take_bytes(struct reader *r, const char *bytes, size_t length)
{
	size_t count = 0, kept, room = READER_MAX - r->line.length;

	while (count < length && bytes[count] != '\r' && bytes[count] != '\n')
		count++;
	if (!r->begun && count > 3 - r->line.length)
		count = 3 - r->line.length;
	kept = count < room ? count : room;
	if (kept)
		buffer_append(&r->line, bytes, kept);
	skip_mark(r);
	return count;
}

void reader_feed(struct reader *r, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length;) {
		bool end = bytes[i] == '\r' || bytes[i] == '\n';
		bool same_end = bytes[i] == '\n' && r->after_cr;

		r->after_cr = bytes[i] == '\r';
		if (end && !same_end) {
			r->begun = true;
			take_line(r);
		}
		i += end ? 1 : take_bytes(r, bytes + i, length - i);
	}
}
