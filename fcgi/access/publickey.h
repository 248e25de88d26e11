/*
 * publickey: finds the kind of key in a PEM file, so that an unusable key is reported at startup,
 * instead of every token being refused.
 *
 * Pure. Parses only the structure; signature checks whether the numbers are sound.
 *
 * Source: RFC 7468, section 13 (PEM); RFC 5280, section 4.1 (SubjectPublicKeyInfo); RFC 8017,
 * appendix A.1 (RSA), RFC 5480, section 2.1.1 (curves), RFC 8410, section 4 (Ed25519).
 */
#ifndef ROWTAIL_PUBLICKEY_H
#define ROWTAIL_PUBLICKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access/token.h"

enum publickey_kind {
	PUBLICKEY_OTHER,
	PUBLICKEY_RSA,
	PUBLICKEY_P256,
	PUBLICKEY_P384,
	PUBLICKEY_P521,
	PUBLICKEY_ED25519,
};

enum { PUBLICKEY_MAX = 4096 };

struct publickey {
	enum publickey_kind kind;
	size_t bits; /* of an RSA modulus */
	/*
	 * The key itself: an RSAPublicKey (RFC 8017, appendix A.1.1), a point (SEC 1, section
	 * 2.3.3), 32 bytes.
	 */
	size_t length;
	uint8_t bytes[PUBLICKEY_MAX];
};

/* Reads the first public key of a text. False if there is none. */
bool publickey_read(struct publickey *key, const char *pem);

#endif
