/* links: access/publickey access/token */
/* libs: -lsodium */
/* The kind of a key, whatever is around it; and errors for what is not a public key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access/publickey.h"
#include "base64.h"
#include "keys.h"

enum { DER_ROOM = 2 * KEYS_MAX, RAW = TOKEN_ED25519_KEY };

static struct keys_pair rsa, p256, ed25519;
static struct publickey key;

static int make_keys(void **state)
{
	if (!token_init())
		return -1;
	keys_make(&rsa, "RSA -pkeyopt rsa_keygen_bits:2048");
	keys_make(&p256, "EC -pkeyopt ec_paramgen_curve:P-256");
	keys_make(&ed25519, "ED25519");
	return 0;
}

/* Reads a copy that ends where its memory ends, into a key with old contents. */
static bool read_key(const char *pem)
{
	char *copy = strdup(pem);
	bool is_read;

	assert_non_null(copy);
	memset(&key, 0xff, sizeof(key));
	is_read = publickey_read(&key, copy);
	free(copy);
	return is_read;
}

static void expect_kind(const char *pem, enum publickey_kind kind, size_t bits)
{
	if (!read_key(pem))
		fail_msg("no key: %s", pem);
	assert_int_equal(key.kind, kind);
	assert_int_equal(key.bits, bits);
}

static void expect_none(const char *pem)
{
	if (read_key(pem))
		fail_msg("kind %d: %s", key.kind, pem);
}

/* The DER encoding of a pair's public key, from openssl. */
static size_t der_of(const struct keys_pair *pair, char der[KEYS_MAX])
{
	return keys_run(
		"printf '%s' \"$INPUT\" | openssl pkey -pubin -outform DER", pair->public, der);
}

/* Bytes as a PEM text. */
static const char *pem_of(const void *der, size_t length)
{
	static char pem[DER_ROOM + 100];
	char text[DER_ROOM];

	assert_true(length < DER_ROOM / 4 * 3 - 4);
	base64_write_padded(text, der, length);
	snprintf(pem, sizeof(pem), "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n",
		text);
	return pem;
}

static void test_kinds(void **state)
{
	static const struct {
		const char *algorithm;
		enum publickey_kind kind;
		size_t bits;
	} cases[] = {
		{"RSA -pkeyopt rsa_keygen_bits:1024", PUBLICKEY_RSA, 1024},
		{"RSA -pkeyopt rsa_keygen_bits:2048", PUBLICKEY_RSA, 2048},
		{"EC -pkeyopt ec_paramgen_curve:P-256", PUBLICKEY_P256, 0},
		{"EC -pkeyopt ec_paramgen_curve:P-384", PUBLICKEY_P384, 0},
		{"EC -pkeyopt ec_paramgen_curve:P-521", PUBLICKEY_P521, 0},
		{"ED25519", PUBLICKEY_ED25519, 0},
		{"EC -pkeyopt ec_paramgen_curve:secp256k1", PUBLICKEY_OTHER, 0},
		{"EC -pkeyopt ec_paramgen_curve:secp224r1", PUBLICKEY_OTHER, 0},
		{"EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
			PUBLICKEY_OTHER, 0},
		{"RSA-PSS -pkeyopt rsa_keygen_bits:1024", PUBLICKEY_OTHER, 0},
		{"X25519", PUBLICKEY_OTHER, 0},
		{"ED448", PUBLICKEY_OTHER, 0},
	};
	struct keys_pair pair;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		keys_make(&pair, cases[i].algorithm);
		expect_kind(pair.public, cases[i].kind, cases[i].bits);
	}
}

/* An RSA key whose modulus is this, in hexadecimal digits. */
static const char *rsa_of(const char *modulus)
{
	static const char command[] =
		"printf 'asn1=SEQUENCE:k\\n[k]\\na=SEQUENCE:a\\nb=BITWRAP,SEQUENCE:b\\n[a]\\n"
		"o=OID:rsaEncryption\\nn=NULL\\n[b]\\nm=INTEGER:0x%s\\ne=INTEGER:3\\n' "
		"\"$INPUT\" | openssl asn1parse -genconf /dev/stdin -noout -out /dev/stdout";
	char der[KEYS_MAX];

	return pem_of(der, keys_run(command, modulus, der));
}

/* openssl's keys do not always have the requested length. */
static void test_modulus_sizes(void **state)
{
	static const size_t lengths[] = {1, 2, 31, 255, 256, 257, 511, 512, 513, 1024, 4096};
	char digits[4096 + 1];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		const size_t bits = 4 * lengths[i];

		memset(digits, 'f', lengths[i]);
		digits[lengths[i]] = '\0';
		expect_kind(rsa_of(digits), PUBLICKEY_RSA, bits);
		digits[0] = '8';
		expect_kind(rsa_of(digits), PUBLICKEY_RSA, bits);
		digits[0] = '7';
		expect_kind(rsa_of(digits), PUBLICKEY_RSA, bits - 1);
		digits[0] = '1';
		expect_kind(rsa_of(digits), PUBLICKEY_RSA, bits - 3);
	}
	expect_kind(rsa_of("0"), PUBLICKEY_RSA, 0);
}

static void test_ed25519_key_bytes(void **state)
{
	char der[KEYS_MAX];
	size_t length = der_of(&ed25519, der);

	expect_kind(ed25519.public, PUBLICKEY_ED25519, 0);
	assert_memory_equal(key.bytes, der + length - RAW, RAW);
}

