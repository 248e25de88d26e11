/*
 * follower: checks what a client of a stream sees against a model of the log: every matching row
 * after its position, once, in order, unchanged; a gap if rows of its channels were deleted before
 * it received them; and the end of the stream if all its channels have ended. The test that
 * includes it keeps `model` up to date.
 */
#ifndef ROWTAIL_TESTS_FOLLOWER_H
#define ROWTAIL_TESTS_FOLLOWER_H

#include <fastcgi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eventstream.h"

enum { ROWS_MAX = 60000, CHANNELS = 6, TYPES = 3, END = TYPES, FILTERS = 12, HEAD = 18 };

static const char *const channels[CHANNELS] = {"a", "a/b", "a/b/c", "b", "b/x", "default"};
static const char *const types[TYPES + 1] = {NULL, "paid", "sent", "end"};
static const struct {
	const char *channels[3];
	const char *events[2];
} filters[FILTERS] = {{{"*"}, {NULL}}, {{"a"}, {NULL}}, {{"a/*"}, {NULL}}, {{"a/*", "b"}, {NULL}},
	{{"a/b", "a/b/*"}, {NULL}}, {{"default"}, {"paid"}}, {{"*"}, {"message"}},
	{{"b/*", "default"}, {"message", "sent"}}, {{"*", "a/*"}, {"sent"}}, {{"a", "b"}, {NULL}},
	{{"b"}, {"paid"}}, {{"a/b", "default"}, {"message", "sent"}}};

/* All rows ever inserted: row n has id n. */
struct model_row {
	char channel, type; /* of the arrays above */
	bool deleted;
	size_t length;
};

static struct {
	struct model_row rows[ROWS_MAX + 1];
	int64_t newest;
	int64_t ends[CHANNELS]; /* the row that ended the channel; 0: it is open */
	size_t reopenings; /* of channels that had ended */
} model;

/* One stream as its client sees it. */
struct follower {
	int filter; /* of the array above */
	bool envelope;
	uint16_t request_id; /* of FastCGI records; 0: none */
	bool chunked; /* HTTP chunks */
	uint8_t frame[FCGI_HEADER_LEN]; /* header of the incoming record or chunk */
	size_t framed; /* bytes of it */
	size_t left, padding; /* content, and what is after it, still missing */
	bool ended; /* FCGI_END_REQUEST or the last chunk came */
	size_t head; /* bytes of the CGI head so far */
	struct eventstream parser;
	size_t seen; /* events that were checked */
	bool begun; /* position or gap came */
	int64_t position; /* what the client would send as Last-Event-ID */
	int64_t excused; /* missing rows up to here were reported */
	size_t rows, gaps;
};

/* A row's payload, made from its id alone. */
static inline char *payload(int64_t id, size_t length)
{
	char *data = malloc(length + 1);

	for (size_t i = 0; i < length; i++)
		data[i] = (i * 31 + (size_t)id) % 37 == 0 ? '\n'
							  : (char)('a' + (i + (size_t)id) % 26);
	data[length] = '\0';
	return data;
}

static inline bool follows_channel(const struct follower *c, const struct model_row *row)
{
	for (int i = 0; i < 3 && filters[c->filter].channels[i]; i++) {
		const char *pattern = filters[c->filter].channels[i];
		const char *channel = channels[(int)row->channel];
		size_t length = strlen(pattern);

		if (pattern[length - 1] == '*' ? !strncmp(pattern, channel, length - 1)
					       : !strcmp(pattern, channel))
			return true;
	}
	return false;
}

static inline bool wants(const struct follower *c, const struct model_row *row)
{
	const char *type = types[(int)row->type] ? types[(int)row->type] : "message";

	if (!follows_channel(c, row))
		return false;
	if (row->type == END)
		return true;
	for (int i = 0; i < 2 && filters[c->filter].events[i]; i++)
		if (!strcmp(filters[c->filter].events[i], type))
			return true;
	return !filters[c->filter].events[0];
}

/* The last end of its channels; 0: not all of them have ended. */
static inline int64_t last_end(const struct follower *c)
{
	int64_t last = 0;

	for (int i = 0; i < 3 && filters[c->filter].channels[i]; i++) {
		int channel = 0;

		while (channel < CHANNELS &&
			strcmp(channels[channel], filters[c->filter].channels[i]) != 0)
			channel++;
		/* A pattern never ends. */
		if (channel == CHANNELS || !model.ends[channel])
			return 0;
		if (model.ends[channel] > last)
			last = model.ends[channel];
	}
	return last;
}

/* The newest deleted row of its channels. */
static inline int64_t watermark(const struct follower *c)
{
	int64_t id = model.newest;

	while (id > 0 && !(model.rows[id].deleted && follows_channel(c, &model.rows[id])))
		id--;
	return id;
}

/* Between the client's position and `id` only reported rows may be missing. */
static inline void pass_over(const struct follower *c, int64_t id)
{
	for (int64_t i = c->position + 1; i < id; i++) {
		if (!wants(c, &model.rows[i]))
			continue;
		if (!model.rows[i].deleted)
			fail_msg("row %lld is missing before %lld", (long long)i, (long long)id);
		if (i > c->excused)
			fail_msg("deleted row %lld: no gap before %lld", (long long)i,
				(long long)id);
	}
}

