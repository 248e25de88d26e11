/*
 * signature: checks whether the owner of a key signed a message.
 *
 * The only file that includes <nettle/...> and <gmp.h>. Nettle does HMAC, RSA (PKCS #1, v1.5) and
 * ECDSA. libsodium does Ed25519, see token.h. Knows nothing of JWTs, and makes no signatures.
 *
 * Nettle uses GMP, which ends the process if it gets no memory. So GMP uses memory reserved in
 * advance, and a call cannot fail for lack of memory. One thread at a time.
 *
 * Source: RFC 7518, sections 3.2 to 3.4 (what a signature looks like); RFC 8017, section 8.2.2
 * (RSA); FIPS 186-4, section 6.4 (ECDSA); RFC 2104 (HMAC).
 */
#ifndef ROWTAIL_SIGNATURE_H
#define ROWTAIL_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access/publickey.h"

enum { SIGNATURE_RSA_BITS_MAX = 16384 };

enum signature_hash { SIGNATURE_SHA256, SIGNATURE_SHA384, SIGNATURE_SHA512 };

/* A message and its claimed signature; all borrowed. */
struct signature {
	enum signature_hash hash; /* Ed25519 has its own */
	const char *message;
	size_t message_length;
	const uint8_t *bytes; /* ECDSA: r and s, each as long as a coordinate of the key */
	size_t length;
};

/*
 * Can this key verify at all? RSA needs an odd modulus of at most SIGNATURE_RSA_BITS_MAX bits.
 * ECDSA needs a point on its curve.
 */
bool signature_key_is_sound(const struct publickey *key);

/* Verifies with a sound key. */
bool signature_is_of_key(const struct signature *s, const struct publickey *key);

/* Verifies an HMAC, in constant time. */
bool signature_is_of_secret(const struct signature *s, const char *secret, size_t length);

#endif
