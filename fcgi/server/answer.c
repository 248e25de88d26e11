#include "server/answer.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/origin.h"
#include "protocol/sse.h"

static const char *reason_phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 204:
		return "No Content";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 415:
		return "Unsupported Media Type";
	case 417:
		return "Expectation Failed";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 507:
		return "Insufficient Storage";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

struct answer_cors answer_cors_of(const char *origin, const char *const *allowed)
{
	struct answer_cors cors = {NULL, false};

	if (!origin || !allowed)
		return cors;
	for (; *allowed; allowed++) {
		if (!strcmp(*allowed, "*"))
			cors = (struct answer_cors){origin, true};
		else if (!strcmp(*allowed, origin) && origin_is_anyones(origin))
			cors = (struct answer_cors){origin, true};
		else if (!strcmp(*allowed, origin))
			return (struct answer_cors){origin, false};
	}
	return cors;
}

/*
 * No Vary without an Origin, or for one that is not allowed: caches may not reuse any of our
 * answers for another request (no-store, or no-cache without a validator).
 */
static void write_cors(struct buffer *out, const struct answer_cors *cors)
{
	if (!cors->origin)
		return;
	buffer_printf(out, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n",
		cors->any ? "*" : cors->origin);
	if (!cors->any)
		buffer_text(out, "Access-Control-Allow-Credentials: true\r\n");
}

/* A page of another origin can read this header only if it is exposed (Fetch, section 3.3.3). */
static void write_retry_after(struct buffer *out, int seconds, const struct answer_cors *cors)
{
	if (seconds <= 0)
		return;
	buffer_printf(out, "Retry-After: %d\r\n", seconds);
	if (cors->origin)
		buffer_text(out, "Access-Control-Expose-Headers: Retry-After\r\n");
}

static void write_head(
	struct buffer *out, const char *type, int retry_after_s, const struct answer_cors *cors)
{
	buffer_printf(out,
		"Status: 200 OK\r\n"
		"Content-Type: %s\r\n"
		"Cache-Control: no-cache, no-transform\r\n"
		"X-Accel-Buffering: no\r\n",
		type);
	write_retry_after(out, retry_after_s, cors);
	write_cors(out, cors);
	buffer_text(out, "\r\n");
}

void answer_stream_head(struct buffer *out, const struct answer_cors *cors)
{
	write_head(out, "text/event-stream", 0, cors);
}

void answer_json_head(struct buffer *out, int retry_after_s, const struct answer_cors *cors)
{
	write_head(out, "application/json", retry_after_s, cors);
}

void answer_write(struct buffer *out, const struct answer *a, const struct answer_cors *cors)
{
	buffer_printf(out, "Status: %d %s\r\n", a->status, reason_phrase(a->status));
	if (a->body)
		buffer_printf(out, "Content-Type: %s\r\n",
			a->type ? a->type : "text/plain; charset=utf-8");
	/* The sentence may quote the client. No browser may treat it as a page. */
	if (a->body)
		buffer_text(out, "X-Content-Type-Options: nosniff\r\n");
	if (a->policy)
		buffer_printf(out, "Content-Security-Policy: %s\r\n", a->policy);
	buffer_text(out, "Cache-Control: no-store\r\n");
	if (a->status == 405)
		buffer_printf(
			out, "Allow: %s\r\n", a->allow ? a->allow : "GET, HEAD, POST, OPTIONS");
	if (a->status == 401)
		buffer_text(out, "WWW-Authenticate: Bearer realm=\"rowtail\"\r\n");
	write_retry_after(out, a->retry_after_s, cors);
	write_cors(out, cors);
	buffer_text(out, "\r\n");
	if (a->body && !a->head_only)
		buffer_append(out, a->body, a->body_length);
}

void answer_sentence(struct buffer *out, int status, const char *sentence, bool head_only,
	const struct answer_cors *cors)
{
	answer_write(out,
		&(struct answer){.status = status,
			.body = sentence,
			.body_length = strlen(sentence),
			.retry_after_s = status == 429 ? 10 : 0,
			.head_only = head_only},
		cors);
	if (!head_only)
		buffer_text(out, "\n");
}

/* Is this a list of field names, which cannot forge a field? */
static bool is_name_list(const char *text)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("!#$%&'*+-.^_`|~, \t", *text))
			return false;
	return true;
}

void answer_preflight(struct buffer *out, const char *requested, const struct answer_cors *cors)
{
	answer_preflight_of(out, "GET, HEAD, POST", requested, cors);
}

void answer_preflight_of(struct buffer *out, const char *methods, const char *requested,
	const struct answer_cors *cors)
{
	buffer_printf(out,
		"Status: 204 No Content\r\n"
		"Allow: %s, OPTIONS\r\n"
		"Cache-Control: no-store\r\n",
		methods);
	write_cors(out, cors);
	if (cors->origin) {
		buffer_printf(out,
			"Access-Control-Allow-Methods: %s\r\n"
			"Access-Control-Max-Age: 7200\r\n",
			methods);
		if (requested && *requested && is_name_list(requested))
			buffer_printf(out, "Access-Control-Allow-Headers: %s\r\n", requested);
	}
	buffer_text(out, "\r\n");
}

void answer_later(struct buffer *out, const char *sentence, int64_t retry_ms, bool accepts_stream,
	bool head_only, const struct answer_cors *cors)
{
	if (accepts_stream) {
		answer_stream_head(out, cors);
		if (head_only)
			return;
		sse_retry(out, retry_ms);
		sse_comment(out, sentence);
		return;
	}
	answer_write(out,
		&(struct answer){.status = 503,
			.body = sentence,
			.body_length = strlen(sentence),
			/* At least 1: 0 would leave the field out. */
			.retry_after_s = retry_ms > 1000 ? (int)((retry_ms + 999) / 1000) : 1,
			.head_only = head_only},
		cors);
	if (!head_only)
		buffer_text(out, "\n");
}
