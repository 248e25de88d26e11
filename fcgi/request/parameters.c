#include "request/parameters.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"
#include "log/channel.h"
#include "request/form.h"

_Static_assert((int)PARAMETERS_NAMES_MAX == (int)REQUEST_CHANNELS_MAX &&
		       (int)PARAMETERS_NAMES_MAX == (int)REQUEST_EVENTS_MAX,
	"struct parameters_names serves both");

bool parameters_refuse(struct parameters *p, int status, const char *format, ...)
{
	va_list args;

	p->problem->status = status;
	va_start(args, format);
	vsnprintf(p->problem->sentence, sizeof(p->problem->sentence), format, args);
	va_end(args);
	return false;
}

bool parameters_refuse_memory(struct parameters *p)
{
	return parameters_refuse(
		p, 503, "rowtail has no memory left for this request; try again later");
}

/* Inserts a name in order, unless it is already present. False if there is no room. */
static bool names_add(struct parameters_names *n, const char *text, size_t length)
{
	size_t low = 0, high = n->count;

	while (low < high) {
		size_t middle = (low + high) / 2, other = n->length[middle];
		int order = memcmp(text, n->text[middle], length < other ? length : other);

		if (order == 0 && length == other)
			return true;
		if (order > 0 || (order == 0 && length > other))
			low = middle + 1;
		else
			high = middle;
	}
	if (n->count == PARAMETERS_NAMES_MAX)
		return false;
	memmove(n->text + low + 1, n->text + low, (n->count - low) * sizeof(*n->text));
	memmove(n->length + low + 1, n->length + low, (n->count - low) * sizeof(*n->length));
	n->text[low] = text;
	n->length[low] = length;
	n->count++;
	return true;
}

static bool take_channel(struct parameters *p, const char *name, const char *text, size_t length)
{
	struct text_quote q;

	if (!channel_is_pattern(text, length))
		return parameters_refuse(p, 400,
			"%s: \"%s\" is not a channel: 1 to %d bytes of UTF-8 without control"
			" characters, where \"*\" stands alone or ends a name after \"/\"",
			name, text_quote(&q, text, length), CHANNEL_MAX);
	if (!names_add(&p->channels, text, length))
		return parameters_refuse(p, 400,
			"%s: one stream follows at most %d channels; a pattern such as"
			" \"orders/*\" follows any number",
			name, REQUEST_CHANNELS_MAX);
	return true;
}

static bool take_event(struct parameters *p, const char *name, const char *text, size_t length)
{
	struct text_quote q;
	bool valid = length >= 1 && length <= REQUEST_EVENT_MAX &&
		     utf8_valid_prefix((const uint8_t *)text, length) == length;

	for (size_t i = 0; valid && i < length; i++)
		valid = text[i] != '\r' && text[i] != '\n' && text[i] != '\0';
	if (!valid)
		return parameters_refuse(p, 400,
			"%s: \"%s\" is not an event type: 1 to %d bytes of UTF-8 on one line", name,
			text_quote(&q, text, length), REQUEST_EVENT_MAX);
	if (!names_add(&p->events, text, length))
		return parameters_refuse(p, 400,
			"%s: one stream selects at most %d event types; without any it"
			" carries them all",
			name, REQUEST_EVENTS_MAX);
	return true;
}

/* Prefers a valid number to one that is too large, and that to a text that is not a number. */
static void take_one_position(struct parameters *p, const char *text, size_t length)
{
	struct request *r = p->request;
	enum position_kind kind = r->position.kind;
	int64_t number;

	while (length > 0 && text_is_blank(text[0])) {
		text++;
		length--;
	}
	while (length > 0 && text_is_blank(text[length - 1]))
		length--;
	if (length == 0)
		return;
	switch (text_digits(text, length, &number)) {
	case TEXT_NUMBER:
		if (kind != POSITION_AT || number > r->position.id)
			r->position.id = number;
		r->position.kind = POSITION_AT;
		r->position.text[0] = '\0';
		return;
	case TEXT_BEYOND:
		if (kind == POSITION_AT || kind == POSITION_BEYOND)
			return;
		r->position.kind = POSITION_BEYOND;
		break;
	case TEXT_NONE:
		if (kind != POSITION_NONE)
			return;
		r->position.kind = POSITION_MALFORMED;
		break;
	}
	text_harmless(r->position.text, POSITION_TEXT_MAX, text, length, true);
}

