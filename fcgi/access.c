#include "access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "channel.h"
#include "clock.h"
#include "grants.h"
#include "jwtoken.h"
#include "tally.h"
#include "token.h"

enum {
	RECHECK_MS = 8000, /* with a sweep's period, under the 10 s that are promised */
	ATTEMPTS_MAX = 10, /* failed ones of an address; one is forgotten each second */
	ADDRESSES_MAX = 10000,
	SUBJECT_MAX = 1024,
};

struct access {
	const struct config *config;
	struct grants *grants;
	struct jwt_verifier *jwt; /* NULL: no JWTs */
	struct tally *failed; /* attempts of each address */
	int64_t forgot_ms; /* when the last ones were forgotten */
	int64_t version; /* of the database, during a row of rechecks; -1: it can't be read */
};

/* Who reads. The texts stand behind the struct. */
struct access_session {
	int64_t checked_ms;
	int64_t version; /* of the database when it was last looked at */
	int64_t expires_s; /* of a JWT; 0: none */
	const char *user; /* whom the web server names; "" when nobody */
	const char *jwt_user; /* whom a JWT names */
	const char *token; /* "token:HEX", or "" */
	const char *channels; /* of a JWT, each with a NUL, "" at the end */
	bool timed; /* a grant has an end */
	char texts[];
};

/* What a request shows of itself, and what it turned out to be. */
struct credentials {
	const char *token; /* not terminated; NULL: none */
	size_t length;
	bool is_cookie; /* a stale one is no attempt at anything */
	bool valid, later;
	bool has_claims;
	struct jwt_claims claims;
	char subject[sizeof("token:") + TOKEN_HEX];
};

struct access *access_new(const struct config *config, struct eventlog *log, int *exit_status,
	char *sentence, size_t size)
{
	struct access *a = calloc(1, sizeof(*a));

	snprintf(sentence, size, "there is no memory to begin with");
	if (!a)
		return NULL;
	a->config = config;
	a->grants = grants_new(log);
	a->failed = tally_new(ADDRESSES_MAX);
	if (!a->grants || !a->failed || !token_init() ||
		(config->jwt_key &&
			!(a->jwt = jwt_verifier_new(config, exit_status, sentence, size)))) {
		access_free(a);
		return NULL;
	}
	return a;
}

void access_free(struct access *a)
{
	if (!a)
		return;
	grants_free(a->grants);
	jwt_verifier_free(a->jwt);
	tally_free(a->failed);
	free(a);
}

/* RFC 6750, section 2.1. */
static bool find_bearer(const char *authorization, struct credentials *c)
{
	static const char scheme[] = "Bearer ";

	if (!authorization || strncasecmp(authorization, scheme, strlen(scheme)))
		return false;
	c->token = authorization + strlen(scheme);
	c->token += strspn(c->token, " ");
	c->length = strcspn(c->token, " \t");
	return true;
}

/* RFC 6265, section 4.2.1: pairs with "; " between them. */
static bool find_cookie(const char *cookie, struct credentials *c)
{
	static const char name[] = "rowtail_token=";

	while (cookie && *cookie) {
		cookie += strspn(cookie, "; \t");
		if (!strncmp(cookie, name, strlen(name))) {
			c->token = cookie + strlen(name);
			c->length = strcspn(c->token, "; \t");
			c->is_cookie = true;
			return c->length > 0;
		}
		cookie += strcspn(cookie, ";");
	}
	return false;
}

static void find_token(const struct request *r, struct credentials *c)
{
	memset(c, 0, sizeof(*c));
	if (find_bearer(r->authorization, c))
		return;
	if (r->access_token) {
		c->token = r->access_token;
		c->length = strlen(r->access_token);
		return;
	}
	if (!find_cookie(r->cookie, c))
		c->token = NULL;
}

/* A JWT that is good, or a token that some grant names. */
static void judge_token(struct access *a, struct credentials *c)
{
	enum grant any;

	if (a->jwt && jwt_has_shape(c->token, c->length)) {
		c->valid = c->has_claims =
			jwt_verify(a->jwt, c->token, c->length, clock_unix(), &c->claims);
		return;
	}
	memcpy(c->subject, "token:", strlen("token:"));
	token_hash(c->token, c->length, c->subject + strlen("token:"));
	any = grants_any(a->grants, c->subject);
	c->valid = any == GRANT_VALID;
	c->later = any == GRANT_UNKNOWN;
}

