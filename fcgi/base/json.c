#include "base/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_INTEGER = 19 }; /* characters; anything shorter fits an int64_t */

/* jansson reports some failed allocations as syntax errors, so we note them ourselves. */
static bool allocation_failed;

static void *watched_malloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		allocation_failed = true;
	return p;
}

static int fail(struct json_problem *problem, const char *reason)
{
	problem->no_memory = false;
	snprintf(problem->reason, sizeof(problem->reason), "%s", reason);
	return -1;
}

static int fail_memory(struct json_problem *problem)
{
	fail(problem, "there is not enough memory");
	problem->no_memory = true;
	return -1;
}

/* Returns the end of the string that begins at text[at]. Sets *nul if it has an escaped NUL. */
static size_t string_end(const char *text, size_t length, size_t at, bool *nul)
{
	for (at++; at < length && text[at] != '"'; at++) {
		if (text[at] != '\\')
			continue;
		if (length - at >= 6 && !memcmp(text + at, "\\u0000", 6))
			*nul = true;
		at++;
	}
	return at < length ? at + 1 : length;
}

/*
 * Returns the end of the number that begins at text[at]. jansson refuses integers above 64 bits,
 * but we want their digits. So this replaces a long integer by a string of the same length that
 * holds a NUL (no other string may) and the position of the digits in the original.
 */
static size_t mask_number(char *text, size_t length, size_t at)
{
	size_t first = at + (text[at] == '-' ? 1 : 0), end = first;

	while (end < length && text[end] >= '0' && text[end] <= '9')
		end++;
	if (end < length && text[end] && strchr(".eE", text[end])) {
		while (end < length && text[end] && strchr("+-.eE0123456789", text[end]))
			end++;
		return end;
	}
	if (end - at >= LONG_INTEGER && text[first] != '0') {
		snprintf(text + at, end - at, "\"\\u0000%0*zu", (int)(end - at - 8), at);
		text[end - 1] = '"';
	}
	return end > at ? end : at + 1;
}

/* Checks and changes the text before jansson sees it. Returns a reason to refuse it, or NULL. */
static const char *prepare(char *text, size_t length)
{
	size_t at = 0, depth = 0, commas = 0;
	bool nul = false;

	while (at < length && !nul) {
		char c = text[at];

		if (c == '"') {
			at = string_end(text, length, at, &nul);
		} else if (c == '-' || (c >= '0' && c <= '9')) {
			at = mask_number(text, length, at);
		} else {
			if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
				return "it is nested too deeply";
			if (c == ',' && ++commas > JSON_COMMAS_MAX)
				return "it holds too many values";
			if ((c == '}' || c == ']') && depth > 0)
				depth--;
			at++;
		}
	}
	return nul ? "a string holds a NUL character" : NULL;
}

static int fail_syntax(struct json_problem *problem, const json_error_t *error)
{
	if (allocation_failed)
		return fail_memory(problem);
	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		return fail(problem, "an object has two members of the same name");
	case json_error_invalid_utf8:
		return fail(problem, "it is not UTF-8");
	case json_error_premature_end_of_input:
		return fail(problem, "it ends too early");
	case json_error_numeric_overflow:
		return fail(problem, "a number in it is too large");
	default:
		fail(problem, "");
		snprintf(problem->reason, sizeof(problem->reason),
			"it is not a JSON object: line %d, column %d", error->line, error->column);
		return -1;
	}
}

/* Flattens a tree in two passes: the first counts (value and text are NULL), the second copies. */
struct flattener {
	const char *source; /* the original text, with its long integers */
	struct json_value *value;
	char *text;
	size_t count, bytes;
	unsigned object;
};

static const char *put(struct flattener *f, const char *text, size_t length)
{
	char *to = NULL;

	if (f->text) {
		to = f->text + f->bytes;
		memcpy(to, text, length);
		to[length] = '\0';
	}
	f->bytes += length + 1;
	return to;
}

/* A string that begins with NUL is a masked integer: see mask_number(). */
static void take_string(struct json_value *v, const char *source, const json_t *json)
{
	v->text = json_string_value(json);
	v->length = json_string_length(json);
	if (v->length > 0 && v->text[0] == '\0') {
		v->kind = JSON_KIND_INTEGER;
		v->text = source + strtoull(v->text + 1, NULL, 10);
		v->length += 7; /* the quotes and the escape are eight characters, the NUL is one */
	}
}

