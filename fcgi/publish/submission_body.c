/* The formats: query string, form, text, JSON. */
#include "publish/submission_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "request/form.h"

static char *copy(const char *text, size_t length)
{
	char *copied = malloc(length + 1);

	if (copied) {
		memcpy(copied, text, length);
		copied[length] = '\0';
	}
	return copied;
}

/* In a form, a field that somebody left empty is not given, except data. */
static bool is_blank_field(int field, size_t length)
{
	return length == 0 && (field == SUBMISSION_EVENT || field == SUBMISSION_RETRY);
}

/* Reads the fields of a form; ignores others, such as a submit button. */
static bool read_form(
	struct submission_reading *r, struct submission_draft *d, char *text, size_t length)
{
	struct form form;
	struct form_pair pair;
	int field, near;

	form_init(&form, text, length);
	while (form_next(&form, &pair)) {
		field = submission_field(pair.name, pair.name_length);
		near = submission_near(pair.name, pair.name_length);
		if (field < 0 && near >= 0)
			return submission_refuse_near(r, near, pair.name, pair.name_length);
		if (field < 0 || is_blank_field(field, pair.value_length))
			continue;
		if (!submission_set(r, d, field, pair.value, pair.value_length))
			return false;
	}
	return true;
}

bool submission_query(struct submission_reading *r, const char *query, size_t length)
{
	static const char token[] = "access_token=";
	const char *at = query;

	for (; at; at = strchr(at, '&')) {
		at += *at == '&';
		if (!strncmp(at, token, strlen(token)))
			return submission_refuse(r, 400,
				"access_token is not accepted in the URL, because URLs end up in "
				"logs; send "
				"the token as Authorization: Bearer");
	}
	if (!(r->s->memory->query = copy(query, length)))
		return submission_refuse_memory(r);
	return read_form(r, &r->base, r->s->memory->query, length);
}

/*
 * curl -d says that everything is a form. It is one if a field of ours has a value in it; otherwise
 * the body is text, which may contain any '=' or '&'.
 */
static bool is_form(const char *body, size_t length)
{
	const char *end = body + length, *stop, *equals;

	for (; body < end; body = stop + 1) {
		if (!(stop = memchr(body, '&', (size_t)(end - body))))
			stop = end;
		equals = memchr(body, '=', (size_t)(stop - body));
		if (equals && submission_near(body, (size_t)(equals - body)) >= 0)
			return true;
		if (stop == end)
			return false;
	}
	return false;
}

static bool add_form(struct submission_reading *r, const char *body, size_t length)
{
	struct submission_draft draft = r->base;

	if (!(r->s->memory->form = copy(body, length)))
		return submission_refuse_memory(r);
	return read_form(r, &draft, r->s->memory->form, length) && submission_room(r, 1) &&
	       submission_add(r, &draft);
}

static bool add_text(struct submission_reading *r, const char *body, size_t length)
{
	struct submission_draft draft = r->base;

	if (length > 0 && !submission_set(r, &draft, SUBMISSION_DATA, body, length))
		return false;
	return submission_room(r, 1) && submission_add(r, &draft);
}

static bool set_member(
	struct submission_reading *r, struct submission_draft *d, const struct json_value *v)
{
	int field = submission_field(v->name, strlen(v->name));
	struct text_quote q;

	if (field < 0)
		return submission_refuse(r, 400,
			"there is no member \"%s\"; an object has channel, event, data and retry",
			text_quote(&q, v->name, strlen(v->name)));
	if (v->kind == JSON_KIND_NULL)
		return true;
	if (v->kind == JSON_KIND_STRING ||
		(v->kind == JSON_KIND_INTEGER && field == SUBMISSION_RETRY))
		return submission_set(r, d, field, v->text, v->length);
	if (field == SUBMISSION_DATA)
		return submission_refuse(
			r, 400, "data: a string; write JSON as a string, as JSON.stringify() does");
	return submission_refuse(r, 400, "%s: %s", v->name,
		field == SUBMISSION_RETRY ? "a whole number of milliseconds" : "a string");
}

static bool add_objects(struct submission_reading *r)
{
	const struct json_members *m = &r->s->memory->members;
	size_t at = 0;

	for (size_t object = 0; object < m->objects; object++) {
		struct submission_draft draft = r->base;

		for (; at < m->count && m->value[at].object == object; at++)
			if (!m->value[at].listed && !set_member(r, &draft, &m->value[at]))
				return false;
		if (!submission_add(r, &draft))
			return false;
	}
	return true;
}

static bool add_json(struct submission_reading *r, const char *body, size_t length)
{
	struct json_members *m = &r->s->memory->members;
	struct json_problem problem;

	if (json_parse_list(m, body, length, &problem) != 0)
		return problem.no_memory
			       ? submission_refuse_memory(r)
			       : submission_refuse(r, 400, "the JSON body cannot be read: %s",
					 problem.reason);
	if (m->objects == 0)
		return submission_refuse(r, 400, "the list is empty: there is nothing to publish");
	if (m->objects > SUBMISSION_MESSAGES_MAX)
		return submission_refuse(r, 400, "one request publishes at most %d messages",
			SUBMISSION_MESSAGES_MAX);
	return submission_room(r, m->objects) && add_objects(r);
}

/* Text without a charset is UTF-8. */
static bool is_utf8(const char *type)
{
	static const char *const good[] = {"utf-8", "utf8", "us-ascii"};
	const char *charset = strcasestr(type, "charset=");
	size_t length;

	if (!charset)
		return true;
	charset += strlen("charset=");
	charset += *charset == '"';
	length = strcspn(charset, "\"; \t");
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (strlen(good[i]) == length && !strncasecmp(good[i], charset, length))
			return true;
	return false;
}

bool submission_body(
	struct submission_reading *r, const char *type, const char *body, size_t length)
{
	size_t type_length = strlen(type);
	struct text_quote q;

	if (!is_utf8(type))
		return submission_refuse(r, 415, "the body must be UTF-8");
	if (text_is_media_type(type, type_length, "application/json"))
		return add_json(r, body, length);
	if (length == 0 || !*type || text_is_media_type(type, type_length, "text/plain"))
		return add_text(r, body, length);
	if (text_is_media_type(type, type_length, "application/x-www-form-urlencoded"))
		return is_form(body, length) ? add_form(r, body, length)
					     : add_text(r, body, length);
	return submission_refuse(r, 415,
		"a body of Content-Type \"%s\" is not supported; send text/plain, "
		"application/x-www-form-urlencoded or application/json",
		text_quote(&q, type, type_length));
}
