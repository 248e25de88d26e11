/* links: protocol/http protocol/http_head base/buffer */
/*
 * HTTP requests, whole and in two parts: both must give the same request. What is accepted has one
 * length and one host, and no byte that could end a line.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/http.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	require(!text[strcspn(text, "\r\n")], "no line end in a text");
}

static void check_request(const struct http_request *q, size_t used, size_t size)
{
	size_t lengths = 0, hosts = 0;

	require(used <= size, "no more is used than there is");
	check_text(q->method);
	check_text(q->target);
	require(*q->target, "a target is not empty");
	for (size_t i = 0; i < q->field_count; i++) {
		check_text(q->fields[i].name);
		check_text(q->fields[i].value);
		require(*q->fields[i].name, "a name is not empty");
		hosts += !strcasecmp(q->fields[i].name, "Host");
		lengths += !strcasecmp(q->fields[i].name, "Content-Length") ||
			   !strcasecmp(q->fields[i].name, "Transfer-Encoding");
	}
	require(lengths <= 1, "one length");
	require(hosts == 1 || (hosts == 0 && q->is_1_0), "one host");
	require(lengths == 1 || q->body_length == 0, "no body without a length");
	require(q->body_length <= HTTP_BODY_MAX, "a bounded body");
}

/* Reads everything in parts of this size. *used: up to where the request went. */
static enum http_state read_parts(
	struct http_reader *r, const uint8_t *data, size_t size, size_t part, size_t *used)
{
	enum http_state state = HTTP_MORE;
	size_t took;

	for (*used = 0; state == HTTP_MORE && *used < size; *used += took) {
		size_t length = size - *used < part ? size - *used : part;

		state = http_read(r, data + *used, length, &took);
		require(took <= length, "a part is not used twice");
		require(state != HTTP_MORE || took == length, "all is used");
	}
	return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_reader *whole = http_new(), *parts = http_new();
	size_t used_whole, used_parts;
	enum http_state state;

	if (!whole || !parts)
		return 0;
	state = read_parts(whole, data, size, size ? size : 1, &used_whole);
	require(read_parts(parts, data, size, 7, &used_parts) == state, "parts change nothing");
	if (state == HTTP_WHOLE) {
		const struct http_request *a = http_request(whole), *b = http_request(parts);

		check_request(a, used_whole, size);
		/* After chunks nothing more is read, so their end need not be exact. */
		require(!a->keep_alive || used_whole == used_parts,
			"the request ends at the same byte");
		require(a->body_length == b->body_length &&
				(!a->body_length || !memcmp(a->body, b->body, a->body_length)),
			"the same body");
		require(!strcmp(a->target, b->target) && a->field_count == b->field_count,
			"the same head");
	} else if (state == HTTP_BAD) {
		require(http_problem(whole)->status >= 400 && http_problem(whole)->sentence,
			"a refusal says why");
	}
	http_free(whole);
	http_free(parts);
	return 0;
}
