#include "jwtoken.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jwt.h>

#include "channel.h"
#include "token.h"

enum { KEY_MAX = 16384 };

struct jwt_verifier {
	jwt_alg_t algorithm; /* JWT_ALG_NONE for EdDSA, which is not libjwt's */
	const char *name; /* of the algorithm, as a header has it */
	const char *audience, *issuer; /* NULL: not looked at */
	int64_t leeway_s;
	uint8_t ed25519[TOKEN_ED25519_KEY];
	size_t key_length;
	char key[KEY_MAX + 1];
};

/* The three parts of a token, and the decoded signature. */
struct parts {
	const char *header, *payload, *signature;
	size_t header_length, payload_length, signature_length;
};

static bool read_key(struct jwt_verifier *v, const char *path, char *sentence, size_t size)
{
	FILE *file = fopen(path, "re");

	if (!file) {
		snprintf(sentence, size, "jwt-key: %s cannot be read: %s", path, strerror(errno));
		return false;
	}
	v->key_length = fread(v->key, 1, KEY_MAX, file);
	fclose(file);
	/* A line break at the end is an editor's, not the key's. */
	while (v->key_length > 0 &&
		(v->key[v->key_length - 1] == '\n' || v->key[v->key_length - 1] == '\r'))
		v->key_length--;
	v->key[v->key_length] = '\0';
	return true;
}

/* RFC 7518, section 3.2: a key for HMAC is at least as long as the hash. */
static size_t least_secret(jwt_alg_t algorithm)
{
	return algorithm == JWT_ALG_HS256 ? 32 : algorithm == JWT_ALG_HS384 ? 48 : 64;
}

static bool is_hmac(jwt_alg_t algorithm)
{
	return algorithm == JWT_ALG_HS256 || algorithm == JWT_ALG_HS384 ||
	       algorithm == JWT_ALG_HS512;
}

static bool check_secret(
	const struct jwt_verifier *v, const char *path, char *sentence, size_t size)
{
	if (strstr(v->key, "-----BEGIN"))
		snprintf(sentence, size,
			"jwt-key: %s holds a PEM key; %s needs a secret of %zu random bytes or "
			"more",
			path, v->name, least_secret(v->algorithm));
	else if (v->key_length < least_secret(v->algorithm))
		snprintf(sentence, size,
			"jwt-key: the secret in %s has %zu bytes; %s needs %zu or more (openssl "
			"rand "
			"-base64 48)",
			path, v->key_length, v->name, least_secret(v->algorithm));
	else
		return true;
	return false;
}

static bool check_key(struct jwt_verifier *v, const char *path, char *sentence, size_t size)
{
	bool eddsa = !strcmp(v->name, "EdDSA");

	if (is_hmac(v->algorithm))
		return check_secret(v, path, sentence, size);
	if (strstr(v->key, "PRIVATE KEY"))
		snprintf(sentence, size,
			"jwt-key: %s holds a private key; only who makes tokens needs that: give "
			"the "
			"public one (openssl pkey -pubout)",
			path);
	else if (!strstr(v->key, "-----BEGIN PUBLIC KEY-----") ||
		 (eddsa && !token_ed25519_key(v->key, v->ed25519)))
		snprintf(sentence, size,
			"jwt-key: %s holds no public key for %s in PEM form (-----BEGIN PUBLIC "
			"KEY-----)",
			path, v->name);
	else
		return true;
	return false;
}

struct jwt_verifier *jwt_verifier_new(
	const struct config *config, int *exit_status, char *sentence, size_t size)
{
	struct jwt_verifier *v = calloc(1, sizeof(*v));

	*exit_status = EX_CONFIG;
	if (!v) {
		snprintf(sentence, size, "there is no memory for the key");
		return NULL;
	}
	v->name = config->jwt_algorithm;
	v->audience = config->jwt_audience;
	v->issuer = config->jwt_issuer;
	v->leeway_s = config->jwt_leeway_ms / 1000;
	v->algorithm = strcmp(v->name, "EdDSA") ? jwt_str_alg(v->name) : JWT_ALG_NONE;
	if (!read_key(v, config->jwt_key, sentence, size))
		*exit_status = EX_NOINPUT;
	else if (check_key(v, config->jwt_key, sentence, size))
		return v;
	jwt_verifier_free(v);
	return NULL;
}

void jwt_verifier_free(struct jwt_verifier *v)
{
	free(v);
}

static bool split(const char *token, size_t length, struct parts *p)
{
	const char *end = token + length;
	const char *first = memchr(token, '.', length);
	const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;

	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return false;
	*p = (struct parts){token, first + 1, second + 1, (size_t)(first - token),
		(size_t)(second - first - 1), (size_t)(end - second - 1)};
	return p->header_length > 0 && p->payload_length > 0;
}

bool jwt_has_shape(const char *token, size_t length)
{
	struct parts p;

	return split(token, length, &p);
}

static bool read_part(const char *text, size_t length, struct json_members *members)
{
	uint8_t json[JWT_TOKEN_MAX];
	size_t json_length = sizeof(json);
	struct json_problem problem;

	return token_base64url(text, length, json, &json_length) &&
	       json_parse(members, (const char *)json, json_length, &problem) == 0;
}