static void test_invalid_public_keys(void **state)
{
	char out[KEYS_MAX];

	expect_none("");
	expect_none("a secret of more than thirty-two bytes, as text");
	expect_none(rsa.private);
	expect_none(ed25519.private);
	keys_run("printf '%s' \"$INPUT\" | openssl rsa -RSAPublicKey_out 2>/dev/null", rsa.private,
		out);
	expect_none(out);
	keys_run("openssl req -x509 -newkey ed25519 -nodes -keyout /dev/null -subj /CN=a "
		 "2>/dev/null",
		"", out);
	expect_none(out);
	expect_none("-----BEGIN PUBLIC KEY-----");
	expect_none("-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----");
	expect_none("-----END PUBLIC KEY-----\nMCow\n-----BEGIN PUBLIC KEY-----\n");
	expect_none("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n");
}

static void test_text_around_a_key(void **state)
{
	char out[3 * KEYS_MAX];

	snprintf(out, sizeof(out), "Of the shop, 2026:\r\n\r\n%s\n\nand no other\n", p256.public);
	expect_kind(out, PUBLICKEY_P256, 0);
	snprintf(out, sizeof(out), "%s%s", p256.public, ed25519.public);
	expect_kind(out, PUBLICKEY_P256, 0);
	snprintf(out, sizeof(out), "%s%s", ed25519.public, p256.public);
	expect_kind(out, PUBLICKEY_ED25519, 0);
	keys_run("printf '%s' \"$INPUT\" | openssl pkey -pubin -text", rsa.public, out);
	expect_kind(out, PUBLICKEY_RSA, 2048);
	keys_run("printf '%s' \"$INPUT\" | sed 's/$/\\r/'", rsa.public, out);
	expect_kind(out, PUBLICKEY_RSA, 2048);
	keys_run("printf '%s' \"$INPUT\" | sed 's/^[^-]/\t &/'", rsa.public, out);
	expect_kind(out, PUBLICKEY_RSA, 2048);
}

static void test_truncated_text_is_not_a_key(void **state)
{
	char cut[KEYS_MAX];

	for (size_t length = strlen(rsa.public) - 1; length-- > 0;) {
		memcpy(cut, rsa.public, length);
		cut[length] = '\0';
		expect_none(cut);
	}
}

static void test_truncated_encoding_is_not_a_key(void **state)
{
	const struct keys_pair *const pairs[] = {&rsa, &p256, &ed25519};
	char der[KEYS_MAX];

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		size_t length = der_of(pairs[i], der);

		assert_true(read_key(pem_of(der, length)));
		for (size_t cut = 0; cut < length; cut++)
			expect_none(pem_of(der, cut));
		der[length] = 0;
		expect_none(pem_of(der, length + 1));
	}
}

/* Every DER element has a length; that of an Ed25519 key is fixed. */
static void test_other_der_is_not_an_ed25519_key(void **state)
{
	char der[KEYS_MAX];
	size_t length = der_of(&ed25519, der);

	for (size_t at = 0; at < length - RAW; at++) {
		const char good = der[at];

		for (int c = 0; c < 256; c++) {
			der[at] = (char)c;
			if (read_key(pem_of(der, length)) && der[at] != good)
				assert_int_equal(key.kind, PUBLICKEY_OTHER);
		}
		der[at] = good;
	}
}

static void test_ed25519_key_of_another_length_is_invalid(void **state)
{
	/* RFC 8410, section 4: SEQUENCE { SEQUENCE { OID }, BIT STRING } */
	uint8_t der[44 + 2] = {0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0};

	expect_kind(pem_of(der, 44), PUBLICKEY_ED25519, 0);
	der[1] = 41;
	der[10] = 32;
	expect_none(pem_of(der, 43));
	der[1] = 43;
	der[10] = 34;
	expect_none(pem_of(der, 45));
}

static void test_unusual_der(void **state)
{
	static const struct {
		const char *der;
		size_t length;
	} cases[] = {
		{"\x30\x00", 2},
		{"\x30\x80\x00\x00", 4}, /* no length told */
		{"\x30\x84\x00\x00\x00\x00", 6},
		{"\x30\xff", 2},
		{"\x30\x82\xff\xff", 4},
		{"\x30\x82\x00", 3},
		{"\x30\x02\x30\x00", 4},
		{"\x30\x04\x30\x00\x03\x00", 6}, /* bits without a count of unused ones */
		{"\x30\x05\x30\x00\x03\x01\x07", 7},
		{"\x31\x05\x30\x00\x03\x01\x00", 7},
		{"\x30\x83\x00\x00\x05\x30\x00\x03\x01\x00", 10},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		expect_none(pem_of(cases[i].der, cases[i].length));
	expect_kind(pem_of("\x30\x05\x30\x00\x03\x01\x00", 7), PUBLICKEY_OTHER, 0);
}

static void test_oversized_keys(void **state)
{
	static uint8_t der[5000] = {0x30, 0x82, 0x13, 0x84, 0x30, 0, 3, 0x82, 0x13, 0x7e, 0};

	expect_none(pem_of(der, sizeof(der)));
	/* The size is the error, not the form. */
	der[2] = der[8] = 0x0f;
	der[3] = 0xfc;
	der[9] = 0xf6;
	expect_kind(pem_of(der, 4096), PUBLICKEY_OTHER, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_modulus_sizes),
		cmocka_unit_test(test_ed25519_key_bytes),
		cmocka_unit_test(test_invalid_public_keys),
		cmocka_unit_test(test_text_around_a_key),
		cmocka_unit_test(test_truncated_text_is_not_a_key),
		cmocka_unit_test(test_truncated_encoding_is_not_a_key),
		cmocka_unit_test(test_other_der_is_not_an_ed25519_key),
		cmocka_unit_test(test_ed25519_key_of_another_length_is_invalid),
		cmocka_unit_test(test_unusual_der),
		cmocka_unit_test(test_oversized_keys),
	};

	return cmocka_run_group_tests(tests, make_keys, NULL);
}