static inline void check_row(struct follower *c, const struct eventstream_event *e, int64_t id)
{
	const struct model_row *row = &model.rows[id];
	char *data;

	assert_in_range(id, c->position + 1, model.newest);
	assert_true(wants(c, row));
	pass_over(c, id);
	assert_string_equal(e->type, types[(int)row->type] ? types[(int)row->type] : "message");
	if (!c->envelope) {
		data = payload(id, row->length);
		assert_int_equal(e->length, row->length);
		assert_memory_equal(e->data, data, row->length);
		free(data);
	} else {
		assert_true(e->length > row->length && !strncmp(e->data, "{\"id\":", 6));
		assert_int_equal(e->data[e->length - 1], '}');
		assert_int_equal(atoll(e->data + 6), id);
	}
	c->rows++;
}

static inline void check_gap(struct follower *c, const struct eventstream_event *e, int64_t id)
{
	int64_t highest = watermark(c);

	assert_non_null(strstr(e->data, "\"reason\":\"pruned\""));
	assert_in_range(id, c->position, highest);
	/* A client that has missed nothing gets no gap. */
	assert_true(highest > c->position);
	c->excused = highest;
	c->gaps++;
	pass_over(c, id + 1);
}

static inline void check_events(struct follower *c)
{
	for (; c->seen < c->parser.count; c->seen++) {
		const struct eventstream_event *e = &c->parser.events[c->seen];
		int64_t id = atoll(e->id);

		if (!strcmp(e->type, "denied")) {
			assert_int_equal(c->seen + 1, c->parser.count);
			continue;
		}
		if (!strcmp(e->type, "gap")) {
			check_gap(c, e, id);
		} else if (!strcmp(e->type, "position")) {
			assert_in_range(id, c->position, model.newest);
			pass_over(c, id + 1);
		} else {
			assert_true(c->begun);
			check_row(c, e, id);
		}
		c->begun = true;
		c->position = id;
	}
	assert_int_equal(c->parser.unknown, 0);
	/* Some clients take an empty line alone for an event. */
	assert_int_equal(c->parser.empty_lines, c->parser.count);
}

static inline void content(struct follower *c, const char *bytes, size_t length)
{
	size_t skip = HEAD - c->head < length ? HEAD - c->head : length;

	c->head += skip;
	eventstream_feed(&c->parser, bytes + skip, length - skip);
}

/* A header such as "1f40\r\n" is complete. */
static inline void begin_chunk(struct follower *c)
{
	char *after;

	c->left = strtoul((const char *)c->frame, &after, 16);
	assert_ptr_equal(after, (char *)c->frame + c->framed - 2);
	assert_int_equal(*after, '\r');
	c->padding = 2;
	c->ended = c->left == 0;
	c->framed = 0;
}

static inline void receive_chunks(struct follower *c, const uint8_t *bytes, size_t length)
{
	for (size_t n; length > 0; bytes += n, length -= n) {
		size_t part = c->head < HEAD ? HEAD - c->head : c->left;

		n = part < length ? part : length;
		if (n > 0) {
			c->left -= c->head < HEAD ? 0 : n;
			content(c, (const char *)bytes, n);
			continue;
		}
		n = 1;
		if (c->padding > 0) {
			assert_int_equal(*bytes, "\n\r"[--c->padding]);
			continue;
		}
		assert_false(c->ended);
		assert_in_range(c->framed, 0, sizeof(c->frame) - 1);
		c->frame[c->framed++] = *bytes;
		if (*bytes == '\n')
			begin_chunk(c);
	}
}

/* Nothing is missing in the last record or chunk. */
static inline bool is_whole(const struct follower *c)
{
	return c->framed + c->left + c->padding == 0;
}

/* Removes the framing, in any pieces. */
static inline void receive(struct follower *c, const uint8_t *bytes, size_t length)
{
	if (c->chunked) {
		receive_chunks(c, bytes, length);
		return;
	}
	for (; length > 0 && c->request_id; bytes++, length--) {
		if (c->left > 0 && c->frame[1] == FCGI_STDOUT) {
			size_t n = c->left < length ? c->left : length;

			content(c, (const char *)bytes, n);
			c->left -= n;
			bytes += n - 1;
			length -= n - 1;
		} else if (c->left + c->padding > 0) {
			c->left ? c->left-- : c->padding--;
		} else {
			assert_false(c->ended);
			c->frame[c->framed++] = *bytes;
			if (c->framed < FCGI_HEADER_LEN)
				continue;
			c->framed = 0;
			assert_int_equal(c->frame[0], FCGI_VERSION_1);
			assert_int_equal(c->frame[2] << 8 | c->frame[3], c->request_id);
			c->ended = c->frame[1] == FCGI_END_REQUEST;
			assert_true(c->ended || c->frame[1] == FCGI_STDOUT);
			c->left = (size_t)c->frame[4] << 8 | c->frame[5];
			c->padding = c->frame[6];
		}
	}
	if (length > 0)
		content(c, (const char *)bytes, length);
}

#endif
