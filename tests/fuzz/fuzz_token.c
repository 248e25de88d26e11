/* links: request/credentials base/clock base/file access/jwtoken access/publickey access/signature access/token base/json log/channel base/utf8 */
/* libs: -lhogweed -lnettle -lgmp -ljansson -lsodium */
/*
 * The first byte says what the rest is: a key or base64url, a request's credentials, a token, or
 * header and claims with a line break between them, which are then signed. A key does no harm, and
 * base64url has only one spelling. Credentials found in a request lie within it. No token is
 * accepted unless the key has signed it unchanged.
 */
#include <sodium.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access/jwtoken.h"
#include "access/publickey.h"
#include "access/token.h"
#include "log/channel.h"
#include "request/credentials.h"
#include "require.h"

enum { WHAT_KEY, WHAT_REQUEST, WHAT_TOKEN, WHAT_CLAIMS, WHATS };
enum { DER_MAX = 4096, PATH_ROOM = 40, VERIFIERS = 5, MAC = crypto_auth_hmacsha256_BYTES };

#define NOW INT64_C(1800000000)
#define SECRET "thirty-two or more bytes, which nobody would guess"
#define ISSUER "https://a.example"

/* Public keys whose private keys no longer exist. */
static const char rsa[] = "-----BEGIN PUBLIC KEY-----\n"
			  "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqr9YiJo5DNpSp47f3Suu\n"
			  "ywdYyL+R5FZmUD9V0YRctKcYKQZR92J2U54KdYk9Je17AG/ymJKmIW22PE+AdU8c\n"
			  "9GQ4FJ5w440q2xSW7AdgqW2d5HMMp7G2ntljBzCZgg1FCp1F15weDC+vcXKOF0Vf\n"
			  "bcGt9noceeTkfIh+OvQOelvEEwsuFww3cLeZtMwk1LQiGS9IWPe1kmyLiV3T0WxR\n"
			  "qDp4E0P2VeISFJQSqeqCibLU6mhC9boZt7Ha7xJiy8GlHbAc/8KTSt/oPBxqJ5Gj\n"
			  "Qq3/V7mnPz0979LX2o8Coee48GeUJlbWF/02pxnpI5VdaHkvp+fHAkt55ToA2w7f\n"
			  "MwIDAQAB\n"
			  "-----END PUBLIC KEY-----\n";
static const char p256[] = "-----BEGIN PUBLIC KEY-----\n"
			   "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+eAO6bOr41p6PxC6wrBrkG5O66zf\n"
			   "bBcQ+kr/jcv6pHZe+jKFevA6hRhI4+kmU5XT7+j29w5uDo+7fu4OTopNDw==\n"
			   "-----END PUBLIC KEY-----\n";
static const char ed25519[] = "-----BEGIN PUBLIC KEY-----\n"
			      "MCowBQYDK2VwAyEASgnh/Fh3LJOl9pi3LQX1S1pv9ImPVQw3rMDevZfp7rk=\n"
			      "-----END PUBLIC KEY-----\n";

/* The first has the secret that signs tokens here; the second demands more claims. */
static const struct {
	const char *algorithm, *key, *audience, *issuer;
} keys[VERIFIERS] = {
	{"HS256", SECRET, NULL, NULL},
	{"HS256", SECRET, "rowtail", ISSUER},
	{"HS256", SECRET " and more", NULL, NULL},
	{"RS256", rsa, NULL, NULL},
	{"ES256", p256, NULL, NULL},
};
static struct jwt_verifier *verifiers[VERIFIERS], *eddsa;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key is read from a file; this file is in memory only. */
static struct jwt_verifier *make_verifier(
	const char *algorithm, const char *key, const char *audience, const char *issuer)
{
	int fd = memfd_create("key", MFD_CLOEXEC), exit_status;
	struct config config = {
		.jwt_algorithm = algorithm, .jwt_audience = audience, .jwt_issuer = issuer};
	char path[PATH_ROOM], sentence[CONFIG_SENTENCE_MAX] = "";
	struct jwt_verifier *v;

	require(fd >= 0 && write(fd, key, strlen(key)) == (ssize_t)strlen(key), "a key is written");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.jwt_key = path;
	v = jwt_verifier_new(&config, &exit_status, sentence, sizeof(sentence));
	require(v != NULL, sentence);
	close(fd);
	return v;
}

