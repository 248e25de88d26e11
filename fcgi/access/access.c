#include "access/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/attempts.h"
#include "access/grants.h"
#include "access/jwtoken.h"
#include "access/token.h"
#include "base/clock.h"
#include "base/logging.h"
#include "log/channel.h"
#include "request/credentials.h"

enum {
	RECHECK_MS = 5000, /* plus the period of a sweep: well under the 10 s that are promised */
	LATEST_MS = 8000,
	COOKIES_MAX = 4, /* of one name, to try */
	SWEEP_US = 5000, /* limit for one sweep; sessions that are left over come next time */
};

struct access {
	const struct config *config;
	const struct access_purpose *purpose;
	struct grants *grants;
	struct jwt_verifier *jwt; /* NULL: no JWTs */
	struct attempts *attempts;
	int64_t version; /* of the database, during a sweep; -1: it can't be read */
	int64_t until_us; /* when the sweep has taken long enough */
};

/*
 * A reader. `texts` holds its subjects (except everyone) and then, from index `channels` on, the
 * channels that a JWT grants. Each text ends with a NUL, and an empty text ends each of the lists.
 */
struct access_session {
	int64_t checked_ms;
	int64_t version; /* of the database at the last check */
	int64_t expires_s; /* of a JWT; 0: none */
	uint32_t channels; /* index in texts */
	uint8_t last; /* number of the subject that was last found granted; 0: everyone */
	bool timed; /* a grant expires */
	char texts[];
};

/* The credentials of a request, and what we found out about them. */
struct asking {
	const struct request *r;
	struct credentials shown;
	bool has_token;
	bool valid; /* the token is valid; the claims of a JWT must be freed */
	bool guess; /* if it is not valid, it counts as a guess */
	char hash[TOKEN_HEX + 1]; /* of the token that was checked last */
	bool held; /* it was not checked, because too many failed before */
	bool later; /* the grants can't be read now, or there is no memory for the token */
	bool has_claims;
	struct jwt_claims claims;
};

/* Prepares the libraries that need a random number nobody can guess. */
static bool prepare_random(char *sentence, size_t size)
{
	if (!token_init()) {
		snprintf(sentence, size,
			"there is no /dev/urandom, the source of random numbers on Linux before "
			"3.17; "
			"in a chroot, create it (mknod -m 444 dev/urandom c 1 9)");
		return false;
	}
	json_seed(token_random());
	return true;
}

const struct access_purpose access_reading = {.table = "grants",
	.claim = "channels",
	.forbidden = "you are not granted all the channels that you ask for",
	.unauthorized = "log in, or send a token that is granted the channels you ask for",
	.may_be_public = true};
const struct access_purpose access_publishing = {.table = "publishers",
	.claim = "publish",
	.forbidden = "you may not publish to this channel; the administrator can add you to the "
		     "table publishers",
	.unauthorized = "log in, or send a token that may publish to this channel"};

struct access *access_new(const struct config *config, const struct access_purpose *purpose,
	struct eventlog *log, int *exit_status, char *sentence, size_t size)
{
	struct access *a = calloc(1, sizeof(*a));