static void flatten_value(struct flattener *f, const char *name, const json_t *json, bool listed)
{
	static const enum json_kind kinds[] = {
		[JSON_STRING] = JSON_KIND_STRING,
		[JSON_INTEGER] = JSON_KIND_INTEGER,
		[JSON_REAL] = JSON_KIND_REAL,
		[JSON_TRUE] = JSON_KIND_BOOLEAN,
		[JSON_FALSE] = JSON_KIND_BOOLEAN,
		[JSON_NULL] = JSON_KIND_NULL,
		[JSON_ARRAY] = JSON_KIND_ARRAY,
		[JSON_OBJECT] = JSON_KIND_OBJECT,
	};
	struct json_value v = {.name = name,
		.text = "",
		.kind = kinds[json_typeof(json)],
		.listed = listed,
		.object = f->object};
	char digits[32];

	if (v.kind == JSON_KIND_STRING) {
		take_string(&v, f->source, json);
	} else if (v.kind == JSON_KIND_INTEGER) {
		v.length = (size_t)snprintf(
			digits, sizeof(digits), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
		v.text = digits;
	} else if (v.kind == JSON_KIND_REAL) {
		v.length = (size_t)snprintf(digits, sizeof(digits), "%.17g", json_real_value(json));
		v.text = digits;
	} else if (v.kind == JSON_KIND_BOOLEAN) {
		v.text = json_is_true(json) ? "true" : "false";
		v.length = strlen(v.text);
	}
	v.text = put(f, v.text, v.length);
	if (f->value)
		f->value[f->count] = v;
	f->count++;
}

static void flatten_object(struct flattener *f, json_t *root)
{
	for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at)) {
		const char *name = json_object_iter_key(at);
		const json_t *json = json_object_iter_value(at);

		name = put(f, name, strlen(name));
		flatten_value(f, name, json, false);
		for (size_t i = 0; i < json_array_size(json); i++)
			flatten_value(f, name, json_array_get(json, i), true);
	}
}

static void flatten(struct flattener *f, json_t *root)
{
	if (json_is_object(root))
		flatten_object(f, root);
	for (f->object = 0; f->object < json_array_size(root); f->object++)
		flatten_object(f, json_array_get(root, f->object));
}

static int keep(struct json_members *members, const char *source, json_t *root,
	struct json_problem *problem)
{
	struct flattener f = {.source = source};

	flatten(&f, root);
	members->count = f.count;
	members->objects = json_is_array(root) ? json_array_size(root) : 1;
	members->memory = malloc(f.count * sizeof(*members->value) + f.bytes + 1);
	if (!members->memory)
		return fail_memory(problem);
	members->value = members->memory;
	f = (struct flattener){.source = source,
		.value = members->value,
		.text = (char *)(members->value + members->count)};
	flatten(&f, root);
	return 0;
}

/* Is it an object, or an array of objects? */
static bool are_objects(const json_t *root)
{
	bool objects = json_is_object(root) || json_is_array(root);

	for (size_t i = 0; i < json_array_size(root); i++)
		objects &= json_is_object(json_array_get(root, i));
	return objects;
}

/* jansson's allocator is global: this sets it, builds and frees the tree, and resets it. */
static int parse_prepared(struct json_members *members, const char *prepared, const char *source,
	size_t length, bool list, struct json_problem *problem)
{
	json_malloc_t old_malloc;
	json_free_t old_free;
	json_error_t error;
	json_t *root;
	int result;

	json_get_alloc_funcs(&old_malloc, &old_free);
	json_set_alloc_funcs(watched_malloc, free);
	allocation_failed = false;
	root = json_loadb(prepared, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!root)
		result = fail_syntax(problem, &error);
	else if (list && !are_objects(root))
		result = fail(problem, "it is not an object or a list of objects");
	else if (!list && !json_is_object(root))
		result = fail(problem, "it is an array, not an object");
	else
		result = keep(members, source, root, problem);
	json_decref(root);
	json_set_alloc_funcs(old_malloc, old_free);
	return result;
}

void json_seed(uint32_t seed)
{
	/* To jansson 0 means that it chooses. */
	json_object_seed(seed ? seed : 1);
}

static int parse(struct json_members *members, const char *text, size_t length, bool list,
	struct json_problem *problem)
{
	char *copy = malloc(length + 1);
	const char *reason;
	int result;

	memset(members, 0, sizeof(*members));
	if (!copy)
		return fail_memory(problem);
	if (length > 0)
		memcpy(copy, text, length);
	copy[length] = '\0';
	if ((reason = prepare(copy, length)))
		result = fail(problem, reason);
	else
		result = parse_prepared(members, copy, text, length, list, problem);
	free(copy);
	if (result != 0)
		memset(members, 0, sizeof(*members));
	return result;
}

int json_parse(
	struct json_members *members, const char *text, size_t length, struct json_problem *problem)
{
	return parse(members, text, length, false, problem);
}

int json_parse_list(
	struct json_members *members, const char *text, size_t length, struct json_problem *problem)
{
	return parse(members, text, length, true, problem);
}

void json_free(struct json_members *members)
{
	free(members->memory);
	memset(members, 0, sizeof(*members));
}
