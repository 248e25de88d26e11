#include <stdio.h>
#include <string.h>

#include "log/channel.h"
#include "track/expression.h"
#include "track/triggers_impl.h"

/* --- the channel --- */

static bool advise(char *sentence, const char *what, int length, const char *part)
{
	snprintf(sentence, TRACK_SENTENCE_MAX, "track-channel: %s: %.*s", what, length, part);
	return false;
}

bool triggers_channel_is_good(const struct track_table *t, const char *channel, char *sentence)
{
	const char *p = channel;
	size_t length;

	while (*p) {
		length = strcspn(p, "{}");
		p += length;
		if (*p == '}')
			return advise(sentence, "a } without a { before it", (int)strlen(channel),
				channel);
		if (!*p)
			break;
		length = strcspn(p, "}");
		if (!p[length])
			return advise(sentence, "a { without a }", (int)strlen(channel), channel);
		if (track_table_find(t, p + 1, length - 1) == t->count)
			return advise(sentence, "the table has no such column", (int)length + 1, p);
		p += length + 1;
	}
	if (channel_is_name(channel, strlen(channel)))
		return true;
	return advise(sentence,
		"give 1 to 255 bytes without control characters or *, with columns in braces, such "
		"as shop/{customer_id}/orders",
		40, channel);
}

/* The default as a template's parts: each value is '/' and a part of the key. */
static void key_part(struct buffer *sql, size_t i, const void *context)
{
	const struct writing *w = context;

	buffer_text(sql, "'/' || ");
	expression_part(sql, w->row, w->t, track_table_key(w->t, (int)i + 1));
}

static void append_literal(struct buffer *sql, const char *text, size_t length, bool first)
{
	if (length == 0)
		return;
	buffer_text(sql, first ? "" : " || ");
	expression_text(sql, text, length);
}

static void template_channel(struct buffer *sql, const struct writing *w)
{
	const char *p = w->choice->channel;
	bool first = true;
	size_t length;

	while (*p) {
		length = strcspn(p, "{");
		append_literal(sql, p, length, first);
		first = first && length == 0;
		p += length;
		if (!*p)
			break;
		length = strcspn(p, "}");
		buffer_text(sql, first ? "" : " || ");
		expression_part(sql, w->row, w->t, track_table_find(w->t, p + 1, length - 1));
		first = false;
		p += length + 1;
	}
}

size_t triggers_key_count(const struct track_table *t)
{
	int n = 0;

	while (track_table_key(t, n + 1) < t->count)
		n++;
	return (size_t)n;
}

void triggers_table_part(struct buffer *sql, const struct track_table *t, const char *end)
{
	struct buffer text;

	buffer_init(&text, TRIGGERS_NAME_TEXT_MAX);
	expression_literal(&text, t->name);
	buffer_text(&text, end);
	expression_text(sql, (const char *)text.data, text.length);
	sql->failed |= text.failed;
	buffer_free(&text);
}

void triggers_channel(struct buffer *sql, const struct writing *w)
{
	if (w->choice->channel) {
		template_channel(sql, w);
		return;
	}
	triggers_table_part(sql, w->t, "");
	buffer_text(sql, " || ");
	expression_join(sql, triggers_key_count(w->t), w, key_part);
}

/* --- the row as JSON --- */

static const struct track_column *tracked_at(const struct track_table *t, size_t i)
{
	const struct track_column *c = t->columns;

	while (!c->tracked || i-- > 0)
		c++;
	return c;
}

static size_t tracked_count(const struct track_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		n += t->columns[i].tracked;
	return n;
}

static void member(struct buffer *sql, size_t i, const void *context)
{
	const struct writing *w = context;
	const struct track_column *c = tracked_at(w->t, i);
	bool conditional = w->before && w->choice->changes && !c->key;

	if (conditional) {
		buffer_text(sql, "CASE WHEN ");
		expression_differs(sql, w->before, w->row, c->name);
		buffer_text(sql, " THEN ");
	}
	expression_member(sql, w->row, c, w->choice->functions,
		TRIGGERS_CHARACTERS_MAX / tracked_count(w->t));
	if (conditional)
		buffer_text(sql, " ELSE '' END");
}

static void changed_name(struct buffer *sql, size_t i, const void *context)
{
	const struct writing *w = context;
	const struct track_column *c = tracked_at(w->t, i);
	struct buffer text;

	buffer_init(&text, TRIGGERS_NAME_TEXT_MAX);
	buffer_text(&text, ",");
	expression_json_name(&text, c->name);
	buffer_text(sql, "CASE WHEN ");
	expression_differs(sql, w->before, w->row, c->name);
	buffer_text(sql, " THEN ");
	expression_text(sql, (const char *)text.data, text.length);
	buffer_text(sql, " ELSE '' END");
	sql->failed |= text.failed;
	buffer_free(&text);
}

/* A name for the list of changed columns that is no column's. */
static const char *changed_member(const struct track_table *t)
{
	static const char *const names[] = {"_changed", "__changed", "___changed", "____changed"};
	size_t i = 0;

	while (i < 3 && track_table_find(t, names[i], strlen(names[i])) < t->count)
		i++;
	return names[i];
}

void triggers_object(struct buffer *sql, const struct writing *w)
{
	buffer_text(sql, "'{' || substr(");
	expression_join(sql, tracked_count(w->t), w, member);
	if (w->before) {
		buffer_printf(sql, "\n\t\t|| ',\"%s\":[' || substr(", changed_member(w->t));
		expression_join(sql, tracked_count(w->t), w, changed_name);
		buffer_text(sql, ", 2) || ']'");
	}
	buffer_text(sql, ", 2) || '}'");
}

void triggers_changed_names(struct buffer *sql, const struct writing *w)
{
	expression_join(sql, tracked_count(w->t), w, changed_name);
}