/* A web server may join two headers of one name (RFC 9110, section 5.2): "5, 9". */
static bool take_position(struct parameters *p, const char *name, const char *text, size_t length)
{
	const char *comma;

	for (; (comma = memchr(text, ',', length)); text = comma + 1) {
		take_one_position(p, text, (size_t)(comma - text));
		length -= (size_t)(comma + 1 - text);
	}
	take_one_position(p, text, length);
	return true;
}

static bool take_tail(struct parameters *p, const char *name, const char *text, size_t length)
{
	struct text_quote q;

	if (text_digits(text, length, &p->request->position.tail) == TEXT_NUMBER)
		return true;
	return parameters_refuse(p, 400,
		"%s: \"%s\" is not a number of records: write 0 to %lld in digits", name,
		text_quote(&q, text, length), (long long)INT64_MAX);
}

static bool take_envelope(struct parameters *p, const char *name, const char *text, size_t length)
{
	struct text_quote q;

	p->request->envelope = true;
	if (length == strlen("json") && !memcmp(text, "json", length))
		return true;
	return parameters_refuse(p, 400, "%s: \"%s\" is not an envelope; the only one is \"json\"",
		name, text_quote(&q, text, length));
}

static bool take_positions(struct parameters *p, const char *name, const char *text, size_t length)
{
	struct text_quote q;

	p->request->positions = length == 1 && text[0] == '1';
	if (length == 1 && (text[0] == '0' || text[0] == '1'))
		return true;
	return parameters_refuse(
		p, 400, "%s: \"%s\" is neither 0 nor 1", name, text_quote(&q, text, length));
}

static bool take_format(struct parameters *p, const char *name, const char *text, size_t length)
{
	struct text_quote q;

	p->request->json = true;
	if (length == strlen("json") && !memcmp(text, "json", length))
		return true;
	return parameters_refuse(p, 400,
		"%s: \"%s\" is not a format; write \"json\", or leave it out for an event stream",
		name, text_quote(&q, text, length));
}

/* Reads a number from `least` to `most`. */
static bool take_number(struct parameters *p, const char *name, const char *text, size_t length,
	int64_t least, int64_t most, int64_t *number)
{
	struct text_quote q;

	if (text_digits(text, length, number) == TEXT_NUMBER && *number >= least && *number <= most)
		return true;
	return parameters_refuse(p, 400, "%s: \"%s\" is not a number from %lld to %lld", name,
		text_quote(&q, text, length), (long long)least, (long long)most);
}

static bool take_limit(struct parameters *p, const char *name, const char *text, size_t length)
{
	return take_number(p, name, text, length, 1, REQUEST_LIMIT_MAX, &p->request->limit);
}

static bool take_wait(struct parameters *p, const char *name, const char *text, size_t length)
{
	return take_number(p, name, text, length, 0, REQUEST_WAIT_MAX_S, &p->request->wait_s);
}

static bool take_before(struct parameters *p, const char *name, const char *text, size_t length)
{
	return take_number(p, name, text, length, 0, INT64_MAX, &p->request->before);
}

static bool take_access_token(
	struct parameters *p, const char *name, const char *text, size_t length)
{
	p->request->access_token = text;
	if (strlen(text) == length)
		return true;
	return parameters_refuse(p, 400, "%s: a token cannot contain a NUL character", name);
}

enum {
	STRING = 1 << JSON_KIND_STRING,
	INTEGER = 1 << JSON_KIND_INTEGER,
	BOOLEAN = 1 << JSON_KIND_BOOLEAN,
	ARRAY = 1 << JSON_KIND_ARRAY,
	WITH_JSON = 1 << 16, /* used only with format=json; a stream ignores it */
};