static void prepare(void)
{
	if (eddsa)
		return;
	require(token_init(), "libsodium");
	for (int i = 0; i < VERIFIERS; i++)
		verifiers[i] = make_verifier(
			keys[i].algorithm, keys[i].key, keys[i].audience, keys[i].issuer);
	eddsa = make_verifier("EdDSA", ed25519, NULL, NULL);
}

/* A copy with so many bytes before it; it ends where its memory ends. */
static char *copy_of(const uint8_t *data, size_t size, const char *before)
{
	size_t more = strlen(before);
	char *copy = require_memory(more + size + 1);

	memcpy(copy, before, more);
	if (size > 0)
		memcpy(copy + more, data, size);
	copy[more + size] = '\0';
	return copy;
}

static void check_base64url(const char *text, size_t length)
{
	uint8_t bytes[DER_MAX];
	size_t count = sizeof(bytes);
	char again[2 * DER_MAX];

	if (!token_base64url(text, length, bytes, &count))
		return;
	sodium_bin2base64(
		again, sizeof(again), bytes, count, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	require(strlen(again) == length && !memcmp(again, text, length),
		"there is one way to write it");
}

static void check_key(const uint8_t *data, size_t size)
{
	char *text = copy_of(data, size, ""), *more = copy_of(data, size, "Words before it.\n");
	struct publickey key, same;
	uint8_t der[DER_MAX];
	size_t length = sizeof(der);

	check_base64url(text, size);
	if (publickey_read(&key, text)) {
		require(token_pem(text, der, &length), "a key is PEM");
		require(key.bits <= 8 * length, "a modulus is in the key");
		require(key.bits == 0 || key.kind == PUBLICKEY_RSA, "other keys have no modulus");
		require(key.kind != PUBLICKEY_ED25519 ||
				!memcmp(key.bytes, der + length - TOKEN_ED25519_KEY,
					TOKEN_ED25519_KEY),
			"an Ed25519 key is at the end");
		require(publickey_read(&same, more) && same.kind == key.kind &&
				same.bits == key.bits,
			"words before it don't matter");
	} else {
		require(!publickey_read(&same, more), "words don't make a key");
	}
	free(text);
	free(more);
}

static bool lies_in(const struct credentials *c, const char *text)
{
	return text && c->token >= text && c->token + c->length <= text + strlen(text);
}

static void check_cookie(const struct credentials *c, const char *cookie)
{
	static const char name[] = "rowtail_token=";
	const char *at = c->token;

	require(c->length > 0, "an empty cookie is none");
	for (size_t i = 0; i < c->length; i++)
		require(!strchr("; \t", at[i]), "a cookie is one word");
	if ((size_t)(at - cookie) > strlen(name) && at[-1] == '"')
		at--;
	require((size_t)(at - cookie) >= strlen(name) &&
			!memcmp(at - strlen(name), name, strlen(name)),
		"a cookie has the name");
}

/* Three texts with NULs between them; the bits of the first byte say which exist. */
static void check_request(const uint8_t *data, size_t size)
{
	char *texts[3] = {NULL};
	struct credentials c;
	bool found;
	const uint8_t *at = data + 1, *end = data + size;

	for (int i = 0; size > 0 && i < 3; i++) {
		const uint8_t *nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
		size_t length = (size_t)((nul ? nul : end) - at);

		if (data[0] & 1 << i)
			texts[i] = copy_of(at, length, "");
		at += length + (nul ? 1 : 0);
	}
	found = credentials_find(&c, texts[0], texts[1], texts[2]);
	require(found || !texts[1], "a parameter counts as shown");
	if (found) {
		require(lies_in(&c, texts[0]) + lies_in(&c, texts[1]) + lies_in(&c, texts[2]) == 1,
			"it lies in one of them");
		require(c.is_cookie == lies_in(&c, texts[2]), "a cookie is told");
		require(!texts[1] || !c.is_cookie, "a parameter goes before a cookie");
		if (c.is_cookie)
			check_cookie(&c, texts[2]);
	}
	for (int i = 0; i < 3; i++)
		free(texts[i]);
}

/* Whether our secret signed it, by the text before the last dot and the signature after it. */
static bool is_signed(const char *token, size_t length)
{
	const char *dot = memrchr(token, '.', length);
	crypto_auth_hmacsha256_state state;
	uint8_t mac[MAC], shown[MAC];
	size_t count = sizeof(shown);

	if (!dot || !token_base64url(dot + 1, (size_t)(token + length - dot - 1), shown, &count) ||
		count != MAC)
		return false;
	crypto_auth_hmacsha256_init(&state, (const uint8_t *)SECRET, strlen(SECRET));
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)token, (size_t)(dot - token));
	crypto_auth_hmacsha256_final(&state, mac);
	return !memcmp(mac, shown, MAC);
}