	snprintf(sentence, size, "there is not enough memory to start");
	if (!a)
		return NULL;
	a->config = config;
	a->purpose = purpose;
	a->grants = grants_new(log, purpose->table);
	a->attempts = attempts_new();
	if (!a->grants || !a->attempts || !prepare_random(sentence, size) ||
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
	attempts_free(a->attempts);
	free(a);
}

/*
 * Has this address failed too often to show another token? Tokens that it showed before are exempt.
 */
static bool is_held(struct access *a, const struct asking *k)
{
	return !attempts_allowed(a->attempts, k->r->remote_addr, clock_ms()) &&
	       !attempts_remembered(a->attempts, k->r->remote_addr, k->hash);
}

static void judge_jwt(struct access *a, struct asking *k)
{
	enum jwt_verdict verdict;
	const char *wrong;

	k->held = is_held(a, k) &&
		  jwt_is_timely(a->jwt, k->shown.token, k->shown.length, clock_unix());
	if (k->held)
		return;
	errno = 0;
	verdict = jwt_verify(
		a->jwt, k->shown.token, k->shown.length, clock_unix(), &k->claims, &wrong);
	k->valid = k->has_claims = verdict == JWT_GOOD;
	/* Without memory to read the token, we cannot know: its owner should try again later. */
	k->later = !k->valid && errno == ENOMEM;
	/* Checking it takes a millisecond, which a stranger must not make us repeat. */
	k->guess = verdict == JWT_FORGED;
	if (!k->valid)
		log_debug("a JWT was refused: %s", wrong);
}

/*
 * Checks a token that a grant may name. An empty text is no token, even if a script granted its
 * hash because a variable was empty.
 */
static void judge_opaque(struct access *a, struct asking *k)
{
	char subject[sizeof("token:") + TOKEN_HEX];
	enum grant any;

	if (k->shown.length == 0)
		return;
	snprintf(subject, sizeof(subject), "token:%s", k->hash);
	any = grants_any(a->grants, subject);
	k->valid = any == GRANT_VALID;
	k->later = any == GRANT_UNKNOWN;
}

static void judge_one(struct access *a, struct asking *k)
{
	token_hash(k->shown.token, k->shown.length, k->hash);
	k->held = false;
	errno = 0;
	k->guess = !a->jwt || !jwt_has_header(k->shown.token, k->shown.length);
	/* Without memory, we cannot even know whether it is a JWT. */
	k->later = a->jwt && k->guess && errno == ENOMEM;
	if (k->later)
		k->guess = false;
	else if (k->guess)
		k->held = is_held(a, k);
	else
		judge_jwt(a, k);
	/* It may still be a plain token: a grant can name any text. */
	if (!k->valid && !k->later && !k->held)
		judge_opaque(a, k);
	if (k->valid)
		attempts_remember(a->attempts, k->r->remote_addr, k->hash);
}

/* Of several cookies, the first valid one counts. */
static void judge(struct access *a, struct asking *k)
{
	judge_one(a, k);
	for (int i = 1; i < COOKIES_MAX && !k->valid && !k->later && k->shown.is_cookie &&
			credentials_next(&k->shown);
		i++)
		judge_one(a, k);
}

/* Appends two texts as one, with a NUL. If `at` is NULL, only counts their bytes. */
static size_t put(char **at, const char *first, const char *second)
{
	size_t one = strlen(first), two = strlen(second) + 1;

	if (*at) {
		memcpy(*at, first, one);
		memcpy(*at + one, second, two);
		*at += one + two;
	}
	return one + two;
}

/*
 * Writes the texts of a session to `at`, or counts their bytes if it is NULL. *channels: their
 * index.
 */
static size_t lay(char *at, const struct asking *k, const char *claim, uint32_t *channels)
{
	const struct json_members *m = &k->claims.members;
	size_t size = 0;

	if (k->r->remote_user)
		size += put(&at, "user:", k->r->remote_user);
	if (k->has_claims && *k->claims.subject)
		size += put(&at, "user:", k->claims.subject);
	if (k->valid && !k->has_claims)
		size += put(&at, "token:", k->hash);
	size += put(&at, "", "");
	*channels = (uint32_t)size;
	for (size_t i = 0; k->has_claims && i < m->count; i++)
		if (m->value[i].listed && !strcmp(m->value[i].name, claim))
			size += put(&at, m->value[i].text, "");
	return size + put(&at, "", "");
}

static struct access_session *session_new(const struct asking *k, const char *claim)
{
	uint32_t channels;
	struct access_session *s = calloc(1, sizeof(*s) + lay(NULL, k, claim, &channels));

