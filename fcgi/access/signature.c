#include "access/signature.h"

#include <gmp.h>
#include <nettle/asn1.h>
#include <nettle/bignum.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/rsa.h>
#include <nettle/sha2.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "access/token.h"

enum {
	MEMORY = 256 * 1024, /* test_signature.c tries the largest keys */
	EXPONENT_BITS_MAX = 256,
	INFO = 19, /* bytes of a DigestInfo before its hash */
	POINT_WHOLE = 4, /* SEC 1, section 2.3.3: x and y follow */
};

/* GMP's memory for one call. Each call uses it again from the start. */
static alignas(max_align_t) uint8_t memory[MEMORY];
static size_t memory_used;

static void *take(size_t size)
{
	void *taken = memory + memory_used;
	size_t rounded =
		(size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);

	if (rounded > MEMORY - memory_used)
		abort();
	memory_used += rounded;
	return taken;
}

static void *take_more(void *old, size_t old_size, size_t size)
{
	void *taken = take(size);

	memcpy(taken, old, old_size < size ? old_size : size);
	return taken;
}

static void give_back(void *taken, size_t size)
{
}

static void begin(void)
{
	mp_set_memory_functions(take, take_more, give_back);
	memory_used = 0;
}

/* RFC 8017, section 9.2, note 1: the part of a DigestInfo before the hash. */
static const struct hash {
	const struct nettle_hash *nettle;
	uint8_t info[INFO];
} hashes[] = {
	[SIGNATURE_SHA256] = {&nettle_sha256,
		{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
			0x01, 0x05, 0x00, 0x04, 0x20}},
	[SIGNATURE_SHA384] = {&nettle_sha384,
		{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
			0x02, 0x05, 0x00, 0x04, 0x30}},
	[SIGNATURE_SHA512] = {&nettle_sha512,
		{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
			0x03, 0x05, 0x00, 0x04, 0x40}},
};

union context {
	struct sha256_ctx sha256;
	struct sha512_ctx sha512; /* also for SHA-384 */
};

/* Returns the length of the hash. */
static size_t hash_message(const struct signature *s, uint8_t digest[SHA512_DIGEST_SIZE])
{
	const struct nettle_hash *hash = hashes[s->hash].nettle;
	union context context;

	hash->init(&context);
	hash->update(&context, s->message_length, (const uint8_t *)s->message);
	hash->digest(&context, hash->digest_size, digest);
	return hash->digest_size;
}

/* With exponent 1, anybody could sign. A long one only costs time. FIPS 186-4, B.3.1. */
static bool is_exponent(const mpz_t e)
{
	return mpz_odd_p(e) && mpz_cmp_ui(e, 1) > 0 && mpz_sizeinbase(e, 2) <= EXPONENT_BITS_MAX;
}

static bool read_rsa(struct rsa_public_key *rsa, const struct publickey *key)
{
	struct asn1_der_iterator i;

	rsa_public_key_init(rsa);
	return asn1_der_iterator_first(&i, key->length, key->bytes) == ASN1_ITERATOR_CONSTRUCTED &&
	       rsa_public_key_from_der_iterator(rsa, SIGNATURE_RSA_BITS_MAX, &i) &&
	       is_exponent(rsa->e);
}

static bool rsa_is_good(const struct signature *s, const struct publickey *key)
{
	uint8_t info[INFO + SHA512_DIGEST_SIZE];
	struct rsa_public_key rsa;
	mpz_t number;
	size_t length;

	if (!read_rsa(&rsa, key) || s->length != rsa.size)
		return false;
	nettle_mpz_init_set_str_256_u(number, s->length, s->bytes);
	memcpy(info, hashes[s->hash].info, INFO);
	length = INFO + hash_message(s, info + INFO);
	return rsa_pkcs1_verify(&rsa, length, info, number);
}

/* *size: bytes of one coordinate. */
static const struct ecc_curve *curve(enum publickey_kind kind, size_t *size)
{
	switch (kind) {
	case PUBLICKEY_P256:
		*size = 32;
		return nettle_get_secp_256r1();
	case PUBLICKEY_P384:
		*size = 48;
		return nettle_get_secp_384r1();
	case PUBLICKEY_P521:
		*size = 66;
		return nettle_get_secp_521r1();
	default:
		return NULL;
	}
}

static bool read_point(struct ecc_point *point, const struct publickey *key, size_t *size)
{
	const struct ecc_curve *ecc = curve(key->kind, size);
	mpz_t x, y;

	if (!ecc || key->length != 1 + 2 * *size || key->bytes[0] != POINT_WHOLE)
		return false;
	nettle_mpz_init_set_str_256_u(x, *size, key->bytes + 1);
	nettle_mpz_init_set_str_256_u(y, *size, key->bytes + 1 + *size);
	ecc_point_init(point, ecc);
	return ecc_point_set(point, x, y);
}

static bool ecdsa_is_good(const struct signature *s, const struct publickey *key)
{
	uint8_t digest[SHA512_DIGEST_SIZE];
	struct dsa_signature numbers;
	struct ecc_point point;
	size_t size;

	if (!read_point(&point, key, &size) || s->length != 2 * size)
		return false;
	dsa_signature_init(&numbers);
	nettle_mpz_set_str_256_u(numbers.r, size, s->bytes);
	nettle_mpz_set_str_256_u(numbers.s, size, s->bytes + size);
	return ecdsa_verify(&point, hash_message(s, digest), digest, &numbers);
}

bool signature_key_is_sound(const struct publickey *key)
{
	struct rsa_public_key rsa;
	struct ecc_point point;
	size_t size;

	begin();
	if (key->kind == PUBLICKEY_RSA)
		return read_rsa(&rsa, key);
	return key->kind == PUBLICKEY_ED25519 || read_point(&point, key, &size);
}

bool signature_is_of_key(const struct signature *s, const struct publickey *key)
{
	begin();
	switch (key->kind) {
	case PUBLICKEY_RSA:
		return rsa_is_good(s, key);
	case PUBLICKEY_ED25519:
		return token_ed25519_verify(
			key->bytes, s->bytes, s->length, s->message, s->message_length);
	default:
		return ecdsa_is_good(s, key);
	}
}

bool signature_is_of_secret(const struct signature *s, const char *secret, size_t length)
{
	const struct nettle_hash *hash = hashes[s->hash].nettle;
	union context outer, inner, state;
	uint8_t mac[SHA512_DIGEST_SIZE];

	hmac_set_key(&outer, &inner, &state, hash, length, (const uint8_t *)secret);
	hmac_update(&state, hash, s->message_length, (const uint8_t *)s->message);
	hmac_digest(&outer, &inner, &state, hash, hash->digest_size, mac);
	return s->length == hash->digest_size && memeql_sec(mac, s->bytes, s->length);
}
