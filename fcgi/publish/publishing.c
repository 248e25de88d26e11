#include "publish/publishing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/token.h"
#include "base/address.h"
#include "base/logging.h"
#include "publish/site.h"
#include "request/request.h"
#include "server/answer.h"

static const struct publishing *serves;

/* A request that is being answered. */
struct answering {
	struct buffer *out;
	struct answer_cors cors;
	char *const *params;
	struct submission submission;
	struct access_session *session;
};

void publishing_init(const struct publishing *p)
{
	serves = p;
}

static const char *param(const struct answering *a, const char *name)
{
	const char *value = request_param(a->params, name);

	return value ? value : "";
}

static bool refuse(struct answering *a, int status, int retry_after_s, const char *sentence)
{
	char line[STORE_SENTENCE_MAX + 1];

	snprintf(line, sizeof(line), "%s\n", sentence);
	answer_write(a->out,
		&(struct answer){.status = status,
			.body = line,
			.body_length = strlen(line),
			.retry_after_s = retry_after_s,
			.head_only = !strcmp(param(a, "REQUEST_METHOD"), "HEAD"),
			.allow = "POST, OPTIONS"},
		&a->cors);
	return false;
}

/* Opens the log again if its path leads to another file. */
static bool log_is_ready(struct answering *a)
{
	struct eventlog *log = serves->log;

	if (eventlog_is_open(log) && eventlog_file(log, true) != EVENTLOG_SAME)
		eventlog_close(log);
	switch (eventlog_is_open(log) ? EVENTLOG_OK : eventlog_open(log)) {
	case EVENTLOG_OK:
		return true;
	case EVENTLOG_BUSY:
		return refuse(
			a, 503, 1, "the database is locked by another writer; try again later");
	case EVENTLOG_FAULT:
		break;
	}
	log_error("%s", eventlog_error(log));
	return refuse(a, 500, 0,
		"the database cannot be read; the log of the server says why, and the "
		"administrator has "
		"to act");
}

static bool is_admitted(struct answering *a)
{
	char sentence[REQUEST_SENTENCE_MAX];
	const char *user = request_param(a->params, "REMOTE_USER");
	struct request r = {
		.method = REQUEST_POST,
		.channels = {a->submission.channel, a->submission.channel_length,
			a->submission.channel_count},
		.remote_user = user && *user ? user : NULL,
		.remote_addr = param(a, "REMOTE_ADDR"),
		.authorization = request_param(a->params, "HTTP_AUTHORIZATION"),
		.cookie = request_param(a->params, "HTTP_COOKIE"),
	};

	switch (access_admit(serves->access, &r, &a->session, sentence, sizeof(sentence))) {
	case ACCESS_GRANTED:
		return true;
	case ACCESS_UNAUTHORIZED:
		return refuse(a, 401, 0, sentence);
	case ACCESS_FORBIDDEN:
		return refuse(a, 403, 0, sentence);
	case ACCESS_TOO_MANY:
		return refuse(a, 429, 10, sentence);
	case ACCESS_BAD_REQUEST:
		return refuse(a, 400, 0, sentence);
	case ACCESS_LATER:
		break;
	}
	return refuse(a, 503, 1, "the permissions cannot be read at the moment; try again later");
}

/* The hash of who publishes, and of a key: others cannot use, or probe, somebody's keys. */
static void hash_of(char hex[TOKEN_HEX + 1], const char *kind, const char *who, const char *what)
{
	char text[2048];

	snprintf(text, sizeof(text), "%s\n%s\n%s", kind, who, what);
	token_hash(text, strlen(text), hex);
}

static size_t put_text(char *to, const struct submission_text *t)
{
	char length[24];
	size_t digits =
		(size_t)snprintf(length, sizeof(length), "%zu:", t->text ? t->length + 1 : 0);

	if (to) {
		memcpy(to, length, digits);
		if (t->length > 0)
			memcpy(to + digits, t->text, t->length);
	}
	return digits + t->length;
}

/* The messages as one text that no other messages have. Returns its length; to NULL: only that. */
static size_t put_messages(char *to, const struct submission *s)
{
	size_t at = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct message *m = &s->message[i];
		char retry[24];
		struct submission_text number = {retry, 0};

		number.length =
			(size_t)snprintf(retry, sizeof(retry), "%lld", (long long)m->retry_ms);
		at += put_text(to ? to + at : NULL, &m->channel);
		at += put_text(to ? to + at : NULL, &m->event);
		at += put_text(to ? to + at : NULL, &m->data);
		at += put_text(to ? to + at : NULL, &number);
	}
	return at;
}

static bool fingerprint(const struct submission *s, char hex[TOKEN_HEX + 1])
{
	size_t length = put_messages(NULL, s);
	char *text = malloc(length + 1);

	if (!text)
		return false;
	put_messages(text, s);
	token_hash(text, length, hex);
	free(text);
	return true;
}

