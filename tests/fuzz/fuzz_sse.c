/* links: protocol/sse protocol/wire log/row log/gap base/utf8 base/buffer */
/* libs: -ljansson */
/*
 * The input is a row: how to split it, the length of its event type, the type, and the data.
 * Encoded, and parsed as a client does in any pieces, it must be one event with the row's id and
 * text: line breaks as LF, ill-formed UTF-8 as U+FFFD. In an envelope its data must be JSON with
 * the same contents.
 */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "../unit/eventstream.h"
#include "base/utf8.h"
#include "protocol/sse.h"
#include "require.h"

enum { FLAG_ENVELOPE = 1, FLAG_EVENT = 2, FLAG_RETRY = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of the text with ill-formed parts replaced. */
static char *repair(const char *text, size_t length, size_t *repaired)
{
	char *out = require_memory(length * 3);

	*repaired = 0;
	for (size_t at = 0; at < length;) {
		int step = utf8_step((const uint8_t *)text + at, length - at);
		const char *from = step > 0 ? text + at : UTF8_REPLACEMENT;
		size_t count = step > 0 ? (size_t)step : strlen(UTF8_REPLACEMENT);

		memcpy(out + *repaired, from, count);
		*repaired += count;
		at += (size_t)(step > 0 ? step : -step);
	}
	return out;
}

/* CR and CRLF become LF, in place. */
static size_t break_lines(char *text, size_t length)
{
	size_t out = 0;

	for (size_t at = 0; at < length; at++) {
		if (text[at] == '\r' && at + 1 < length && text[at + 1] == '\n')
			continue;
		text[out++] = text[at] == '\r' ? '\n' : text[at];
	}
	return out;
}

static void require_text(const struct row *row, const struct eventstream_event *e)
{
	size_t length;
	char *wanted = repair(row->data, row->data_length, &length);

	length = break_lines(wanted, length);
	require(e->length == length && !memcmp(e->data, wanted, length),
		"the data arrives as it was");
	free(wanted);
}

static void require_json(const struct row *row, const struct eventstream_event *e)
{
	json_t *json =
		json_loadb(e->data, e->length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	json_t *data = json_object_get(json, "data");
	size_t length;
	char *wanted = repair(row->data, row->data_length, &length);

	require(json != NULL, "an envelope is JSON");
	require(json_integer_value(json_object_get(json, "id")) == row->id, "it has the id");
	require(json_is_string(data) && json_string_length(data) == length &&
			!memcmp(json_string_value(data), wanted, length),
		"the data is in it as it was");
	free(wanted);
	json_decref(json);
}

static void try(const struct row *row, bool envelope, size_t piece)
{
	struct buffer b;
	struct eventstream p;
	char id[24];

	buffer_init(&b, 1 << 26);
	sse_row(&b, row, envelope);
	require(!b.failed, "there is memory");
	eventstream_init(&p);
	for (size_t at = 0; at < b.length; at += piece)
		eventstream_feed(&p, (const char *)b.data + at,
			b.length - at < piece ? b.length - at : piece);
	require(p.count == 1 && p.empty_lines == 1, "a row is one event");
	snprintf(id, sizeof(id), "%lld", (long long)row->id);
	require(!strcmp(p.events[0].id, id), "it has the row's id");
	require(p.retry_ms == row->retry_ms, "it has the row's reconnection time");
	require(!memchr(p.events[0].type, '\n', p.events[0].type_length) &&
			!row_type_is_reserved(p.events[0].type, p.events[0].type_length),
		"its type is one that a row may have");
	(envelope ? require_json : require_text)(row, &p.events[0]);
	eventstream_free(&p);
	buffer_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct row row = {.id = 42, .channel = "a", .channel_length = 1, .retry_ms = -1};
	size_t type_length;

	if (size < 2)
		return 0;
	type_length = data[1] < size - 2 ? data[1] : size - 2;
	/* eventlog never passes a reserved type to sse_row(). */
	if (data[0] & FLAG_EVENT && !row_type_is_reserved((const char *)data + 2, type_length)) {
		row.event = (const char *)data + 2;
		row.event_length = type_length;
	}
	if (data[0] & FLAG_RETRY)
		row.retry_ms = data[1];
	row.data = (const char *)data + 2 + type_length;
	row.data_length = size - 2 - type_length;
	try(&row, data[0] & FLAG_ENVELOPE, 1 + (data[0] >> 3) * (data[0] >> 3));
	return 0;
}