static void check_claims(const struct jwt_claims *claims)
{
	require(claims->expires_s > NOW, "what is over is refused");
	require(claims->subject != NULL, "there is a subject, if an empty one");
	for (size_t i = 0; i < claims->members.count; i++) {
		const struct json_value *v = &claims->members.value[i];

		require(!v->listed || strcmp(v->name, "channels") != 0 ||
				channel_is_pattern(v->text, v->length),
			"channels are patterns");
	}
}

static bool accepts(const struct jwt_verifier *v, const char *token, size_t length)
{
	struct jwt_claims claims;
	const char *wrong;

	if (jwt_verify(v, token, length, NOW, &claims, &wrong) != JWT_GOOD) {
		require(wrong != NULL, "it says what is wrong");
		require(claims.members.memory == NULL, "there is nothing to free");
		return false;
	}
	check_claims(&claims);
	jwt_claims_free(&claims);
	return true;
}

/* The unchanged token, with every key. */
static bool check_token(const char *token, size_t length)
{
	const bool good = accepts(verifiers[0], token, length);

	require(!good || is_signed(token, length), "none is good that is not signed");
	require(!good || jwt_has_header(token, length), "a good one has a header");
	require(good || !accepts(verifiers[1], token, length), "asking for more refuses more");
	for (int i = 2; i < VERIFIERS; i++)
		require(!accepts(verifiers[i], token, length), "another key accepts none");
	require(!accepts(eddsa, token, length), "another key accepts none");
	return good;
}

/* A signed token of these two texts; to be freed. */
static char *sign(const uint8_t *data, size_t size, size_t *length)
{
	const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
	const size_t header = line ? (size_t)(line - data) : size;
	const size_t claims = line ? size - header - 1 : 0, room = 2 * size + 200;
	const int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
	char *token = require_memory(room);
	uint8_t mac[MAC];
	crypto_auth_hmacsha256_state state;

	sodium_bin2base64(token, room, data, header, variant);
	*length = strlen(token);
	token[(*length)++] = '.';
	sodium_bin2base64(token + *length, room - *length, line ? line + 1 : data, claims, variant);
	*length += strlen(token + *length);
	crypto_auth_hmacsha256_init(&state, (const uint8_t *)SECRET, strlen(SECRET));
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)token, *length);
	crypto_auth_hmacsha256_final(&state, mac);
	token[(*length)++] = '.';
	sodium_bin2base64(token + *length, room - *length, mac, MAC, variant);
	*length += strlen(token + *length);
	return token;
}

/* A signed token, changed at a place that the input chooses. */
static void check_signed(const uint8_t *data, size_t size)
{
	size_t length, sum = size;
	char *token = sign(data, size, &length);

	check_token(token, length);
	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	require(!accepts(verifiers[0], token, sum % length), "a part of it is refused");
	token[sum % length] ^= (char)(1 << sum / length % 8);
	require(!check_token(token, length), "a changed one is refused");
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	prepare();
	if (size == 0)
		return 0;
	switch (data[0] % WHATS) {
	case WHAT_KEY:
		check_key(data + 1, size - 1);
		break;
	case WHAT_REQUEST:
		check_request(data + 1, size - 1);
		break;
	case WHAT_TOKEN:
		copy = require_memory(size - 1);
		memcpy(copy, data + 1, size - 1);
		check_token(copy, size - 1);
		free(copy);
		break;
	case WHAT_CLAIMS:
		check_signed(data + 1, size - 1);
		break;
	}
	return 0;
}