static void answer_store(struct answering *a, enum store_status status, struct store_result *result)
{
	static const int statuses[] = {
		[STORE_REFUSED] = 400,
		[STORE_ENDED] = 409,
		[STORE_KEY_REUSED] = 422,
		[STORE_TOO_MANY] = 429,
		[STORE_BUSY] = 503,
		[STORE_FULL] = 507,
		[STORE_FAULT] = 500,
	};

	if (status != STORE_DONE && status != STORE_REPEATED) {
		refuse(a, statuses[status], status == STORE_BUSY ? 1 : result->retry_after_s,
			result->sentence);
		return;
	}
	answer_write(a->out,
		&(struct answer){.status = 201,
			.type = "application/json",
			.body = result->answer,
			.body_length = strlen(result->answer)},
		&a->cors);
	buffer_text(a->out, "\n");
}

static void store(struct answering *a)
{
	const char *who = access_session_subject(a->session);
	char key[TOKEN_HEX + 1], print[TOKEN_HEX + 1], names[STORE_RATES][TOKEN_HEX + 1];
	char address[ADDRESS_NAME];
	struct store_ask ask = {.message = a->submission.message, .count = a->submission.count};
	struct store_result result;

	if (*a->submission.key) {
		hash_of(key, "key", who, a->submission.key);
		if (!fingerprint(&a->submission, print)) {
			refuse(a, 503, 1,
				"there is no memory left for this request; try again later");
			return;
		}
		ask.key = key;
		ask.fingerprint = print;
	}
	address_name(address, param(a, "REMOTE_ADDR"));
	hash_of(names[0], "subject", who, "");
	hash_of(names[1], "address", address, "");
	ask.rate[0] = (struct store_rate){names[0], *who ? serves->config->rate : 0};
	ask.rate[1] = (struct store_rate){names[1], serves->config->rate_per_address};
	answer_store(a, store_put(serves->store, &ask, &result), &result);
}

static bool size_is_good(struct answering *a, size_t size)
{
	char sentence[120];
	size_t most = (size_t)serves->config->max_request;

	for (char *const *p = a->params; *p && size <= most; p++)
		size += strlen(*p);
	if (size <= most)
		return true;
	snprintf(sentence, sizeof(sentence),
		"the request is too large: headers, parameters and body together may be %zu bytes",
		most);
	return refuse(a, 413, 0, sentence);
}

static void publish(struct answering *a, const void *body, size_t length)
{
	struct request_problem problem;
	char sentence[STORE_SENTENCE_MAX];
	enum store_status status;

	if (submission_parse(&a->submission, a->params, body, length, &problem) != 0) {
		refuse(a, problem.status, problem.status == 503 ? 1 : 0, problem.sentence);
		return;
	}
	/* Before the log, since only a writer may open a WAL-mode database that nobody has open. */
	if ((status = store_open(serves->store, sentence)) != STORE_DONE) {
		struct store_result result = {.retry_after_s = 0};

		snprintf(result.sentence, sizeof(result.sentence), "%s", sentence);
		answer_store(a, status, &result);
		return;
	}
	if (log_is_ready(a) && is_admitted(a))
		store(a);
}

static void answer_health(struct answering *a)
{
	char sentence[STORE_SENTENCE_MAX];

	if (store_try(serves->store, sentence) == STORE_DONE &&
		(serves->config->jwt_key ||
			store_try_publishers(serves->store, sentence) == STORE_DONE))
		answer_sentence(
			a->out, 200, "ok", !strcmp(param(a, "REQUEST_METHOD"), "HEAD"), &a->cors);
	else
		refuse(a, 503, 1, sentence);
}

static void decide(struct answering *a, const void *body, size_t length)
{
	const char *method = param(a, "REQUEST_METHOD"), *page = param(a, "ROWTAIL_PAGE");

	if (!strcmp(page, "health"))
		answer_health(a);
	else if (*page)
		refuse(a, 500, 0,
			"the web server's configuration sets ROWTAIL_PAGE; here it can only be "
			"health");
	else if (!strcmp(method, "OPTIONS"))
		answer_preflight_of(a->out, "POST",
			request_param(a->params, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"), &a->cors);
	else if (strcmp(method, "POST") != 0)
		refuse(a, 405, 0,
			"only POST publishes; to read the stream, ask rowtail at its own address");
	else if (*serves->closing)
		refuse(a, 503, 1, "rowtail-publish is restarting; try again in a moment");
	else if (!site_may_publish(a->params, serves->config->allow_origins))
		refuse(a, 403, 0,
			"a page of another site cannot publish with your login; the administrator "
			"can allow "
			"that site with --allow-origin");
	else if (size_is_good(a, length))
		publish(a, body, length);
}

void publishing_respond(struct buffer *out, char *const *params, const void *body, size_t length)
{
	struct answering a = {.out = out, .params = params};

	a.cors =
		answer_cors_of(request_param(params, "HTTP_ORIGIN"), serves->config->allow_origins);
	decide(&a, body, length);
	submission_free(&a.submission);
	access_session_free(a.session);
}