static void forget_attempts(struct access *a)
{
	int64_t now_ms = clock_ms();

	if (a->forgot_ms == 0)
		a->forgot_ms = now_ms;
	if (now_ms - a->forgot_ms >= 1000) {
		tally_decay(a->failed, (now_ms - a->forgot_ms) / 1000);
		a->forgot_ms = now_ms;
	}
}

/* May this address show another token? An address that never failed takes no memory. */
static bool may_try(struct access *a, const char *address)
{
	struct tally_entry *e;
	int64_t count;

	forget_attempts(a);
	if (!(e = tally_find(a->failed, address)))
		return true;
	count = tally_count(e);
	tally_add(a->failed, e, 0);
	return count < ATTEMPTS_MAX;
}

static void note_failure(struct access *a, const char *address)
{
	struct tally_entry *e = tally_find(a->failed, address);

	if (e)
		tally_add(a->failed, e, 1);
}

static size_t put(char **at, const char **where, const char *text)
{
	size_t length = strlen(text) + 1;

	if (*at) {
		memcpy(*at, text, length);
		*where = *at;
		*at += length;
	}
	return length;
}

/* Lays the texts of a session at `at`, or with NULL only counts their bytes. */
static size_t lay(struct access_session *s, char *at, const char *user, const struct credentials *c)
{
	const struct json_members *m = &c->claims.members;
	const char *channel;
	size_t size = put(&at, &s->user, user);

	size += put(&at, &s->jwt_user, c->has_claims ? c->claims.subject : "");
	size += put(&at, &s->token, c->valid && !c->has_claims ? c->subject : "");
	if (at)
		s->channels = at;
	for (size_t i = 0; c->has_claims && i < m->count; i++)
		if (m->value[i].listed && !strcmp(m->value[i].name, "channels"))
			size += put(&at, &channel, m->value[i].text);
	return size + put(&at, &channel, "");
}

static struct access_session *session_new(const char *user, const struct credentials *c)
{
	struct access_session none, *s;

	if (!(s = calloc(1, sizeof(*s) + lay(&none, NULL, user, c))))
		return NULL;
	lay(s, s->texts, user, c);
	s->expires_s = c->has_claims ? c->claims.expires_s : 0;
	return s;
}

static enum grant better(enum grant a, enum grant b)
{
	return a > b ? a : b;
}

static enum grant covered_by_user(
	struct access *a, struct access_session *s, const char *user, const struct filter_text *p)
{
	char subject[SUBJECT_MAX];
	int length = snprintf(subject, sizeof(subject), "user:%s", user);

	/* A name that was cut could be another's. */
	if (!*user || length < 0 || (size_t)length >= sizeof(subject))
		return GRANT_NONE;
	return grants_cover(a->grants, subject, p->text, p->length, &s->timed);
}

/* By any of what the session is. */
static enum grant covered(struct access *a, struct access_session *s, const struct filter_text *p)
{
	enum grant best;

	for (const char *c = s->channels; *c; c += strlen(c) + 1)
		if (channel_covers(c, strlen(c), p->text, p->length))
			return GRANT_VALID;
	best = grants_cover(a->grants, "*", p->text, p->length, &s->timed);
	if (best < GRANT_VALID)
		best = better(best, covered_by_user(a, s, s->user, p));
	if (best < GRANT_VALID)
		best = better(best, covered_by_user(a, s, s->jwt_user, p));
	if (best < GRANT_VALID && *s->token)
		best = better(
			best, grants_cover(a->grants, s->token, p->text, p->length, &s->timed));
	return best;
}

/* The least that any of the request's channels is covered by: all or none. */
static enum grant covered_all(struct access *a, struct access_session *s, const struct request *r)
{
	enum grant least = r->channels.count > 0 ? GRANT_UNKNOWN : GRANT_NONE;

	for (size_t i = 0; i < r->channels.count; i++) {
		enum grant g = covered(
			a, s, &(struct filter_text){r->channels.text[i], r->channels.length[i]});

		if (g == GRANT_UNKNOWN)
			return g;
		least = least == GRANT_UNKNOWN || g < least ? g : least;
	}
	return least;
}

