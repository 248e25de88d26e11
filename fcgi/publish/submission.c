#include "publish/submission_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "base/utf8.h"
#include "log/channel.h"
#include "request/path.h"
#include "request/request.h"

static const char *const names[SUBMISSION_FIELDS] = {"channel", "event", "data", "retry"};

bool submission_refuse(struct submission_reading *r, int status, const char *format, ...)
{
	va_list args;

	r->problem->status = status;
	va_start(args, format);
	vsnprintf(r->problem->sentence, sizeof(r->problem->sentence), format, args);
	va_end(args);
	return false;
}

bool submission_refuse_memory(struct submission_reading *r)
{
	return submission_refuse(
		r, 503, "there is no memory left for this request; try again later");
}

int submission_field(const char *name, size_t length)
{
	for (int i = 0; i < SUBMISSION_FIELDS; i++)
		if (strlen(names[i]) == length && !memcmp(names[i], name, length))
			return i;
	return -1;
}

int submission_near(const char *name, size_t length)
{
	if (length > 2 && name[length - 2] == '[' && name[length - 1] == ']')
		length -= 2;
	for (int i = 0; i < SUBMISSION_FIELDS; i++) {
		size_t known = strlen(names[i]);
		bool plural = length == known + 1 && (name[known] | 0x20) == 's';

		if ((length == known || plural) && !strncasecmp(names[i], name, known))
			return i;
	}
	return -1;
}

bool submission_refuse_near(struct submission_reading *r, int near, const char *name, size_t length)
{
	struct text_quote q;

	return submission_refuse(r, 400, "there is no field \"%s\"; write \"%s\"",
		text_quote(&q, name, length), names[near]);
}

bool submission_set(struct submission_reading *r, struct submission_draft *d, int field,
	const char *text, size_t length)
{
	struct submission_text *f = &d->field[field];

	if (utf8_valid_prefix((const uint8_t *)text, length) != length)
		return submission_refuse(
			r, 400, "%s: this is not UTF-8; send text in UTF-8", names[field]);
	if (memchr(text, '\0', length))
		return submission_refuse(r, 400,
			"%s: a NUL character cannot be published; send binary data as base64",
			names[field]);
	if (f->text && (f->length != length || memcmp(f->text, text, length) != 0))
		return submission_refuse(r, 400,
			"%s is given twice, with different values; give it once, in the URL or in "
			"the body",
			names[field]);
	*f = (struct submission_text){text, length};
	return true;
}

static bool note_channel(struct submission_reading *r, const struct submission_text *channel)
{
	struct submission *s = r->s;

	for (size_t i = 0; i < s->channel_count; i++)
		if (s->channel_length[i] == channel->length &&
			!memcmp(s->channel[i], channel->text, channel->length))
			return true;
	if (s->channel_count == REQUEST_CHANNELS_MAX)
		return submission_refuse(r, 400, "one request publishes to at most %d channels",
			REQUEST_CHANNELS_MAX);
	s->channel[s->channel_count] = channel->text;
	s->channel_length[s->channel_count++] = channel->length;
	return true;
}

static bool take_retry(
	struct submission_reading *r, struct message *m, const struct submission_text *retry)
{
	struct text_quote q;

	m->retry_ms = -1;
	if (!retry->text || text_digits(retry->text, retry->length, &m->retry_ms) == TEXT_NUMBER)
		return true;
	return submission_refuse(r, 400,
		"retry: \"%s\" is not a number of milliseconds; write 0 to 3600000 in digits",
		text_quote(&q, retry->text, retry->length));
}

