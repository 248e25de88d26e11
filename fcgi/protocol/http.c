#include "protocol/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/http_head.h"

#ifdef ROWTAIL_LLHTTP

#include <llhttp.h>

#include "base/buffer.h"

struct span {
	const char *at;
	size_t length;
};

struct http_reader {
	llhttp_t parser;
	struct buffer head, body;
	struct span names[HTTP_FIELDS_MAX], values[HTTP_FIELDS_MAX];
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t count;
	struct span method, target;
	struct http_request request;
	struct http_length length;
	struct http_problem problem;
	uint64_t coded; /* bytes of the body that have arrived, including chunk framing */
	bool has_head; /* complete and valid */
	bool whole;
	bool is_continued;
};

static const char too_large[] =
	"a request, with its parameters and body, can have at most 65536 bytes";

static struct http_reader *reader_of(llhttp_t *parser)
{
	return parser->data;
}

/* llhttp may report a text in several adjacent parts. */
static void extend(struct span *span, const char *at, size_t length)
{
	if (!span->at)
		span->at = at;
	span->length = (size_t)(at + length - span->at);
}

static int on_target(llhttp_t *parser, const char *at, size_t length)
{
	extend(&reader_of(parser)->target, at, length);
	return 0;
}

/* llhttp also reports the names in trailers. They are ignored. */
static int on_name(llhttp_t *parser, const char *at, size_t length)
{
	struct http_reader *r = reader_of(parser);

	if (r->has_head)
		return 0;
	/* A name begins after a value, or where the last name does not continue. */
	if (r->count == 0 || r->values[r->count - 1].at ||
		r->names[r->count - 1].at + r->names[r->count - 1].length != at) {
		if (r->count == HTTP_FIELDS_MAX)
			return -1;
		r->count++;
	}
	extend(&r->names[r->count - 1], at, length);
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
	struct http_reader *r = reader_of(parser);

	if (!r->has_head && r->count > 0)
		extend(&r->values[r->count - 1], at, length);
	return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
	return buffer_append(&reader_of(parser)->body, at, length) ? 0 : -1;
}

static int on_whole(llhttp_t *parser)
{
	reader_of(parser)->whole = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
	static llhttp_settings_t s;

	if (s.on_url)
		return &s;
	llhttp_settings_init(&s);
	s.on_url = on_target;
	s.on_header_field = on_name;
	s.on_header_value = on_value;
	s.on_body = on_body;
	s.on_message_complete = on_whole;
	return &s;
}

bool http_is_built(void)
{
	return true;
}

struct http_reader *http_new(void)
{
	struct http_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	llhttp_init(&r->parser, HTTP_REQUEST, settings());
	r->parser.data = r;
	buffer_init(&r->head, HTTP_HEAD_MAX);
	buffer_init(&r->body, HTTP_BODY_MAX);
	return r;
}

void http_free(struct http_reader *r)
{
	if (!r)
		return;
	buffer_free(&r->head);
	buffer_free(&r->body);
	free(r);
}

static enum http_state bad(struct http_reader *r, int status, const char *sentence)
{
	r->problem = (struct http_problem){status, sentence};
	return HTTP_BAD;
}

static enum http_state bad_by_llhttp(struct http_reader *r)
{
	enum llhttp_errno error = llhttp_get_errno(&r->parser);

	if (r->body.failed)
		return r->body.full ? bad(r, 413, too_large) : HTTP_NO_MEMORY;
	if (error == HPE_INVALID_VERSION)
		return bad(r, 505, "only HTTP/1.1 and HTTP/1.0 are served here");
	if (r->has_head)
		return bad(r, 400, "the chunks of the body are malformed");
	return bad(r, 400, "the request is not valid HTTP/1.1");
}

/* Passes bytes to llhttp. False if llhttp rejects them. */
static bool parse(struct http_reader *r, const void *bytes, size_t length)
{
	enum llhttp_errno error = llhttp_execute(&r->parser, bytes, length);

	return error == HPE_OK ||
	       ((error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE) && r->whole);
}

/*
 * Passes the head to llhttp. It rejects methods that it does not know, or takes for another
 * protocol's; rowtail refuses all of them with 405. So llhttp gets PUT for them.
 */
static bool parse_head(struct http_reader *r)
{
	static const char *const known[] = {"GET ", "HEAD ", "POST ", "OPTIONS ", "CONNECT "};
	const char *head = (const char *)r->head.data;
	size_t method = strcspn(head, " ");

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strncmp(head, known[i], strlen(known[i])))
			return parse(r, head, r->head.length);
	return parse(r, "PUT", strlen("PUT")) && parse(r, head + method, r->head.length - method);
}

/* Terminates a text. Overwrites the byte after it: a space, a colon or the line end. */
static const char *string_of(const struct http_reader *r, struct span span)
{
	char *text = (char *)r->head.data + (span.at - (const char *)r->head.data);

	while (span.length > 0 && (text[span.length - 1] == ' ' || text[span.length - 1] == '\t'))
		span.length--;
	text[span.length] = '\0';
	return text;
}

