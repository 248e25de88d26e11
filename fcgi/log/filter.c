#include "log/filter.h"

#include <stdlib.h>
#include <string.h>

#include "log/channel.h"
#include "log/row.h"

static size_t texts_size(const size_t *lengths, size_t count)
{
	size_t size = 1;

	for (size_t i = 0; i < count; i++)
		size += lengths[i] + 1;
	return size;
}

/*
 * Copies the texts one after the other, each with a NUL, and a NUL at the end. They contain none.
 */
static char *lay(char *at, struct filter_text *out, const char *const *texts, const size_t *lengths,
	size_t count)
{
	for (size_t i = 0; i < count; i++) {
		memcpy(at, texts[i], lengths[i]);
		at[lengths[i]] = '\0';
		out[i].text = at;
		out[i].length = lengths[i];
		at += lengths[i] + 1;
	}
	*at++ = '\0';
	return at;
}

struct filter *filter_new(const char *const *channels, const size_t *channel_lengths,
	size_t channel_count, const char *const *events, const size_t *event_lengths,
	size_t event_count)
{
	size_t key_length =
		texts_size(channel_lengths, channel_count) + texts_size(event_lengths, event_count);
	size_t texts = (channel_count + event_count) * sizeof(struct filter_text);
	struct filter *f = malloc(sizeof(*f) + texts + key_length + FILTER_KEY_ROOM);
	char *at;

	if (!f)
		return NULL;
	f->channels = (struct filter_text *)(f + 1);
	f->channel_count = channel_count;
	f->events = f->channels + channel_count;
	f->event_count = event_count;
	f->key = at = (char *)(f->events + event_count);
	f->key_length = key_length;
	at = lay(at, f->channels, channels, channel_lengths, channel_count);
	lay(at, f->events, events, event_lengths, event_count);
	f->has_ends = false;
	f->wild = false;
	for (size_t i = 0; i < channel_count; i++)
		f->wild |= channel_is_wild(channels[i], channel_lengths[i]);
	return f;
}

void filter_follow_ends(struct filter *f)
{
	f->has_ends = true;
	/* The last byte only ends the list of types. */
	if (f->event_count > 0)
		f->key[f->key_length - 1] = 1;
}

bool filter_has_all(const struct filter *f)
{
	for (size_t i = 0; i < f->channel_count; i++)
		if (f->channels[i].length == 1 && f->channels[i].text[0] == '*')
			return true;
	return false;
}

bool filter_has_channel(const struct filter *f, const char *channel, size_t length)
{
	for (size_t i = 0; i < f->channel_count; i++)
		if (channel_covers(f->channels[i].text, f->channels[i].length, channel, length))
			return true;
	return false;
}

bool filter_is_covered(const struct filter *f, const struct filter_text *pattern)
{
	if (!f->wild)
		return false;
	for (const struct filter_text *c = f->channels; c < f->channels + f->channel_count; c++)
		if (c != pattern && channel_is_wild(c->text, c->length) &&
			channel_covers(c->text, c->length, pattern->text, pattern->length))
			return true;
	return false;
}

bool filter_has_type(const struct filter *f, const char *type, size_t length)
{
	if (f->event_count == 0)
		return true;
	if (!type) {
		type = "message";
		length = strlen(type);
	}
	if (f->has_ends && row_type_is_end(type, length))
		return true;
	for (size_t i = 0; i < f->event_count; i++)
		if (f->events[i].length == length && !memcmp(f->events[i].text, type, length))
			return true;
	return false;
}

bool filter_wants(const struct filter *f, const char *channel, size_t channel_length,
	const char *type, size_t type_length)
{
	return filter_has_channel(f, channel, channel_length) &&
	       filter_has_type(f, type, type_length);
}