bool submission_add(struct submission_reading *r, const struct submission_draft *d)
{
	static const struct submission_text usual = {"default", 7}, empty = {"", 0};
	const struct submission_text *f = d->field;
	struct message *m = &r->s->message[r->s->count];
	struct text_quote q;

	if (!f[SUBMISSION_DATA].text && !f[SUBMISSION_EVENT].text)
		return submission_refuse(r, 400,
			"there is nothing to publish: give data, which may be empty, or an event");
	m->channel = f[SUBMISSION_CHANNEL].text ? f[SUBMISSION_CHANNEL] : usual;
	m->event = f[SUBMISSION_EVENT];
	m->data = f[SUBMISSION_DATA].text ? f[SUBMISSION_DATA] : empty;
	if (!channel_is_name(m->channel.text, m->channel.length))
		return submission_refuse(r, 400,
			"channel: \"%s\" is not a channel: 1 to %d bytes of UTF-8 without control"
			" characters and without *",
			text_quote(&q, m->channel.text, m->channel.length), CHANNEL_MAX);
	if (!take_retry(r, m, &f[SUBMISSION_RETRY]) || !note_channel(r, &m->channel))
		return false;
	r->s->count++;
	return true;
}

bool submission_room(struct submission_reading *r, size_t count)
{
	r->s->message = calloc(count, sizeof(*r->s->message));
	return r->s->message || submission_refuse_memory(r);
}

static bool read_path(struct submission_reading *r, char *const *params)
{
	struct path path = {
		.request_uri = request_param_or_empty(params, "REQUEST_URI"),
		.script_name = request_param_or_empty(params, "SCRIPT_NAME"),
		.path_info = request_param_or_empty(params, "PATH_INFO"),
		.mount = request_param_or_empty(params, "ROWTAIL_MOUNT"),
	};
	size_t length;

	if (!(r->s->memory->path = path_behind_mount(&path, &length)))
		return submission_refuse_memory(r);
	if (length <= 1)
		return true;
	return submission_set(r, &r->base, SUBMISSION_CHANNEL, r->s->memory->path + 1, length - 1);
}

/* A structured field is a string in quotes (RFC 8941); many clients send a bare word. */
static bool read_key(struct submission_reading *r, const char *key)
{
	size_t length;

	key += strspn(key, " \t");
	length = strlen(key);
	while (length > 0 && text_is_blank(key[length - 1]))
		length--;
	if (length >= 2 && key[0] == '"' && key[length - 1] == '"') {
		key++;
		length -= 2;
	}
	for (size_t i = 0; i < length; i++)
		if (key[i] < 0x20 || key[i] > 0x7e)
			length = 0;
	if (length == 0 || length > SUBMISSION_KEY_MAX)
		return submission_refuse(r, 400,
			"Idempotency-Key: 1 to %d printable ASCII characters, such as a UUID",
			SUBMISSION_KEY_MAX);
	memcpy(r->s->key, key, length);
	r->s->key[length] = '\0';
	return true;
}

static bool read_all(
	struct submission_reading *r, char *const *params, const char *body, size_t length)
{
	const char *key = request_param(params, "HTTP_IDEMPOTENCY_KEY");
	const char *query = request_param_or_empty(params, "QUERY_STRING");

	return (!key || read_key(r, key)) && read_path(r, params) &&
	       submission_query(r, query, strlen(query)) &&
	       submission_body(r, request_param_or_empty(params, "CONTENT_TYPE"), body, length);
}

int submission_parse(struct submission *s, char *const *params, const void *body, size_t length,
	struct request_problem *problem)
{
	struct submission_reading r = {.s = s, .problem = problem};

	memset(s, 0, sizeof(*s));
	memset(problem, 0, sizeof(*problem));
	if (!(s->memory = calloc(1, sizeof(*s->memory)))) {
		submission_refuse_memory(&r);
		return -1;
	}
	return read_all(&r, params, length ? body : "", length) ? 0 : -1;
}

void submission_free(struct submission *s)
{
	if (s->memory) {
		free(s->memory->path);
		free(s->memory->query);
		free(s->memory->form);
		json_free(&s->memory->members);
	}
	free(s->memory);
	free(s->message);
	memset(s, 0, sizeof(*s));
}
