/*
 * jwts: builds JWTs from any header and claims, and has them verified. Each token ends where its
 * memory ends, and is freed before the checks. Link jwtoken, publickey, signature, token,
 * json, channel and utf8, with -lhogweed -lnettle -lgmp -ljansson -lsodium.
 */
#ifndef ROWTAIL_TESTS_JWTS_H
#define ROWTAIL_TESTS_JWTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "access/jwtoken.h"
#include "base64.h"

enum { JWTS_MAX = 65536, SENTENCE_MAX = 400 };

#define NOW INT64_C(1800000000)
#define SECRET "thirty-two or more bytes, which nobody would guess"
#define CLAIMS "{\"exp\":1800000060,\"sub\":\"ann\",\"channels\":[\"orders/*\"]}"
#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static struct config config;
static struct jwt_verifier *verifier;
static struct jwt_claims claims;
static char token[JWTS_MAX], sentence[SENTENCE_MAX];
static size_t token_length;
static int exit_status;

/* A verifier for a key, which is in a file only while it is read; NULL, and a sentence. */
static inline struct jwt_verifier *open_key(const char *algorithm, const void *key, size_t length)
{
	char path[] = "/tmp/rowtail-key-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, key, length), length);
	close(fd);
	jwt_verifier_free(verifier);
	config.jwt_key = path;
	config.jwt_algorithm = algorithm;
	exit_status = 0;
	sentence[0] = '\0';
	verifier = jwt_verifier_new(&config, &exit_status, sentence, sizeof(sentence));
	config.jwt_key = NULL;
	unlink(path);
	return verifier;
}

static inline void use_key(const char *algorithm, const char *key)
{
	if (!open_key(algorithm, key, strlen(key)))
		fail_msg("%s", sentence);
}

/* Header and claims, without a signature: `token` is "HEADER.CLAIMS". */
static inline void write_token(const char *header, const char *payload)
{
	token_length = base64_write(token, base64_url, header, strlen(header));
	token[token_length++] = '.';
	token_length += base64_write(token + token_length, base64_url, payload, strlen(payload));
}

static inline void add_signature(const void *signature, size_t length)
{
	token[token_length++] = '.';
	token_length += base64_write(token + token_length, base64_url, signature, length);
}

/* What HS256 says of this header, these claims and a secret. */
static inline void sign(const char *header, const char *payload, const char *secret)
{
	crypto_auth_hmacsha256_state state;
	uint8_t mac[crypto_auth_hmacsha256_BYTES];

	write_token(header, payload);
	crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)token, token_length);
	crypto_auth_hmacsha256_final(&state, mac);
	add_signature(mac, sizeof(mac));
}

/* The error in so many bytes of `token`; NULL if valid, and then `claims` has its contents. */
static inline const char *verify_part(size_t length, int64_t now_s)
{
	char *copy = malloc(length ? length : 1);
	const char *wrong;
	enum jwt_verdict verdict;

	assert_non_null(copy);
	memcpy(copy, token, length);
	jwt_claims_free(&claims);
	memset(&claims, 0xff, sizeof(claims));
	verdict = jwt_verify(verifier, copy, length, now_s, &claims, &wrong);
	assert_int_equal(verdict == JWT_GOOD, !wrong);
	/* Errors that need no signature check are found without one. */
	assert_int_equal(jwt_is_timely(verifier, copy, length, now_s), verdict != JWT_BAD);
	free(copy);
	/* Everything is freed. */
	if (wrong)
		assert_null(claims.members.memory);
	return wrong;
}

static inline const char *verify(void)
{
	return verify_part(token_length, NOW);
}

static inline void expect_good(void)
{
	const char *wrong = verify();

	if (wrong)
		fail_msg("%s: %.*s", wrong, (int)token_length, token);
}

/* The token is refused with a reason that contains these words. */
static inline void expect_refusal(const char *part)
{
	const char *wrong = verify();

	if (!wrong)
		fail_msg("good; expected: %s: %.*s", part, (int)token_length, token);
	else if (!strstr(wrong, part))
		fail_msg("%s; expected: %s", wrong, part);
}

/* Before each test the key is a secret, and nothing else is checked. */
static inline int setup(void **state)
{
	memset(&config, 0, sizeof(config));
	if (sodium_init() < 0)
		return -1;
	use_key("HS256", SECRET);
	return 0;
}

static inline int teardown(void **state)
{
	jwt_claims_free(&claims);
	jwt_verifier_free(verifier);
	verifier = NULL;
	return 0;
}

#define JWT_TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

#endif
