/* links: request/request request/parameters request/path request/form base/json base/text log/channel base/utf8 */
/* libs: -ljansson */
/*
 * The input is lines of parameters, an empty line, and a body. An accepted request must keep the
 * promises of request.h, and mean the same when written again as a plain query. A refusal must have
 * a known status and a message that is safe to show.
 */
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "log/channel.h"
#include "request/request.h"
#include "require.h"

enum { PARAMS_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_utf8(const char *text, size_t length)
{
	return utf8_valid_prefix((const uint8_t *)text, length) == length;
}

static void check_problem(const struct request_problem *problem)
{
	static const int statuses[] = {400, 405, 413, 415, 500, 503};
	bool known = false;

	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		known = known || problem->status == statuses[i];
	require(known, "the status is a known one");
	require(problem->sentence[0] != '\0', "there is a sentence");
	require(is_utf8(problem->sentence, strlen(problem->sentence)), "a sentence is UTF-8");
	for (const char *p = problem->sentence; *p; p++)
		require((uint8_t)*p >= 0x20 && *p != 0x7f, "a sentence is a line of text");
}

static void check_list(const struct request_list *list, size_t max)
{
	require(list->count <= max, "a list has its maximum");
	for (size_t i = 0; i < list->count; i++) {
		require(strlen(list->text[i]) == list->length[i], "a text ends where it ends");
		require(is_utf8(list->text[i], list->length[i]), "a text is UTF-8");
		require(i == 0 || strcmp(list->text[i - 1], list->text[i]) < 0,
			"a list ascends, each text once");
	}
}

static void check_request(const struct request *r)
{
	bool stream = r->method != REQUEST_OPTIONS && r->page == REQUEST_STREAM;
	bool told = r->position.kind == POSITION_MALFORMED || r->position.kind == POSITION_BEYOND;

	check_list(&r->channels, REQUEST_CHANNELS_MAX);
	check_list(&r->events, REQUEST_EVENTS_MAX);
	require(stream == (r->channels.count > 0), "a stream follows something");
	for (size_t i = 0; i < r->channels.count; i++)
		require(channel_is_pattern(r->channels.text[i], r->channels.length[i]),
			"a channel is one");
	for (size_t i = 0; i < r->events.count; i++)
		require(r->events.length[i] > 0 && !strpbrk(r->events.text[i], "\r\n"),
			"an event type is one");
	require(r->position.id >= 0 && r->position.tail >= -1, "numbers are in their ranges");
	require(told == (r->position.text[0] != '\0'), "what does not hold is repeated");
	require(is_utf8(r->position.text, strlen(r->position.text)), "what is repeated is UTF-8");
	require(!r->remote_user || *r->remote_user, "a user has a name");
}

static void write_pair(FILE *to, const char *name, const char *text)
{
	fprintf(to, "&%s=", name);
	for (; *text; text++)
		fprintf(to, "%%%02X", (unsigned)(uint8_t)*text);
}

static void write_list(FILE *to, const char *name, const struct request_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		write_pair(to, name, list->text[i]);
}

/* One item of the request as a query parameter; to be freed. */
static char *plain_query(const struct request *r, size_t *size)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, size);

	require(to != NULL, "there is memory");
	fprintf(to, "QUERY_STRING=positions=%d", r->positions);
	write_list(to, "channel", &r->channels);
	write_list(to, "event", &r->events);
	if (r->position.kind == POSITION_AT)
		fprintf(to, "&since=%lld", (long long)r->position.id);
	else
		write_pair(to, "since", r->position.text);
	if (r->position.tail >= 0)
		fprintf(to, "&tail=%lld", (long long)r->position.tail);
	if (r->envelope)
		write_pair(to, "envelope", "json");
	if (r->access_token)
		write_pair(to, "access_token", r->access_token);
	require(fclose(to) == 0, "there is memory");
	return text;
}

static void require_same_list(const struct request_list *a, const struct request_list *b)
{
	require(a->count == b->count, "asked anew, a list has the same count");
	for (size_t i = 0; i < a->count; i++)
		require(!strcmp(a->text[i], b->text[i]), "asked anew, a list has the same texts");
}

static void require_same(const struct request *a, const struct request *b)
{
	require_same_list(&a->channels, &b->channels);
	require_same_list(&a->events, &b->events);
	require(a->position.kind == b->position.kind && a->position.id == b->position.id &&
			a->position.tail == b->position.tail && a->envelope == b->envelope &&
			a->positions == b->positions,
		"asked anew, the numbers and switches are the same");
	require(!a->access_token == !b->access_token &&
			(!a->access_token || !strcmp(a->access_token, b->access_token)),
		"asked anew, the token is the same");
}

static void ask_anew(const struct request *r)
{
	struct request_problem problem;
	struct request again;
	size_t size;
	char *query = plain_query(r, &size);
	char *params[] = {query, NULL};

	/* A truncated position may now be another one: many zeros, say, of a long number. */
	if (size <= REQUEST_SIZE_MAX && strlen(r->position.text) <= POSITION_TEXT_MAX - 4) {
		require(request_parse(&again, params, NULL, 0, &problem) == 0,
			"what was understood is understood again");
		require_same(r, &again);
		request_free(&again);
	}
	free(query);
}

static void try_request(char *const *params, const void *body, size_t length)
{
	struct request_problem problem;
	struct request r;

	memset(&problem, 0, sizeof(problem));
	if (request_parse(&r, params, body, length, &problem) != 0) {
		check_problem(&problem);
		require(r.remote_addr != NULL, "an address is there, be it empty");
	} else {
		check_request(&r);
		if (r.method != REQUEST_OPTIONS && r.page == REQUEST_STREAM)
			ask_anew(&r);
	}
	request_free(&r);
}

/* A copy of a line that ends where its memory ends; a NUL ends it earlier. */
static char *param_of(const uint8_t *line, size_t length)
{
	char *param = require_memory(length + 1);

	memcpy(param, line, length);
	param[length] = '\0';
	return param;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *params[PARAMS_MAX + 1] = {NULL};
	const uint8_t *at = data, *end = data + size, *newline;
	size_t count = 0, length;
	void *body;

	while (count < PARAMS_MAX && at < end && *at != '\n') {
		newline = memchr(at, '\n', (size_t)(end - at));
		length = (size_t)((newline ? newline : end) - at);
		params[count++] = param_of(at, length);
		at += length + (newline ? 1 : 0);
	}
	if (at < end && *at == '\n')
		at++;
	length = (size_t)(end - at);
	body = require_memory(length);
	if (length > 0)
		memcpy(body, at, length);
	try_request(params, body, length);
	for (size_t i = 0; i < count; i++)
		free(params[i]);
	free(body);
	return 0;
}
