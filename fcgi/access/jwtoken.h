/*
 * jwtoken: is this token one that the configured key has signed, and what does it claim?
 *
 * The algorithm is the configured one, whatever a token says of itself; a token that says another is
 * refused before any key is touched. `signature` verifies the signature; header and claims are read by
 * our own strict reader, which refuses what libraries differ about: names twice, deep nesting, wrong
 * types.
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
 * Reads the key. NULL, and a sentence, when it can't be used; *exit_status 66 when the file can't be
 * read, else 78.
 */
struct jwt_verifier *jwt_verifier_new(
	const struct config *config, int *exit_status, char *sentence, size_t size);
void jwt_verifier_free(struct jwt_verifier *v);

/*
 * Is its first part the header of a JWT, so that nobody would show it by guessing? False with errno ENOMEM
 * when there is no memory to tell.
 */
bool jwt_has_header(const char *token, size_t length);

struct jwt_claims {
	const char *subject; /* "" when there is none; borrowed from members */
	int64_t expires_s; /* exp and the leeway, seconds since 1970 */
	struct json_members members; /* `channels` are its listed values; owned */
};

enum jwt_verdict {
	JWT_GOOD,
	JWT_BAD, /* malformed, not for us, or out of its time: found out at no cost */
	JWT_FORGED, /* its signature is not the key's, which takes a millisecond to find out */
};

/*
 * Verifies a token at a time (seconds since 1970). JWT_GOOD: *claims is then to be given to
 * jwt_claims_free(). Else *wrong says what is wrong with it, in words for the log (they quote nothing of
 * it), and there is nothing to free.
 */
enum jwt_verdict jwt_verify(const struct jwt_verifier *v, const char *token, size_t length,
	int64_t now_s, struct jwt_claims *claims, const char **wrong);

/* Is all but the signature of the token as it should be? Costs little. */
bool jwt_is_timely(const struct jwt_verifier *v, const char *token, size_t length, int64_t now_s);
void jwt_claims_free(struct jwt_claims *claims);

#endif