	if (!s)
		return NULL;
	lay(s->texts, k, claim, &s->channels);
	s->expires_s = k->has_claims ? k->claims.expires_s : 0;
	return s;
}

/* A subject by its number; "" after the last. */
static const char *subject(const struct access_session *s, unsigned number)
{
	const char *at = s->texts;

	if (number == 0)
		return "*";
	while (--number > 0 && *at)
		at += strlen(at) + 1;
	return at;
}

static bool covered_by_jwt(const struct access_session *s, const struct filter_text *p)
{
	for (const char *c = s->texts + s->channels; *c; c += strlen(c) + 1)
		if (channel_covers(c, strlen(c), p->text, p->length))
			return true;
	return false;
}

/*
 * Is it covered by any subject of the session? Asks first for the one that was last found granted.
 */
static enum grant covered(struct access *a, struct access_session *s, const struct filter_text *p)
{
	enum grant best, found;
	const char *name;

	if (covered_by_jwt(s, p))
		return GRANT_VALID;
	best = grants_cover(a->grants, subject(s, s->last), p->text, p->length, &s->timed);
	for (unsigned i = 0; best < GRANT_VALID && *(name = subject(s, i)); i++) {
		if (i == s->last)
			continue;
		found = grants_cover(a->grants, name, p->text, p->length, &s->timed);
		if (found > best)
			best = found;
		if (found == GRANT_VALID)
			s->last = (uint8_t)i;
	}
	return best;
}

/*
 * The lowest result of all channels, since all or none are granted. GRANT_UNKNOWN overrides the
 * others.
 */
static enum grant covered_all(struct access *a, struct access_session *s,
	const struct filter_text *channels, size_t count)
{
	enum grant least = count > 0 ? GRANT_VALID : GRANT_NONE, found;

	s->timed = false;
	for (size_t i = 0; i < count && least != GRANT_NONE; i++) {
		if ((found = covered(a, s, &channels[i])) == GRANT_UNKNOWN)
			return found;
		if (found < least)
			least = found;
	}
	return least;
}

static enum access_verdict say(
	enum access_verdict verdict, char *sentence, size_t size, const char *text)
{
	snprintf(sentence, size, "%s", text);
	return verdict;
}

static enum access_verdict refuse_token(
	struct access *a, const struct asking *k, char *sentence, size_t size)
{
	if (k->held)
		return say(ACCESS_TOO_MANY, sentence, size,
			"too many invalid tokens came from your address; wait a moment, then try "
			"again");
	if (k->guess)
		attempts_fail(a->attempts, k->r->remote_addr, k->hash, clock_ms());
	return say(k->shown.is_cookie && k->r->remote_user ? ACCESS_FORBIDDEN : ACCESS_UNAUTHORIZED,
		sentence, size, "the token is not valid, or no longer valid: get a new one");
}

static enum grant covered_request(
	struct access *a, struct access_session *s, const struct request *r)
{
	struct filter_text channels[REQUEST_CHANNELS_MAX];
	enum grant found = GRANT_UNKNOWN;
	int64_t version;

	for (size_t i = 0; i < r->channels.count; i++)
		channels[i] = (struct filter_text){r->channels.text[i], r->channels.length[i]};
	if (!grants_begin(a->grants, &version))
		return found;
	found = covered_all(a, s, channels, r->channels.count);
	grants_end(a->grants);
	return found;
}

static enum access_verdict admit(struct access *a, const struct asking *k,
	struct access_session **session, char *sentence, size_t size)
{
	bool refused = k->has_token && !k->valid;

	if (refused && !k->shown.is_cookie)
		return refuse_token(a, k, sentence, size);
	if (!(*session = session_new(k, a->purpose->claim)))
		return ACCESS_LATER;
	switch (covered_request(a, *session, k->r)) {
	case GRANT_VALID:
		return ACCESS_GRANTED;
	case GRANT_UNKNOWN:
		return ACCESS_LATER;
	case GRANT_NONE:
	case GRANT_EXPIRED:
		break;
	}
	/* A stale cookie only counts as an attempt if it was needed, as here. */
	if (refused)
		return refuse_token(a, k, sentence, size);
	if (k->r->remote_user || k->valid)
		return say(ACCESS_FORBIDDEN, sentence, size, a->purpose->forbidden);
	return say(ACCESS_UNAUTHORIZED, sentence, size, a->purpose->unauthorized);
}

enum access_verdict access_admit(struct access *a, const struct request *r,
	struct access_session **session, char *sentence, size_t size)
{
	struct asking k = {.r = r};
	enum access_verdict verdict = ACCESS_LATER;