static enum access_verdict refuse_token(
	struct access *a, const struct request *r, char *sentence, size_t size)
{
	note_failure(a, r->remote_addr);
	snprintf(sentence, size, "the token is not valid, or not any more: get a new one");
	return ACCESS_UNAUTHORIZED;
}

static enum access_verdict admit(struct access *a, const struct request *r, struct credentials *c,
	struct access_session **session, char *sentence, size_t size)
{
	const char *user = r->remote_user ? r->remote_user : "";
	enum grant all;

	if (c->token && !c->valid && !c->is_cookie)
		return refuse_token(a, r, sentence, size);
	if (!(*session = session_new(user, c)))
		return ACCESS_LATER;
	all = covered_all(a, *session, r);
	if (all == GRANT_UNKNOWN)
		return ACCESS_LATER;
	if (all == GRANT_VALID)
		return ACCESS_GRANTED;
	if (c->token && !c->valid)
		return refuse_token(a, r, sentence, size);
	snprintf(sentence, size, "%s",
		*user || c->valid
			? "you are not granted all of the channels that you ask for"
			: "log in, or show a token that is granted the channels you ask for");
	return *user || c->valid ? ACCESS_FORBIDDEN : ACCESS_UNAUTHORIZED;
}

enum access_verdict access_admit(struct access *a, const struct request *r,
	struct access_session **session, char *sentence, size_t size)
{
	struct credentials c;
	enum access_verdict verdict = ACCESS_LATER;

	*session = NULL;
	if (a->config->public_)
		return ACCESS_GRANTED;
	if (r->access_token && !a->config->allow_query_token) {
		snprintf(sentence, size,
			"access_token is not accepted here: URLs end up in logs; send the token as "
			"Authorization: Bearer or as the cookie rowtail_token, or let the server's "
			"administrator set --allow-query-token");
		return ACCESS_BAD_REQUEST;
	}
	find_token(r, &c);
	if (c.token && !may_try(a, r->remote_addr)) {
		snprintf(sentence, size,
			"too many tokens that are not valid came from your address: wait a little");
		return ACCESS_TOO_MANY;
	}
	if (c.token)
		judge_token(a, &c);
	if (!c.later)
		verdict = admit(a, r, &c, session, sentence, size);
	if (verdict != ACCESS_GRANTED) {
		free(*session);
		*session = NULL;
	}
	if (c.has_claims)
		jwt_claims_free(&c.claims);
	return verdict;
}

void access_recheck_begin(struct access *a)
{
	if (a->config->public_ || !grants_begin(a->grants, &a->version))
		a->version = -1;
}

void access_recheck_end(struct access *a)
{
	if (a->version >= 0)
		grants_end(a->grants);
}

static const char *deny(enum leave_reason why, enum leave_reason *reason)
{
	*reason = why;
	return leave_name(why);
}

const char *access_recheck(struct access *a, struct access_session *s, const struct filter *f,
	int64_t now_ms, enum leave_reason *reason)
{
	if (s->expires_s && clock_unix() >= s->expires_s)
		return deny(LEAVE_EXPIRED, reason);
	/* Spread by chance, so that streams that came together are not looked at together. */
	if (s->checked_ms == 0)
		s->checked_ms = now_ms - random() % RECHECK_MS;
	if (a->version < 0 || now_ms - s->checked_ms < RECHECK_MS)
		return NULL;
	s->checked_ms = now_ms;
	/* Nothing was committed since, and nothing can have run out. */
	if (s->version == a->version && !s->timed)
		return NULL;
	s->version = a->version;
	for (size_t i = 0; i < f->channel_count; i++) {
		enum grant found = covered(a, s, &f->channels[i]);

		if (found < GRANT_VALID)
			return deny(found == GRANT_EXPIRED ? LEAVE_EXPIRED : LEAVE_REVOKED, reason);
	}
	return NULL;
}

const char *access_session_user(const struct access_session *s)
{
	if (*s->user)
		return s->user;
	return *s->jwt_user ? s->jwt_user : NULL;
}

void access_session_free(struct access_session *s)
{
	free(s);
}