/* A member that is no element of a list; NULL when there is none. */
static const struct json_value *member(const struct json_members *m, const char *name)
{
	for (size_t i = 0; i < m->count; i++)
		if (!m->value[i].listed && !strcmp(m->value[i].name, name))
			return &m->value[i];
	return NULL;
}

static bool is_text(const struct json_value *v, const char *text)
{
	return v && v->kind == JSON_KIND_STRING && v->length == strlen(text) &&
	       !memcmp(v->text, text, v->length);
}

/* Exactly the configured algorithm; no extension that we would have to understand (crit). */
static bool header_is_good(const struct jwt_verifier *v, const struct parts *p)
{
	struct json_members members;
	bool good;

	if (!read_part(p->header, p->header_length, &members))
		return false;
	good = is_text(member(&members, "alg"), v->name) && !member(&members, "crit") &&
	       !member(&members, "b64");
	json_free(&members);
	return good;
}

static bool signature_is_good(
	const struct jwt_verifier *v, const char *token, size_t length, const struct parts *p)
{
	uint8_t signature[JWT_TOKEN_MAX];
	size_t signature_length = sizeof(signature);
	char copy[JWT_TOKEN_MAX + 1];
	jwt_t *jwt = NULL;
	bool good;

	if (p->signature_length == 0 ||
		!token_base64url(p->signature, p->signature_length, signature, &signature_length))
		return false;
	if (v->algorithm == JWT_ALG_NONE)
		return token_ed25519_verify(v->ed25519, signature, signature_length, token,
			(size_t)(p->signature - token - 1));
	memcpy(copy, token, length);
	copy[length] = '\0';
	good = jwt_decode(&jwt, copy, (const unsigned char *)v->key, (int)v->key_length) == 0 &&
	       jwt && jwt_get_alg(jwt) == v->algorithm;
	jwt_free(jwt);
	return good;
}

/* A time: an integer that is no absurd one. False when it is there and is something else. */
static bool read_time(const struct json_members *m, const char *name, bool *there, int64_t *time)
{
	const struct json_value *v = member(m, name);
	char *end;

	*there = v != NULL;
	*time = 0;
	if (!v)
		return true;
	if (v->kind != JSON_KIND_INTEGER)
		return false;
	errno = 0;
	*time = strtoll(v->text, &end, 10);
	return errno == 0 && *time >= 0 && *time <= INT64_MAX / 2000;
}

static bool times_are_good(const struct jwt_verifier *v, const struct json_members *m,
	int64_t now_s, int64_t *expires_s)
{
	int64_t exp, nbf, iat;
	bool has_exp, has_nbf, has_iat;

	if (!read_time(m, "exp", &has_exp, &exp) || !read_time(m, "nbf", &has_nbf, &nbf) ||
		!read_time(m, "iat", &has_iat, &iat) || !has_exp)
		return false;
	*expires_s = exp + v->leeway_s;
	return now_s < *expires_s && (!has_nbf || nbf <= now_s + v->leeway_s) &&
	       (!has_iat || iat <= now_s + v->leeway_s);
}

/* Is this text the member, or one of its list? */
static bool names(const struct json_members *m, const char *name, const char *text)
{
	for (size_t i = 0; i < m->count; i++)
		if (!strcmp(m->value[i].name, name) && is_text(&m->value[i], text))
			return true;
	return false;
}

/* `channels` is a list of channels or patterns, if it is there. */
static bool channels_are_good(const struct json_members *m)
{
	const struct json_value *list = member(m, "channels");

	if (list && list->kind != JSON_KIND_ARRAY)
		return false;
	for (size_t i = 0; i < m->count; i++) {
		const struct json_value *v = &m->value[i];

		if (v->listed && !strcmp(v->name, "channels") &&
			(v->kind != JSON_KIND_STRING || !channel_is_pattern(v->text, v->length)))
			return false;
	}
	return true;
}

static bool claims_are_good(const struct jwt_verifier *v, int64_t now_s, struct jwt_claims *claims)
{
	const struct json_members *m = &claims->members;
	const struct json_value *subject = member(m, "sub");

	if (!times_are_good(v, m, now_s, &claims->expires_s) || !channels_are_good(m) ||
		(subject && subject->kind != JSON_KIND_STRING))
		return false;
	claims->subject = subject ? subject->text : "";
	return (!v->audience || names(m, "aud", v->audience)) &&
	       (!v->issuer || is_text(member(m, "iss"), v->issuer));
}

bool jwt_verify(const struct jwt_verifier *v, const char *token, size_t length, int64_t now_s,
	struct jwt_claims *claims)
{
	struct parts p;

	if (length > JWT_TOKEN_MAX || !split(token, length, &p) || !header_is_good(v, &p) ||
		!signature_is_good(v, token, length, &p) ||
		!read_part(p.payload, p.payload_length, &claims->members))
		return false;
	if (claims_are_good(v, now_s, claims))
		return true;
	json_free(&claims->members);
	return false;
}

void jwt_claims_free(struct jwt_claims *claims)
{
	json_free(&claims->members);
}