/* Call after llhttp has read the head, because this changes its bytes. */
static void make_strings(struct http_reader *r)
{
	struct http_request *q = &r->request;

	r->method =
		(struct span){(const char *)r->head.data, strcspn((const char *)r->head.data, " ")};
	q->is_1_0 = llhttp_get_http_minor(&r->parser) == 0;
	q->method = string_of(r, r->method);
	q->target = string_of(r, r->target);
	for (size_t i = 0; i < r->count; i++) {
		r->fields[i].name = string_of(r, r->names[i]);
		/* For an empty value, llhttp's pointer is in the next line. */
		r->fields[i].value = r->values[i].length ? string_of(r, r->values[i]) : "";
	}
	q->fields = r->fields;
	q->field_count = r->count;
}

static enum http_state use_head(struct http_reader *r)
{
	struct http_request *q = &r->request;
	const char *connection;

	if (!http_head_is_sane((const char *)r->head.data, r->head.length, &r->problem))
		return HTTP_BAD;
	if (!parse_head(r) || !r->target.at)
		return bad_by_llhttp(r);
	make_strings(r);
	r->has_head = true;
	if (!http_head_fields(q, &r->length, &r->problem))
		return HTTP_BAD;
	connection = http_field(q, "Connection");
	/* Closes after chunks, an upgrade or a tunnel: programs may disagree on their end. */
	q->keep_alive = !q->is_1_0 && !r->length.chunked && !http_field(q, "Upgrade") &&
			strcmp(q->method, "CONNECT") != 0 &&
			!(connection && http_head_has_token(connection, "close"));
	if (!r->length.chunked && r->length.length == 0)
		r->whole = true;
	return r->whole ? HTTP_WHOLE : HTTP_MORE;
}

/* Takes bytes of the head, up to its empty line. Returns their number. */
static size_t take_head(struct http_reader *r, const uint8_t *bytes, size_t length, bool *complete)
{
	size_t used = 0;

	*complete = false;
	while (used < length && !*complete) {
		const uint8_t *feed = memchr(bytes + used, '\n', length - used);
		size_t part = feed ? (size_t)(feed + 1 - bytes) - used : length - used;
		const uint8_t *end;

		if (!buffer_append(&r->head, bytes + used, part))
			return used;
		used += part;
		end = r->head.data + r->head.length;
		/* RFC 9112, 2.2: an empty line before a request line is ignored. */
		if (feed && r->head.length == 2 && end[-2] == '\r') {
			buffer_clear(&r->head);
			continue;
		}
		if (feed && r->head.length >= 2 && end[-2] == '\n')
			*complete = true;
		else if (feed && r->head.length >= 3 && end[-2] == '\r' && end[-3] == '\n')
			*complete = true;
		else if (r->head.length == 1 && feed)
			*complete = true;
	}
	return used;
}

static enum http_state read_body(
	struct http_reader *r, const uint8_t *bytes, size_t length, size_t *used)
{
	size_t part = length;

	if (!r->length.chunked && part > r->length.length - r->coded)
		part = (size_t)(r->length.length - r->coded);
	r->coded += part;
	*used += part;
	if (!parse(r, bytes, part))
		return bad_by_llhttp(r);
	if (!r->length.chunked && r->coded == r->length.length)
		r->whole = true;
	r->request.body = r->body.data;
	r->request.body_length = r->body.length;
	if (!r->whole && r->coded > HTTP_CODED_MAX)
		return bad(r, 413, too_large);
	return r->whole ? HTTP_WHOLE : HTTP_MORE;
}

enum http_state http_read(struct http_reader *r, const uint8_t *bytes, size_t length, size_t *used)
{
	enum http_state state = HTTP_MORE;
	bool complete = r->has_head;

	*used = 0;
	if (!complete) {
		*used = take_head(r, bytes, length, &complete);
		if (r->head.failed && !r->head.full)
			return HTTP_NO_MEMORY;
		if (r->head.failed)
			return bad(r, 431, "the header is longer than 65536 bytes");
		/* Such a peer waits for an answer, not for an empty line. */
		if (r->head.length > 0 && !http_head_begins_with((char)r->head.data[0]))
			return bad(r, 400,
				"this is not HTTP; neither TLS (https://) nor FastCGI is served "
				"here");
		if (!complete)
			return HTTP_MORE;
		state = use_head(r);
	}
	if (state != HTTP_MORE || *used == length)
		return state;
	return read_body(r, bytes + *used, length - *used, used);
}

bool http_has_begun(const struct http_reader *r)
{
	return r->head.length > 0;
}

bool http_wants_continue(struct http_reader *r)
{
	if (!r->has_head || r->is_continued || r->coded > 0 || r->request.is_1_0 ||
		!http_field(&r->request, "Expect"))
		return false;
	r->is_continued = true;
	return true;
}

const struct http_request *http_request(const struct http_reader *r)
{
	return r->has_head ? &r->request : NULL;
}

const struct http_problem *http_problem(const struct http_reader *r)
{
	return &r->problem;
}

#else

struct http_reader {
	struct http_problem problem;
};

bool http_is_built(void)
{
	return false;
}

struct http_reader *http_new(void)
{
	return NULL;
}

void http_free(struct http_reader *r)
{
	free(r);
}

enum http_state http_read(struct http_reader *r, const uint8_t *bytes, size_t length, size_t *used)
{
	return HTTP_BAD;
}

bool http_has_begun(const struct http_reader *r)
{
	return false;
}

bool http_wants_continue(struct http_reader *r)
{
	return false;
}

const struct http_request *http_request(const struct http_reader *r)
{
	return NULL;
}

const struct http_problem *http_problem(const struct http_reader *r)
{
	return &r->problem;
}

#endif
