/*
 * An event-stream parser, written from the HTML standard (section 9.2.6, "Interpreting an event
 * stream"), independent of the encoder: the oracle of the tests. Fed in any pieces; tells each event
 * that an EventSource would dispatch.
 */
#ifndef ROWTAIL_TESTS_EVENTSTREAM_H
#define ROWTAIL_TESTS_EVENTSTREAM_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct eventstream_event {
	char type[256];
	char id[64]; /* the last event ID when it was dispatched */
	char *data;
	size_t length;
};

struct eventstream {
	char *line; /* the line in the making */
	size_t line_length;
	char *data; /* the data buffer, each line with its LF */
	size_t data_length;
	bool has_data, after_cr, begun;
	char type[256], id_buffer[64], id[64];
	long long retry_ms; /* -1: never told */
	struct eventstream_event *events;
	size_t count;
	size_t comments, empty_lines;
};

static void eventstream_init(struct eventstream *p)
{
	memset(p, 0, sizeof(*p));
	p->retry_ms = -1;
}

static void eventstream_free(struct eventstream *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->events[i].data);
	free(p->events);
	free(p->line);
	free(p->data);
	eventstream_init(p);
}

static void eventstream_append(char **buffer, size_t *length, const char *bytes, size_t more)
{
	*buffer = realloc(*buffer, *length + more + 1);
	memcpy(*buffer + *length, bytes, more);
	*length += more;
	(*buffer)[*length] = '\0';
}

/* "Dispatch the event", as far as it is the stream's. */
static void eventstream_dispatch(struct eventstream *p)
{
	struct eventstream_event *e;

	p->empty_lines++;
	memcpy(p->id, p->id_buffer, sizeof(p->id));
	if (p->has_data) {
		p->events = realloc(p->events, (p->count + 1) * sizeof(*p->events));
		e = &p->events[p->count++];
		memset(e, 0, sizeof(*e));
		strcpy(e->type, *p->type ? p->type : "message");
		memcpy(e->id, p->id, sizeof(e->id));
		e->length = p->data_length - 1;
		e->data = malloc(e->length + 1);
		memcpy(e->data, p->data, e->length);
		e->data[e->length] = '\0';
	}
	p->has_data = false;
	p->data_length = 0;
	p->type[0] = '\0';
}

static bool eventstream_is(const struct eventstream *p, size_t name_length, const char *name)
{
	return name_length == strlen(name) && !memcmp(p->line, name, name_length);
}

static void eventstream_field(struct eventstream *p, size_t name_length)
{
	size_t skip = name_length < p->line_length ? 1 : 0;
	const char *value = p->line + name_length + skip;
	size_t length = p->line_length - name_length - skip;

	if (length > 0 && value[0] == ' ') {
		value++;
		length--;
	}
	if (eventstream_is(p, name_length, "data")) {
		eventstream_append(&p->data, &p->data_length, value, length);
		eventstream_append(&p->data, &p->data_length, "\n", 1);
		p->has_data = true;
	} else if (eventstream_is(p, name_length, "event") && length < sizeof(p->type)) {
		memcpy(p->type, value, length);
		p->type[length] = '\0';
	} else if (eventstream_is(p, name_length, "id") && !memchr(value, '\0', length) &&
		   length < sizeof(p->id_buffer)) {
		memset(p->id_buffer, 0, sizeof(p->id_buffer));
		memcpy(p->id_buffer, value, length);
	} else if (eventstream_is(p, name_length, "retry") && length > 0 &&
		   strspn(value, "0123456789") == length) {
		p->retry_ms = atoll(value);
	}
}

static void eventstream_line(struct eventstream *p)
{
	const char *colon;

	if (p->line_length == 0) {
		eventstream_dispatch(p);
		return;
	}
	colon = memchr(p->line, ':', p->line_length);
	if (colon == p->line)
		p->comments++;
	else
		eventstream_field(p, colon ? (size_t)(colon - p->line) : p->line_length);
	p->line_length = 0;
}

static void eventstream_feed(struct eventstream *p, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		bool lf_of_crlf = bytes[i] == '\n' && p->after_cr;
		size_t span = i;

		p->after_cr = bytes[i] == '\r';
		if (lf_of_crlf)
			continue;
		if (bytes[i] == '\n' || bytes[i] == '\r') {
			eventstream_line(p);
			continue;
		}
		while (span + 1 < length && bytes[span + 1] != '\n' && bytes[span + 1] != '\r')
			span++;
		eventstream_append(&p->line, &p->line_length, bytes + i, span + 1 - i);
		i = span;
	}
}

#endif
