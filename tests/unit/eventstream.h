/*
 * eventstream: an event-stream parser, written from the HTML standard (section 9.2.6, "Interpreting
 * an event stream"), independent of the encoder: the oracle of the tests. It takes input in any
 * pieces, and reports each event that an EventSource would dispatch. An unfinished event at the end
 * is dropped.
 */
#ifndef ROWTAIL_TESTS_EVENTSTREAM_H
#define ROWTAIL_TESTS_EVENTSTREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes with a NUL after them; they may contain NULs. */
struct eventstream_text {
	char *bytes;
	size_t length, room;
};

struct eventstream_event {
	char *type; /* ends with a NUL; may contain others, see type_length */
	size_t type_length;
	char *id; /* the last event ID when it was dispatched */
	char *data;
	size_t length; /* of data */
};

struct eventstream {
	struct eventstream_text line; /* in progress */
	struct eventstream_text data, type, id_buffer; /* the standard's buffers */
	struct eventstream_text id; /* the last event ID */
	size_t fed; /* bytes so far, until no byte order mark can follow */
	bool after_cr;
	long long retry_ms; /* -1: never told */
	struct eventstream_event *events;
	size_t count, room;
	size_t comments, empty_lines, unknown; /* lines; unknown: with a field that nobody knows */
};

static inline void *eventstream_memory(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		abort();
	return p;
}

static inline void eventstream_append(struct eventstream_text *t, const char *bytes, size_t more)
{
	if (t->length + more + 1 > t->room) {
		t->room = (t->length + more + 1) * 2;
		t->bytes = eventstream_memory(t->bytes, t->room);
	}
	if (more)
		memcpy(t->bytes + t->length, bytes, more);
	t->length += more;
	t->bytes[t->length] = '\0';
}

static inline void eventstream_set(struct eventstream_text *t, const char *bytes, size_t length)
{
	t->length = 0;
	eventstream_append(t, bytes, length);
}

static inline char *eventstream_copy(const struct eventstream_text *t, size_t length)
{
	char *copy = eventstream_memory(NULL, length + 1);

	if (length)
		memcpy(copy, t->bytes, length);
	copy[length] = '\0';
	return copy;
}

static inline void eventstream_init(struct eventstream *p)
{
	memset(p, 0, sizeof(*p));
	p->retry_ms = -1;
	eventstream_set(&p->id, "", 0);
	eventstream_set(&p->id_buffer, "", 0);
}

static inline void eventstream_free(struct eventstream *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->events[i].type);
		free(p->events[i].id);
		free(p->events[i].data);
	}
	free(p->events);
	free(p->line.bytes);
	free(p->data.bytes);
	free(p->type.bytes);
	free(p->id_buffer.bytes);
	free(p->id.bytes);
	memset(p, 0, sizeof(*p));
}

static inline void eventstream_add(struct eventstream *p)
{
	static char message[] = "message";
	const struct eventstream_text plain = {message, sizeof(message) - 1, 0};
	const struct eventstream_text *type = p->type.length ? &p->type : &plain;

	if (p->count == p->room) {
		p->room = p->room * 2 + 8;
		p->events = eventstream_memory(p->events, p->room * sizeof(*p->events));
	}
	/* The data buffer's last line break is not part of the data. */
	p->events[p->count++] = (struct eventstream_event){
		.type = eventstream_copy(type, type->length),
		.type_length = type->length,
		.id = eventstream_copy(&p->id, p->id.length),
		.data = eventstream_copy(&p->data, p->data.length - 1),
		.length = p->data.length - 1,
	};
}

/* "Dispatch the event". */
static inline void eventstream_dispatch(struct eventstream *p)
{
	p->empty_lines++;
	eventstream_set(&p->id, p->id_buffer.bytes, p->id_buffer.length);
	if (p->data.length > 0)
		eventstream_add(p);
	p->data.length = p->type.length = 0;
}

static inline bool eventstream_is(const char *name, size_t length, const char *field)
{
	return length == strlen(field) && !memcmp(name, field, length);
}

/* "Process the field". */
static inline void eventstream_field(struct eventstream *p, const char *name, size_t name_length,
	const char *value, size_t length)
{
	if (eventstream_is(name, name_length, "data")) {
		eventstream_append(&p->data, value, length);
		eventstream_append(&p->data, "\n", 1);
	} else if (eventstream_is(name, name_length, "event")) {
		eventstream_set(&p->type, value, length);
	} else if (eventstream_is(name, name_length, "id")) {
		if (length == 0 || !memchr(value, '\0', length))
			eventstream_set(&p->id_buffer, value, length);
	} else if (eventstream_is(name, name_length, "retry")) {
		if (length > 0 && strspn(value, "0123456789") == length)
			p->retry_ms = strtoll(value, NULL, 10);
	} else {
		p->unknown++;
	}
}

static inline void eventstream_line(struct eventstream *p)
{
	const char *line = p->line.bytes, *end = line + p->line.length, *colon, *value;

	if (p->line.length == 0) {
		eventstream_dispatch(p);
		return;
	}
	colon = memchr(line, ':', p->line.length);
	if (colon == line) {
		p->comments++;
	} else {
		value = colon ? colon + 1 : end;
		if (value < end && *value == ' ')
			value++;
		eventstream_field(p, line, (size_t)((colon ? colon : end) - line), value,
			(size_t)(end - value));
	}
	p->line.length = 0;
}

/* "Decode": one byte order mark at the very beginning is not part of the text. */
static inline void eventstream_drop_mark(struct eventstream *p)
{
	if (p->line.length == 3 && !memcmp(p->line.bytes, "\xef\xbb\xbf", 3))
		p->line.length = 0;
}

/* How many bytes are not a line break; only one if a byte order mark is possible. */
static inline size_t eventstream_span(const struct eventstream *p, const char *bytes, size_t length)
{
	const char *lf, *cr;

	if (p->fed < 3)
		length = 1;
	lf = memchr(bytes, '\n', length);
	length = lf ? (size_t)(lf - bytes) : length;
	cr = memchr(bytes, '\r', length);
	return cr ? (size_t)(cr - bytes) : length;
}

static inline void eventstream_feed(struct eventstream *p, const char *bytes, size_t length)
{
	while (length > 0) {
		size_t span = eventstream_span(p, bytes, length), used = span ? span : 1;

		if (span > 0)
			eventstream_append(&p->line, bytes, span);
		else if (*bytes == '\r' || !p->after_cr)
			eventstream_line(p);
		p->after_cr = span == 0 && *bytes == '\r';
		if (p->fed < 3 && (p->fed += used) == 3)
			eventstream_drop_mark(p);
		bytes += used;
		length -= used;
	}
}

#endif
