#include "access/jwtoken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "access/publickey.h"
#include "access/signature.h"
#include "access/token.h"
#include "base/file.h"
#include "log/channel.h"

enum {
	KEY_MAX = 16384,
	RSA_BITS_MIN = 2048, /* RFC 7518, section 3.3 */
	NBF_EARLY_S = 1, /* some issuers round up to the next second */
	IAT_EARLY_S = 30, /* clocks differ */
};

struct jwt_verifier {
	const struct algorithm *algorithm;
	const char *name; /* of the algorithm, as in a header */
	const char *audience, *issuer; /* NULL: not checked */
	int64_t leeway_s;
	struct publickey public;
	size_t key_length;
	char key[KEY_MAX + 2];
};

/* The three parts of a token, and the decoded signature. */
struct parts {
	const char *header, *payload, *signature;
	size_t header_length, payload_length, signature_length;
};

static const struct algorithm {
	const char *name;
	enum signature_hash hash; /* not of EdDSA */
	enum publickey_kind kind;
	const char *keys; /* what it needs */
	size_t secret_bytes; /* RFC 7518, section 3.2: at least as long as the hash */
} algorithms[] = {
	{"HS256", SIGNATURE_SHA256, PUBLICKEY_OTHER, "a secret", 32},
	{"HS384", SIGNATURE_SHA384, PUBLICKEY_OTHER, "a secret", 48},
	{"HS512", SIGNATURE_SHA512, PUBLICKEY_OTHER, "a secret", 64},
	{"RS256", SIGNATURE_SHA256, PUBLICKEY_RSA, "an RSA key", 0},
	{"RS384", SIGNATURE_SHA384, PUBLICKEY_RSA, "an RSA key", 0},
	{"RS512", SIGNATURE_SHA512, PUBLICKEY_RSA, "an RSA key", 0},
	{"ES256", SIGNATURE_SHA256, PUBLICKEY_P256, "a key on the curve P-256", 0},
	{"ES384", SIGNATURE_SHA384, PUBLICKEY_P384, "a key on the curve P-384", 0},
	{"ES512", SIGNATURE_SHA512, PUBLICKEY_P521, "a key on the curve P-521", 0},
	{"EdDSA", SIGNATURE_SHA512, PUBLICKEY_ED25519, "an Ed25519 key", 0},
};