/* The known parameters. kinds: JSON types that a body may use; list elements are strings. */
struct parameter {
	const char *name;
	bool (*take)(struct parameters *p, const char *name, const char *text, size_t length);
	unsigned kinds;
	const char *kinds_text;
};

static const struct parameter known_parameters[] = {
	{"channel", take_channel, STRING | ARRAY, "a string or a list of strings"},
	{"event", take_event, STRING | ARRAY, "a string or a list of strings"},
	{"last_event_id", take_position, STRING | INTEGER, "a string or an integer"},
	{"lastEventId", take_position, STRING | INTEGER, "a string or an integer"},
	{"lastEventID", take_position, STRING | INTEGER, "a string or an integer"},
	{"Last-Event-ID", take_position, STRING | INTEGER, "a string or an integer"},
	{"evs_last_event_id", take_position, STRING | INTEGER, "a string or an integer"},
	{"since", take_position, STRING | INTEGER, "a string or an integer"},
	{"tail", take_tail, STRING | INTEGER, "a string or an integer"},
	{"envelope", take_envelope, STRING, "a string"},
	{"positions", take_positions, STRING | INTEGER | BOOLEAN, "0, 1, true or false"},
	{"access_token", take_access_token, STRING, "a string"},
	{"format", take_format, STRING, "a string"},
	{"limit", take_limit, STRING | INTEGER | WITH_JSON, "a string or an integer"},
	{"wait", take_wait, STRING | INTEGER | WITH_JSON, "a string or an integer"},
	{"before", take_before, STRING | INTEGER | WITH_JSON, "a string or an integer"},
};

enum { PARAMETER_COUNT = sizeof(known_parameters) / sizeof(*known_parameters) };