	*session = NULL;
	if (a->config->public_ && a->purpose->may_be_public)
		return ACCESS_GRANTED;
	if (r->access_token && !a->config->allow_query_token)
		return say(ACCESS_BAD_REQUEST, sentence, size,
			"access_token is not accepted here, because URLs end up in logs; send the "
			"token as Authorization: Bearer or as the cookie rowtail_token, or ask the "
			"administrator to set --allow-query-token");
	k.has_token = credentials_find(&k.shown, r->authorization, r->access_token, r->cookie);
	if (k.has_token)
		judge(a, &k);
	if (!k.later)
		verdict = admit(a, &k, session, sentence, size);
	if (verdict != ACCESS_GRANTED) {
		free(*session);
		*session = NULL;
	}
	if (k.has_claims)
		jwt_claims_free(&k.claims);
	return verdict;
}

void access_recheck_begin(struct access *a)
{
	if (a->config->public_ || !grants_begin(a->grants, &a->version))
		a->version = -1;
	a->until_us = clock_us() + SWEEP_US;
}

void access_recheck_end(struct access *a)
{
	if (a->version >= 0)
		grants_end(a->grants);
}

/* When to check a session again that was checked on time. */
static int64_t next_check(const struct access_session *s, int64_t now_ms)
{
	int64_t again_ms = s->checked_ms + RECHECK_MS;
	int64_t left_s = s->expires_s ? s->expires_s - clock_unix() - 1 : RECHECK_MS;

	return left_s < RECHECK_MS / 1000 && now_ms + left_s * 1000 < again_ms
		       ? now_ms + left_s * 1000
		       : again_ms;
}

enum access_again access_recheck(struct access *a, struct access_session *s, const struct filter *f,
	int64_t now_ms, int64_t *again_ms)
{
	enum grant found;

	*again_ms = now_ms;
	if (s->expires_s && clock_unix() >= s->expires_s)
		return ACCESS_EXPIRED;
	/* Random, so that streams that connected together are not checked together. */
	if (s->checked_ms == 0)
		s->checked_ms = now_ms - random() % RECHECK_MS;
	if (a->version < 0)
		return ACCESS_GOES_ON;
	*again_ms = next_check(s, now_ms);
	if (now_ms - s->checked_ms < RECHECK_MS)
		return ACCESS_GOES_ON;
	/* Out of time: the next sweep continues here, unless that would be too late. */
	if (clock_us() >= a->until_us && now_ms - s->checked_ms < LATEST_MS)
		return ACCESS_GOES_ON;
	/* Checks stay spread out even if all are late because this process was stopped. */
	s->checked_ms = now_ms - (now_ms - s->checked_ms) % RECHECK_MS;
	*again_ms = next_check(s, now_ms);
	/* Nothing has been committed since, and nothing can have expired. */
	if (s->version == a->version && !s->timed)
		return ACCESS_GOES_ON;
	found = covered_all(a, s, f->channels, f->channel_count);
	s->version = found == GRANT_UNKNOWN ? -1 : a->version;
	if (found >= GRANT_VALID)
		return ACCESS_GOES_ON;
	return found == GRANT_EXPIRED ? ACCESS_EXPIRED : ACCESS_REVOKED;
}

const char *access_session_subject(const struct access_session *s)
{
	return s->texts;
}

const char *access_session_user(const struct access_session *s)
{
	static const char prefix[] = "user:";

	/* The web server's user comes before the JWT's. */
	return strncmp(s->texts, prefix, strlen(prefix)) ? NULL : s->texts + strlen(prefix);
}

void access_session_free(struct access_session *session)
{
	free(session);
}
