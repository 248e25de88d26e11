#include "request/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "request/parameters.h"

const char *request_param(char *const *params, const char *name)
{
	size_t length = strlen(name);

	for (; *params; params++)
		if (**params == *name && !strncmp(*params, name, length) &&
			(*params)[length] == '=')
			return *params + length + 1;
	return NULL;
}

const char *request_param_or_empty(char *const *params, const char *name)
{
	const char *value = request_param(params, name);

	return value ? value : "";
}

static bool asks_for_json(const char *query)
{
	static const char json[] = "format=json";

	for (; query; query = strchr(query, '&')) {
		query += *query == '&';
		if (!strncmp(query, json, sizeof(json) - 1) &&
			(!query[sizeof(json) - 1] || query[sizeof(json) - 1] == '&'))
			return true;
	}
	return false;
}

bool request_accepts_stream(char *const *params)
{
	return text_accepts(request_param_or_empty(params, "HTTP_ACCEPT"), "text/event-stream") &&
	       !asks_for_json(request_param_or_empty(params, "QUERY_STRING"));
}

static void read_headers(struct request *r, char *const *params)
{
	r->origin = request_param(params, "HTTP_ORIGIN");
	r->requested_headers = request_param(params, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS");
	r->remote_user = request_param(params, "REMOTE_USER");
	if (r->remote_user && !*r->remote_user)
		r->remote_user = NULL;
	r->remote_addr = request_param_or_empty(params, "REMOTE_ADDR");
	r->authorization = request_param(params, "HTTP_AUTHORIZATION");
	r->cookie = request_param(params, "HTTP_COOKIE");
	r->accepts_stream = request_accepts_stream(params);
}

/* Returns the index of word in words[0] to words[last], or -1. */
static int find_word(const char *word, const char *const *words, int last)
{
	while (last >= 0 && strcmp(word, words[last]) != 0)
		last--;
	return last;
}

static bool read_method(struct parameters *p, char *const *params)
{
	static const char *const methods[] = {
		[REQUEST_GET] = "GET",
		[REQUEST_HEAD] = "HEAD",
		[REQUEST_POST] = "POST",
		[REQUEST_OPTIONS] = "OPTIONS",
	};
	const char *method = request_param(params, "REQUEST_METHOD");
	int found = method ? find_word(method, methods, REQUEST_OPTIONS) : REQUEST_GET;
	struct text_quote q;

	if (found >= 0) {
		p->request->method = (enum request_method)found;
		return true;
	}
	return parameters_refuse(p, 405,
		"the method \"%s\" is not served; use GET, HEAD, POST or OPTIONS",
		text_quote(&q, method, strlen(method)));
}

static bool read_page(struct parameters *p, char *const *params)
{
	static const char *const pages[] = {
		[REQUEST_STREAM] = "",
		[REQUEST_METRICS] = "metrics",
		[REQUEST_STATUS] = "status",
		[REQUEST_STATUS_JSON] = "status.json",
		[REQUEST_HEALTH] = "health",
	};
	const char *page = request_param_or_empty(params, "ROWTAIL_PAGE");
	int found = find_word(page, pages, REQUEST_HEALTH);
	struct text_quote q;

	if (found >= 0) {
		p->request->page = (enum request_page)found;
		if (found == REQUEST_STATUS &&
			text_accepts(
				request_param_or_empty(params, "HTTP_ACCEPT"), "application/json"))
			p->request->page = REQUEST_STATUS_JSON;
		return true;
	}
	return parameters_refuse(p, 500,
		"the web server's configuration sets ROWTAIL_PAGE to \"%s\"; it must be metrics,"
		" status, status.json or health",
		text_quote(&q, page, strlen(page)));
}

/* REQUEST_URI repeats the path and the query, so it does not count. */
static bool check_size(struct parameters *p, char *const *params, size_t size)
{
	for (; *params && size <= REQUEST_SIZE_MAX; params++)
		if (strncmp(*params, "REQUEST_URI=", strlen("REQUEST_URI=")) != 0)
			size += strlen(*params);
	if (size <= REQUEST_SIZE_MAX)
		return true;
	return parameters_refuse(p, 413,
		"the request is too large: headers, parameters and body together may be %d bytes",
		REQUEST_SIZE_MAX);
}

static bool read_body(struct parameters *p, const char *type, const char *body, size_t length)
{
	struct text_quote q;

	if (length == 0)
		return true;
	if (text_is_media_type(type, strlen(type), "application/x-www-form-urlencoded"))
		return parameters_form(p, body, length);
	if (text_is_media_type(type, strlen(type), "application/json"))
		return parameters_json(p, body, length);
	return parameters_refuse(p, 415,
		"a body of Content-Type \"%s\" is not supported; send"
		" application/x-www-form-urlencoded or application/json",
		text_quote(&q, type, strlen(type)));
}

/* If a client sends the header twice, the web server joins them or passes both on. */
static void read_last_event_ids(struct parameters *p, char *const *params)
{
	static const char name[] = "HTTP_LAST_EVENT_ID=";

	for (; *params; params++)
		if (!strncmp(*params, name, sizeof(name) - 1))
			parameters_last_event_id(p, *params + sizeof(name) - 1);
}

static bool read_stream(struct parameters *p, char *const *params, const void *body, size_t length)
{
	const char *query = request_param_or_empty(params, "QUERY_STRING");
	bool post = p->request->method == REQUEST_POST;
	struct path path = {
		.request_uri = request_param_or_empty(params, "REQUEST_URI"),
		.script_name = request_param_or_empty(params, "SCRIPT_NAME"),
		.path_info = request_param_or_empty(params, "PATH_INFO"),
		.mount = request_param_or_empty(params, "ROWTAIL_MOUNT"),
	};

	p->request->positions = !post;
	read_last_event_ids(p, params);
	if (!parameters_path(p, &path) || !parameters_form(p, query, strlen(query)))
		return false;
	if (post && !read_body(p, request_param_or_empty(params, "CONTENT_TYPE"), body, length))
		return false;
	parameters_default(p);
	return parameters_end(p);
}

static bool parse_all(struct parameters *p, char *const *params, const void *body, size_t length)
{
	if (!read_method(p, params) || !check_size(p, params, length) || !read_page(p, params))
		return false;
	if (p->request->method == REQUEST_OPTIONS || p->request->page != REQUEST_STREAM)
		return true;
	return read_stream(p, params, body, length);
}

static size_t names_size(const struct parameters_names *n)
{
	size_t size = n->count * (sizeof(*n->text) + sizeof(*n->length));

	for (size_t i = 0; i < n->count; i++)
		size += n->length[i] + 1;
	return size;
}

/* Copies a text and a NUL to *to, moves *to past them, and returns the copy. */
static const char *keep_text(char **to, const char *text, size_t length)
{
	char *kept = memcpy(*to, text, length);

	kept[length] = '\0';
	*to += length + 1;
	return kept;
}

static void keep_names(struct request_list *list, const struct parameters_names *n,
	const char ***arrays, char **to)
{
	list->count = n->count;
	list->text = *arrays;
	list->length = (size_t *)(list->text + n->count);
	*arrays = (const char **)(list->length + n->count);
	for (size_t i = 0; i < n->count; i++) {
		list->text[i] = keep_text(to, n->text[i], n->length[i]);
		list->length[i] = n->length[i];
	}
}

/* Copies everything that the request points to into one block: the arrays, then the texts. */
static bool keep(struct request *r, const struct parameters_names *channels,
	const struct parameters_names *events)
{
	const char **texts[] = {&r->origin, &r->requested_headers, &r->remote_user, &r->remote_addr,
		&r->authorization, &r->cookie, &r->access_token};
	size_t count = sizeof(texts) / sizeof(*texts);
	size_t size = names_size(channels) + names_size(events);
	const char **arrays;
	char *to;

	for (size_t i = 0; i < count; i++)
		size += *texts[i] ? strlen(*texts[i]) + 1 : 0;
	if (!(r->memory = malloc(size))) {
		for (size_t i = 0; i < count; i++)
			*texts[i] = NULL;
		r->remote_addr = "";
		return false;
	}
	arrays = r->memory;
	to = (char *)r->memory +
	     (channels->count + events->count) * (sizeof(const char *) + sizeof(size_t));
	keep_names(&r->channels, channels, &arrays, &to);
	keep_names(&r->events, events, &arrays, &to);
	for (size_t i = 0; i < count; i++)
		if (*texts[i])
			*texts[i] = keep_text(&to, *texts[i], strlen(*texts[i]));
	return true;
}

int request_parse(struct request *r, char *const *params, const void *body, size_t body_length,
	struct request_problem *problem)
{
	struct parameters p = {.request = r, .problem = problem};
	bool good;

	memset(r, 0, sizeof(*r));
	r->position.tail = r->before = -1;
	r->limit = REQUEST_LIMIT;
	read_headers(r, params);
	good = parse_all(&p, params, body, body_length);
	/* A client that asks for JSON gets a refusal as a plain status, whatever it accepts. */
	if (r->json)
		r->accepts_stream = false;
	if (!good)
		p.channels.count = p.events.count = 0;
	if (!keep(r, &p.channels, &p.events))
		good = parameters_refuse_memory(&p);
	parameters_free(&p);
	return good ? 0 : -1;
}

void request_free(struct request *r)
{
	free(r->memory);
	memset(r, 0, sizeof(*r));
}