/* PHP, jQuery and axios write the name of a list as channel[] or channel[0]. */
static size_t without_brackets(const char *name, size_t length)
{
	size_t at = length;

	if (at < 2 || name[--at] != ']')
		return length;
	while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
		at--;
	return at > 1 && name[at - 1] == '[' ? at - 1 : length;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Do two names differ only by case, a plural s, or '-' instead of '_'? */
static bool is_near(const char *known, const char *name, size_t length)
{
	size_t known_length = strlen(known);

	length -= length > 1 && lower(name[length - 1]) == 's';
	known_length -= known[known_length - 1] == 's';
	if (length != known_length)
		return false;
	for (size_t i = 0; i < length; i++) {
		char left = known[i] == '-' ? '_' : known[i],
		     right = name[i] == '-' ? '_' : name[i];

		if (lower(left) != lower(right))
			return false;
	}
	return true;
}

/*
 * Keeps the problem for parameters_end(), because the parameter counts only with format=json, which
 * may come later. Always returns true.
 */
static bool defer(struct parameters *p)
{
	if (!p->deferred.status)
		p->deferred = *p->problem;
	return true;
}

/*
 * *known: the parameter with this name, or NULL for an unknown name, which is ignored. If the name
 * is a misspelled parameter, sets a problem and returns false: ignoring it would give the client a
 * stream it did not ask for.
 */
static bool find_parameter(
	struct parameters *p, const struct parameter **known, const char *name, size_t length)
{
	struct text_quote q;
	size_t bare = without_brackets(name, length);
	const char *bracket;

	for (*known = known_parameters; *known < known_parameters + PARAMETER_COUNT; ++*known)
		if (strlen((*known)->name) == bare && !memcmp((*known)->name, name, bare))
			return true;
	/* channel[a], channel[0][]: these also mean the name before the bracket. */
	bracket = memchr(name, '[', bare);
	if (bracket)
		bare = (size_t)(bracket - name);
	for (*known = known_parameters; *known < known_parameters + PARAMETER_COUNT; ++*known)
		if (is_near((*known)->name, name, bare))
			break;
	if (*known < known_parameters + PARAMETER_COUNT) {
		if ((*known)->take == take_position)
			return true;
		parameters_refuse(p, 400, "there is no parameter \"%s\"; write \"%s\"",
			text_quote(&q, name, length), (*known)->name);
		if (!((*known)->kinds & WITH_JSON))
			return false;
		defer(p);
	}
	*known = NULL;
	return true;
}

static bool take(
	struct parameters *p, const struct parameter *known, const char *text, size_t length)
{
	return known->take(p, known->name, text, length) ||
	       ((known->kinds & WITH_JSON) && defer(p));
}

bool parameters_form(struct parameters *p, const char *text, size_t length)
{
	char *copy = malloc(length + 1);
	struct form_pair pair;
	struct form form;

	if (!copy)
		return parameters_refuse_memory(p);
	p->form[p->form_count++] = copy;
	memcpy(copy, text, length);
	form_init(&form, copy, length);
	while (form_next(&form, &pair)) {
		const struct parameter *known;

		if (!find_parameter(p, &known, pair.name, pair.name_length))
			return false;
		if (!known)
			continue;
		if (pair.bad_escape) {
			parameters_refuse(p, 400,
				"%s: a \"%%\" must be followed by two hexadecimal digits; write a"
				" percent sign as \"%%25\"",
				known->name);
			if (!((known->kinds & WITH_JSON) && defer(p)))
				return false;
		} else if (!take(p, known, pair.value, pair.value_length)) {
			return false;
		}
	}
	return true;
}

static bool take_json_value(struct parameters *p, const struct json_value *v)
{
	const struct parameter *known;
	unsigned kind = 1U << v->kind;

	if (!find_parameter(p, &known, v->name, strlen(v->name)))
		return false;
	if (!known || (v->kind == JSON_KIND_NULL && !v->listed))
		return true;
	if (!(known->kinds & kind) || (v->listed && kind != STRING)) {
		parameters_refuse(
			p, 400, "%s: in JSON this must be %s", known->name, known->kinds_text);
		return (known->kinds & WITH_JSON) && defer(p);
	}
	if (kind == ARRAY)
		return true;
	if (kind == BOOLEAN)
		return take(p, known, v->text[0] == 't' ? "1" : "0", 1);
	return take(p, known, v->text, v->length);
}

static bool refuse_json(struct parameters *p, const struct json_problem *problem)
{
	if (problem->no_memory)
		return parameters_refuse_memory(p);
	return parameters_refuse(p, 400,
		"the JSON body cannot be read: %s; send an object such as"
		" {\"channel\": [\"a\", \"b\"]}",
		problem->reason);
}

bool parameters_json(struct parameters *p, const char *text, size_t length)
{
	struct json_problem problem;

	if (json_parse(&p->members, text, length, &problem) != 0)
		return refuse_json(p, &problem);
	for (size_t i = 0; i < p->members.count; i++)
		if (!take_json_value(p, &p->members.value[i]))
			return false;
	return true;
}

bool parameters_path(struct parameters *p, const struct path *path)
{
	size_t length, slash;

	if (!(p->path = path_behind_mount(path, &length)))
		return parameters_refuse_memory(p);
	slash = p->path[0] == '/';
	return !length || take_channel(p, "the path", p->path + slash, length - slash);
}

void parameters_last_event_id(struct parameters *p, const char *value)
{
	take_position(p, "Last-Event-ID", value, strlen(value));
}

void parameters_default(struct parameters *p)
{
	if (p->channels.count == 0)
		take_channel(p, "channel", "default", strlen("default"));
}

bool parameters_end(struct parameters *p)
{
	struct request *r = p->request;

	if (!r->json)
		return true;
	if (p->deferred.status) {
		*p->problem = p->deferred;
		return false;
	}
	if (r->before >= 0 &&
		(r->position.kind != POSITION_NONE || r->position.tail >= 0 || r->wait_s > 0))
		return parameters_refuse(p, 400,
			"before: it asks for older rows; leave out the position, tail and wait");
	return true;
}

void parameters_free(struct parameters *p)
{
	free(p->path);
	for (size_t i = 0; i < p->form_count; i++)
		free(p->form[i]);
	json_free(&p->members);
}
