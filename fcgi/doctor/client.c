#include "doctor/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "doctor/head.h"
#include "doctor/mark.h"
#include "doctor/reader.h"

enum { CONNECT_MS = 5000 };

struct exchange {
	CURL *easy;
	struct curl_slist *headers;
	struct reader reader;
	struct answer *answer;
	char error[CURL_ERROR_SIZE];
	size_t received;
	bool over;
};

static CURLM *all;
static bool insecure;

bool client_begin(bool trusting)
{
	insecure = trusting;
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && (all = curl_multi_init());
}

void client_end(void)
{
	curl_multi_cleanup(all);
	curl_global_cleanup();
}

const char *client_version(void)
{
	return curl_version();
}

/* What the reader found. */

static void on_event(void *context, const struct reader_event *event)
{
	struct answer *a = ((struct exchange *)context)->answer;
	bool same = true;
	int number = mark_number(event->data, &same);

	if (!a->records++) {
		a->first_record_ms = clock_ms();
		snprintf(a->first_type, sizeof(a->first_type), "%s", event->type);
		snprintf(a->first_data, sizeof(a->first_data), "%s", event->data);
	}
	a->ended_with_retry = false;
	if (number < 0 || number >= FACTS_ROWS)
		return;
	if (!a->row_count[number]++)
		a->row_ms[number] = clock_ms();
	a->row_differs = a->row_differs || !same;
}

static void on_comment(void *context, const char *text)
{
	struct answer *a = ((struct exchange *)context)->answer;

	a->comments++;
	a->ended_with_retry = false;
	if (*text && !a->comment[0])
		text_harmless(a->comment, sizeof(a->comment) - 1, text, strlen(text), false);
}

static void on_retry(void *context, int64_t ms)
{
	struct answer *a = ((struct exchange *)context)->answer;

	a->retry_ms = ms;
	a->ended_with_retry = a->records > 0;
}

static void on_stray(void *context, const char *line)
{
	struct answer *a = ((struct exchange *)context)->answer;

	if (a->records && strcasestr(line, "<html"))
		a->page_in_stream = true;
}

/* What libcurl calls. */

static size_t on_head(char *bytes, size_t one, size_t length, void *context)
{
	struct exchange *e = context;

	if (head_line(e->answer, bytes, length) && e->answer->head_ms < 0)
		e->answer->head_ms = clock_ms();
	return length;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *context)
{
	struct exchange *e = context;
	struct answer *a = e->answer;
	size_t room = sizeof(a->body) - 1 - a->body_length, kept = length < room ? length : room;

	e->received += length;
	if (e->received > CLIENT_MOST)
		return 0; /* libcurl ends the exchange */
	a->last_byte_ms = clock_ms();
	if (a->first_byte_ms < 0)
		a->first_byte_ms = a->last_byte_ms;
	memcpy(a->body + a->body_length, bytes, kept);
	a->body_length += kept;
	reader_feed(&e->reader, bytes, length);
	return length;
}

static enum failure failure_of(const struct exchange *e, CURLcode code)
{
	if (e->received > CLIENT_MOST)
		return FAILURE_FLOOD;
	switch (code) {
	case CURLE_OK:
		return FAILURE_NONE;
	case CURLE_COULDNT_RESOLVE_HOST:
		return FAILURE_RESOLVE;
	case CURLE_COULDNT_CONNECT:
		return FAILURE_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		return strstr(e->error, "SSL") ? FAILURE_TLS : FAILURE_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
		return FAILURE_TLS;
	case CURLE_PEER_FAILED_VERIFICATION:
		return FAILURE_CERTIFICATE;
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_WRITE_ERROR:
		return FAILURE_ENCODING;
	default:
		return FAILURE_BROKEN;
	}
}

static void finish(struct exchange *e, CURLcode code)
{
	struct answer *a = e->answer;

	e->over = true;
	a->end_ms = clock_ms();
	a->failure = failure_of(e, code);
	if (code != CURLE_OK)
		snprintf(a->failure_text, sizeof(a->failure_text), "%.200s",
			e->error[0] ? e->error : curl_easy_strerror(code));
}

static bool add_headers(struct exchange *e, const char *const *headers)
{
	for (; headers && *headers; headers++) {
		struct curl_slist *more = curl_slist_append(e->headers, *headers);

		if (!more)
			return false;
		e->headers = more;
	}
	return true;
}

static void restrict_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static void set_connection(const struct exchange *e, const struct request *r)
{
	CURL *easy = e->easy;

	restrict_protocols(easy);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
		(long)(r->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	if (insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void set_request(struct exchange *e, const struct request *r)
{
	CURL *easy = e->easy;

	curl_easy_setopt(easy, CURLOPT_URL, r->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, e->headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT,
		"Mozilla/5.0 (compatible; rowtail-doctor/" ROWTAIL_VERSION ")");
	if (r->compressed)
		curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate, br");
	if (r->body)
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, r->body);
	if (r->method && !strcmp(r->method, "HEAD"))
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (r->method)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, (void *)e);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, (void *)e);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, e->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, (void *)e);
}

static void clear(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	a->asked = true;
	a->asked_ms = clock_ms();
	a->head_ms = a->first_byte_ms = a->last_byte_ms = a->end_ms = a->first_record_ms = -1;
	a->retry_ms = a->age_s = -1;
	for (int i = 0; i < FACTS_ROWS; i++)
		a->row_ms[i] = -1;
}

struct exchange *client_ask(const struct request *r, struct answer *into)
{
	struct exchange *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	clear(into);
	e->answer = into;
	reader_init(&e->reader);
	e->reader.context = e;
	e->reader.event = on_event;
	e->reader.comment = on_comment;
	e->reader.retry = on_retry;
	e->reader.stray = on_stray;
	e->easy = curl_easy_init();
	if (!e->easy || !add_headers(e, r->headers) || !add_headers(e, r->more_headers)) {
		client_close(e);
		return NULL;
	}
	set_connection(e, r);
	set_request(e, r);
	curl_multi_add_handle(all, e->easy);
	return e;
}

void client_close(struct exchange *e)
{
	if (!e)
		return;
	if (e->easy) {
		curl_multi_remove_handle(all, e->easy);
		curl_easy_cleanup(e->easy);
	}
	curl_slist_free_all(e->headers);
	reader_free(&e->reader);
	free(e);
}

const char *client_redirect(const struct exchange *e)
{
	char *url = NULL;

	curl_easy_getinfo(e->easy, CURLINFO_REDIRECT_URL, &url);
	return url ? url : "";
}

bool client_is_connected(const struct exchange *e)
{
	double seconds = 0;

	return e && curl_easy_getinfo(e->easy, CURLINFO_PRETRANSFER_TIME, &seconds) == CURLE_OK &&
	       seconds > 0;
}

bool client_is_over(const struct exchange *e)
{
	return !e || e->over;
}

void client_run(int ms)
{
	int running, left;
	CURLMsg *message;

	curl_multi_perform(all, &running);
	curl_multi_wait(all, NULL, 0, ms, NULL);
	curl_multi_perform(all, &running);
	while ((message = curl_multi_info_read(all, &left))) {
		void *e = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&e);
		finish(e, message->data.result);
	}
}