static const struct algorithm *find_algorithm(const char *name)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++)
		if (!strcmp(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

/* Is it text that somebody typed or pasted, and not random bytes? */
static bool is_text(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((bytes[i] < ' ' && !strchr("\r\n\t", bytes[i])) || bytes[i] == 0x7f)
			return false;
	return true;
}

static bool read_key(struct jwt_verifier *v, const char *path, char *sentence, size_t size)
{
	char *key = v->key, why[FILE_WHY_MAX];
	ssize_t length = file_read(path, key, KEY_MAX, why);

	if (length < 0) {
		snprintf(sentence, size, "jwt-key: %s cannot be read: %s", path, why);
		return false;
	}
	v->key_length = (size_t)length;
	/* A line break at the end of a text comes from the editor and is not part of the key. */
	if (v->key_length <= KEY_MAX && is_text(key, v->key_length))
		while (v->key_length > 0 && strchr("\r\n", key[v->key_length - 1]))
			v->key_length--;
	key[v->key_length] = '\0';
	return true;
}

static bool check_secret(const struct jwt_verifier *v, const struct algorithm *a, const char *path,
	char *sentence, size_t size)
{
	if (strstr(v->key, "-----BEGIN"))
		snprintf(sentence, size,
			"jwt-key: %s holds a PEM key; %s needs a secret of at least %zu random "
			"bytes",
			path, v->name, a->secret_bytes);
	else if (v->key_length < a->secret_bytes)
		snprintf(sentence, size,
			"jwt-key: the secret in %s has %zu bytes; %s needs at least %zu (openssl "
			"rand -base64 %zu)",
			path, v->key_length, v->name, a->secret_bytes, a->secret_bytes);
	else
		return true;
	return false;
}

/* SEC 1, section 2.3.3: half of a point on a curve. */
static bool is_compressed(const struct publickey *key)
{
	return (key->kind == PUBLICKEY_P256 || key->kind == PUBLICKEY_P384 ||
		       key->kind == PUBLICKEY_P521) &&
	       (key->bytes[0] == 2 || key->bytes[0] == 3);
}

static bool check_public(struct jwt_verifier *v, const struct algorithm *a, const char *path,
	char *sentence, size_t size)
{
	if (strstr(v->key, "PRIVATE KEY"))
		snprintf(sentence, size,
			"jwt-key: %s holds a private key; only the program that makes tokens needs "
			"it: "
			"give the public key (openssl pkey -pubout)",
			path);
	else if (!publickey_read(&v->public, v->key))
		snprintf(sentence, size,
			"jwt-key: %s holds no public key in PEM form (-----BEGIN PUBLIC KEY-----)",
			path);
	else if (v->public.kind != a->kind)
		snprintf(sentence, size, "jwt-key: the key in %s is another kind: %s needs %s",
			path, v->name, a->keys);
	else if (a->kind == PUBLICKEY_RSA && v->public.bits < RSA_BITS_MIN)
		snprintf(sentence, size, "jwt-key: the key in %s has %zu bits; %s needs %d or more",
			path, v->public.bits, v->name, RSA_BITS_MIN);
	else if (a->kind == PUBLICKEY_RSA && v->public.bits > SIGNATURE_RSA_BITS_MAX)
		snprintf(sentence, size, "jwt-key: the key in %s has %zu bits; the maximum is %d",
			path, v->public.bits, SIGNATURE_RSA_BITS_MAX);
	else if (is_compressed(&v->public))
		snprintf(sentence, size,
			"jwt-key: the key in %s is in compressed form; give it uncompressed "
			"(openssl ec -pubin -in %s -conv_form uncompressed)",
			path, path);
	else if (!signature_key_is_sound(&v->public))
		snprintf(sentence, size,
			"jwt-key: the key in %s is damaged: its numbers do not form a key", path);
	else
		return true;
	return false;
}

static bool check_key(struct jwt_verifier *v, const char *path, char *sentence, size_t size)
{
	const struct algorithm *a = find_algorithm(v->name);

	if (!a)
		snprintf(sentence, size, "jwt-algorithm: rowtail does not support %s", v->name);
	else if (v->key_length > KEY_MAX)
		snprintf(sentence, size, "jwt-key: %s is too large for a key", path);
	else if (a->secret_bytes > 0 ? check_secret(v, a, path, sentence, size)
				     : check_public(v, a, path, sentence, size)) {
		v->algorithm = a;
		return true;
	}
	return false;
}

struct jwt_verifier *jwt_verifier_new(
	const struct config *config, int *exit_status, char *sentence, size_t size)
{
	struct jwt_verifier *v = calloc(1, sizeof(*v));

	*exit_status = EX_CONFIG;
	if (!v) {
		snprintf(sentence, size, "there is not enough memory for the key");
		return NULL;
	}
	v->name = config->jwt_algorithm;
	v->audience = config->jwt_audience;
	v->issuer = config->jwt_issuer;
	v->leeway_s = config->jwt_leeway_ms / 1000;
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

static bool read_part(const char *text, size_t length, struct json_members *members)
{
	uint8_t json[JWT_TOKEN_MAX];
	size_t json_length = sizeof(json);
	struct json_problem problem;

	return token_base64url(text, length, json, &json_length) &&
	       json_parse(members, (const char *)json, json_length, &problem) == 0;
}

/* A member that is not an element of a list; NULL if there is none. */
static const struct json_value *member(const struct json_members *m, const char *name)
{
	for (size_t i = 0; i < m->count; i++)
		if (!m->value[i].listed && !strcmp(m->value[i].name, name))
			return &m->value[i];
	return NULL;
}

static bool says(const struct json_value *v, const char *text)
{
	return v && v->kind == JSON_KIND_STRING && v->length == strlen(text) &&
	       !memcmp(v->text, text, v->length);
}

bool jwt_has_header(const char *token, size_t length)
{
	struct json_members members;
	struct parts p;
	bool has;

	if (!split(token, length, &p) || !read_part(p.header, p.header_length, &members))
		return false;
	has = member(&members, "alg") != NULL;
	json_free(&members);
	return has;
}

/*
 * RFC 7519, section 5.1: case does not matter. RFC 8725, section 3.11: refuse tokens of another
 * type.
 */
static bool type_is_good(const struct json_value *type)
{
	return !type || (type->kind == JSON_KIND_STRING && type->length == strlen("JWT") &&
				!strncasecmp(type->text, "JWT", type->length));
}

/* Accepts only the configured algorithm, and no extension that we would have to support (crit). */
static bool header_is_good(const struct jwt_verifier *v, const struct parts *p)
{
	struct json_members members;
	bool good;

	if (!read_part(p->header, p->header_length, &members))
		return false;
	good = says(member(&members, "alg"), v->name) && !member(&members, "crit") &&
	       !member(&members, "b64") && type_is_good(member(&members, "typ"));
	json_free(&members);
	return good;
}

static bool signature_is_good(const struct jwt_verifier *v, const struct parts *p)
{
	uint8_t bytes[JWT_TOKEN_MAX];
	struct signature s = {
		.hash = v->algorithm->hash,
		.message = p->header,
		.message_length = p->header_length + 1 + p->payload_length,
		.bytes = bytes,
		.length = sizeof(bytes),
	};

	if (p->signature_length == 0 ||
		!token_base64url(p->signature, p->signature_length, bytes, &s.length))
		return false;
	return v->algorithm->secret_bytes > 0 ? signature_is_of_secret(&s, v->key, v->key_length)
					      : signature_is_of_key(&s, &v->public);
}

/*
 * Reads a time within reason. RFC 7519, section 2, allows fractions of a second, which are dropped.
 * False if it is there and is anything else.
 */
static bool read_time(const struct json_members *m, const char *name, bool *there, int64_t *time)
{
	const struct json_value *v = member(m, name);
	double seconds;

	*there = v != NULL;
	*time = 0;
	if (!v)
		return true;
	if (v->kind != JSON_KIND_INTEGER && v->kind != JSON_KIND_REAL)
		return false;
	seconds = strtod(v->text, NULL);
	if (!(seconds >= 0 && seconds <= (double)(INT64_MAX / 2000)))
		return false;
	*time = (int64_t)seconds;
	return true;
}

/*
 * Is the time too far in the future? RFC 7519, section 4.1.5, allows some leeway for nbf; section
 * 4.1.6 refuses no token for its iat.
 */
static bool is_early(const struct jwt_verifier *v, int64_t time_s, int64_t now_s, int64_t early_s)
{
	return time_s > now_s + (v->leeway_s > early_s ? v->leeway_s : early_s);
}

static const char *wrong_times(const struct jwt_verifier *v, const struct json_members *m,
	int64_t now_s, int64_t *expires_s)
{
	int64_t exp, nbf, iat;
	bool has_exp, has_nbf, has_iat;

	if (!read_time(m, "exp", &has_exp, &exp) || !read_time(m, "nbf", &has_nbf, &nbf) ||
		!read_time(m, "iat", &has_iat, &iat))
		return "exp, nbf or iat is not a number of seconds since 1970";
	if (!has_exp)
		return "it has no exp";
	*expires_s = exp + v->leeway_s;
	if (now_s >= *expires_s)
		return "its exp has passed";
	if (has_nbf && is_early(v, nbf, now_s, NBF_EARLY_S))
		return "its nbf is in the future";
	return has_iat && is_early(v, iat, now_s, IAT_EARLY_S) ? "its iat is in the future" : NULL;
}

/* Is this text the member, or an element of its list? */
static bool names(const struct json_members *m, const char *name, const char *text)
{
	for (size_t i = 0; i < m->count; i++)
		if (!strcmp(m->value[i].name, name) && says(&m->value[i], text))
			return true;
	return false;
}

/* `channels` and `publish`, if present, must be lists of channels or patterns. */
static bool channels_are_good(const struct json_members *m, const char *name)
{
	const struct json_value *list = member(m, name);

	if (list && list->kind != JSON_KIND_ARRAY)
		return false;
	for (size_t i = 0; i < m->count; i++) {
		const struct json_value *v = &m->value[i];

		if (v->listed && !strcmp(v->name, name) &&
			(v->kind != JSON_KIND_STRING || !channel_is_pattern(v->text, v->length)))
			return false;
	}
	return true;
}

static const char *wrong_claims(
	const struct jwt_verifier *v, int64_t now_s, struct jwt_claims *claims)
{
	const struct json_members *m = &claims->members;
	const struct json_value *subject = member(m, "sub");
	const char *wrong = wrong_times(v, m, now_s, &claims->expires_s);

	if (wrong)
		return wrong;
	if (!channels_are_good(m, "channels"))
		return "channels is not a list of channels and patterns";
	if (!channels_are_good(m, "publish"))
		return "publish is not a list of channels and patterns";
	if (subject && subject->kind != JSON_KIND_STRING)
		return "sub is not a string";
	claims->subject = subject ? subject->text : "";
	if (v->audience && !names(m, "aud", v->audience))
		return "its aud is not --jwt-audience";
	if (v->issuer && !says(member(m, "iss"), v->issuer))
		return "its iss is not --jwt-issuer";
	return NULL;
}

/* Checks everything but the signature. NULL if nothing is wrong; then the caller frees *claims. */
static const char *wrong_content(const struct jwt_verifier *v, const char *token, size_t length,
	int64_t now_s, struct parts *p, struct jwt_claims *claims)
{
	const char *wrong;

	memset(claims, 0, sizeof(*claims));
	if (length > JWT_TOKEN_MAX)
		return "it is too long";
	if (!split(token, length, p))
		return "it does not have the three parts of a JWT";
	if (!header_is_good(v, p))
		return "its header names another algorithm or type, or an extension that is not "
		       "supported";
	if (!read_part(p->payload, p->payload_length, &claims->members))
		return "its claims are not a JSON object, or have a duplicate name";
	if ((wrong = wrong_claims(v, now_s, claims)))
		jwt_claims_free(claims);
	return wrong;
}

enum jwt_verdict jwt_verify(const struct jwt_verifier *v, const char *token, size_t length,
	int64_t now_s, struct jwt_claims *claims, const char **wrong)
{
	struct parts p;

	/* Cheap checks first: a page with an old token asks often. */
	if ((*wrong = wrong_content(v, token, length, now_s, &p, claims)))
		return JWT_BAD;
	if (signature_is_good(v, &p))
		return JWT_GOOD;
	jwt_claims_free(claims);
	*wrong = "its signature was not made with the key";
	return JWT_FORGED;
}

bool jwt_is_timely(const struct jwt_verifier *v, const char *token, size_t length, int64_t now_s)
{
	struct jwt_claims claims;
	struct parts p;
	bool timely = !wrong_content(v, token, length, now_s, &p, &claims);

	if (timely)
		jwt_claims_free(&claims);
	return timely;
}

void jwt_claims_free(struct jwt_claims *claims)
{
	json_free(&claims->members);
	memset(claims, 0, sizeof(*claims));
}
