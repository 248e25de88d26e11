/*
 * jwtoken: checks that the configured key has signed a token, and reads its claims.
 *
 * The algorithm is always the configured one. A token that names another is refused before any key
 * is used. `signature` verifies the signature. Our own strict reader reads header and claims; it
 * refuses what JSON libraries treat differently: duplicate names, deep nesting, wrong types.
 *
 * Source: RFC 7519 (JWT), RFC 7515 (JWS), RFC 8725 (best current practices), RFC 8037 (EdDSA).
 */
#ifndef ROWTAIL_JWTOKEN_H
#define ROWTAIL_JWTOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "config/config.h"

enum { JWT_TOKEN_MAX = 8192 };

struct jwt_verifier;

/*
 * Reads the key. If it can't be used, returns NULL and writes a sentence. *exit_status is then 66
 * if the file can't be read, else 78.
 */
struct jwt_verifier *jwt_verifier_new(
	const struct config *config, int *exit_status, char *sentence, size_t size);
void jwt_verifier_free(struct jwt_verifier *v);

/*
 * Does the token begin with the header of a JWT, so that nobody could be guessing with it? False
 * with errno ENOMEM if there is no memory to find out.
 */
bool jwt_has_header(const char *token, size_t length);

struct jwt_claims {
	const char *subject; /* "" if there is none; borrowed from members */
	int64_t expires_s; /* exp plus the leeway, seconds since 1970 */
	struct json_members members; /* `channels` and `publish` are listed values; owned */
};

enum jwt_verdict {
	JWT_GOOD,
	JWT_BAD, /* malformed, not for us, expired or not yet valid; costs nothing to detect */
	JWT_FORGED, /* not signed by the key; costs a millisecond to detect */
};

/*
 * Verifies a token at a time (seconds since 1970). With JWT_GOOD, the caller frees *claims with
 * jwt_claims_free(). Otherwise there is nothing to free, and *wrong says what is wrong, for the log
 * (it quotes no part of the token).
 */
enum jwt_verdict jwt_verify(const struct jwt_verifier *v, const char *token, size_t length,
	int64_t now_s, struct jwt_claims *claims, const char **wrong);

/* Is everything but the signature of the token valid? Cheap. */
bool jwt_is_timely(const struct jwt_verifier *v, const char *token, size_t length, int64_t now_s);
void jwt_claims_free(struct jwt_claims *claims);

#endif
