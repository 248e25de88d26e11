/* links: access/publickey access/signature access/token */
/* libs: -lhogweed -lnettle -lgmp -lsodium */
/*
 * Published signatures and those of openssl are accepted. Numbers out of range, signatures of the
 * wrong length, forged padding, and damaged or oversized keys are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gmp.h>

#include "access/signature.h"
#include "access/token.h"
#include "keys.h"

enum { BYTES_MAX = 2048, RSA_2048_BYTES = 256, P256_BYTES = 32 };

static const char message[] = "what was signed";

static int prepare(void **state)
{
	return token_init() ? 0 : -1;
}

static size_t decode(const char *base64url, uint8_t bytes[BYTES_MAX])
{
	size_t length = BYTES_MAX;

	assert_true(token_base64url(base64url, strlen(base64url), bytes, &length));
	return length;
}

static struct signature of_message(enum signature_hash hash, const void *bytes, size_t length)
{
	return (struct signature){.hash = hash,
		.message = message,
		.message_length = strlen(message),
		.bytes = bytes,
		.length = length};
}

static void read_key(struct publickey *key, const char *pem)
{
	assert_true(publickey_read(key, pem));
	assert_true(signature_key_is_sound(key));
}

/* RFC 7515, appendix A.1. */
static void test_published_hmac(void **state)
{
	static const char text[] =
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
		"cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	uint8_t secret[BYTES_MAX], mac[BYTES_MAX];
	struct signature s = {SIGNATURE_SHA256, text, strlen(text), mac, 0};
	size_t length = decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3"
			       "Yj0iPS4hcgUuTwjAzZr1Z9CAow",
		secret);

	s.length = decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", mac);
	assert_true(signature_is_of_secret(&s, (const char *)secret, length));
	assert_false(signature_is_of_secret(&s, (const char *)secret, length - 1));
	s.length--;
	assert_false(signature_is_of_secret(&s, (const char *)secret, length));
	s.length++;
	s.hash = SIGNATURE_SHA384;
	assert_false(signature_is_of_secret(&s, (const char *)secret, length));
}

/* RFC 7515, appendix A.3: its key. */
static void read_published_point(struct publickey *key)
{
	*key = (struct publickey){.kind = PUBLICKEY_P256, .length = 1 + 2 * P256_BYTES};
	key->bytes[0] = 4;
	decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", key->bytes + 1);
	decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", key->bytes + 1 + P256_BYTES);
}

static void test_published_ecdsa(void **state)
{
	static const char text[] =
		"eyJhbGciOiJFUzI1NiJ9."
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
		"cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	uint8_t numbers[BYTES_MAX];
	struct signature s = {SIGNATURE_SHA256, text, strlen(text), numbers, 0};
	struct publickey key;

	read_published_point(&key);
	s.length = decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKT"
			  "UJqPP3-Kg6NU1Q",
		numbers);
	assert_true(signature_key_is_sound(&key));
	assert_true(signature_is_of_key(&s, &key));
	numbers[0] ^= 1;
	assert_false(signature_is_of_key(&s, &key));
}

/* r and s are below the order of the curve and above 0. Here: order and prime of P-256. */
static void test_ecdsa_numbers_out_of_range(void **state)
{
	static const char *const numbers[] = {"0",
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552",
		"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "1"};
	enum { NUMBERS = sizeof(numbers) / sizeof(*numbers) };
	uint8_t both[2 * P256_BYTES];
	struct publickey key;

	read_published_point(&key);
	for (size_t i = 0; i < NUMBERS * NUMBERS; i++) {
		struct signature s = of_message(SIGNATURE_SHA256, both, sizeof(both));
		const char *const pair[] = {numbers[i / NUMBERS], numbers[i % NUMBERS]};

		memset(both, 0, sizeof(both));
		for (size_t k = 0; k < 2; k++) {
			size_t count = strlen(pair[k]) / 2;
			mpz_t n;

			mpz_init_set_str(n, pair[k], 16);
			count = (mpz_sizeinbase(n, 2) + 7) / 8;
			mpz_export(both + (k + 1) * P256_BYTES - count, NULL, 1, 1, 1, 0, n);
			mpz_clear(n);
		}
		assert_false(signature_is_of_key(&s, &key));
	}
}

static void test_rsa_signatures_have_the_length_of_the_key(void **state)
{
	char made[KEYS_MAX], bytes[1 + KEYS_MAX] = {0}, text[40];
	struct keys_pair pair;
	struct publickey key;

	keys_make(&pair, "RSA -pkeyopt rsa_keygen_bits:2048");
	read_key(&key, pair.public);
	for (int i = 0; i < 4; i++) {
		size_t length;
		struct signature s;

		snprintf(text, sizeof(text), "message %d", i);
		length = keys_sign(pair.private, "-sha384", text, strlen(text), made);
		assert_int_equal(length, RSA_2048_BYTES);
		memcpy(bytes + 1, made, length);
		s = (struct signature){
			SIGNATURE_SHA384, text, strlen(text), (const uint8_t *)bytes + 1, length};
		assert_true(signature_is_of_key(&s, &key));
		s.length--;
		assert_false(signature_is_of_key(&s, &key));
		s.bytes--;
		s.length = length + 1;
		assert_false(signature_is_of_key(&s, &key));
		s.length = 0;
		assert_false(signature_is_of_key(&s, &key));
	}
}

/*
 * CVE-2006-4339 and similar. With the exponent 3 anybody can find a cube whose upper part looks
 * like a padded hash. A verifier that ignores the bytes after the hash accepts it.
 */
static void test_forged_rsa_padding_is_refused(void **state)
{
	static const uint8_t info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
	uint8_t padded[RSA_2048_BYTES] = {0, 1}, forged[RSA_2048_BYTES] = {0};
	struct signature s = of_message(SIGNATURE_SHA256, forged, sizeof(forged));
	char hash[KEYS_MAX];
	struct keys_pair pair;
	struct publickey key;
	mpz_t cube;
	size_t count;

	keys_make(&pair, "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3");
	read_key(&key, pair.public);
	assert_int_equal(
		keys_run("printf '%s' \"$INPUT\" | openssl dgst -sha256 -binary", message, hash),
		32);
	memset(padded + 2, 0xff, 8);
	memcpy(padded + 11, info, sizeof(info));
	memcpy(padded + 11 + sizeof(info), hash, 32);
	memset(padded + 11 + sizeof(info) + 32, 0xff, sizeof(padded) - 11 - sizeof(info) - 32);
	mpz_init(cube);
	mpz_import(cube, sizeof(padded), 1, 1, 1, 0, padded);
	mpz_root(cube, cube, 3);
	count = (mpz_sizeinbase(cube, 2) + 7) / 8;
	mpz_export(forged + sizeof(forged) - count, NULL, 1, 1, 1, 0, cube);
	mpz_pow_ui(cube, cube, 3);
	memset(padded, 0, sizeof(padded));
	mpz_export(padded + 1, NULL, 1, 1, 1, 0, cube);
	mpz_clear(cube);
	/* Such a verifier would find the right hash. */
	assert_memory_equal(padded + 11 + sizeof(info), hash, 32);
	assert_false(signature_is_of_key(&s, &key));
	count = keys_sign(pair.private, "-sha256", message, strlen(message), hash);
	s.bytes = (const uint8_t *)hash;
	s.length = count;
	assert_true(signature_is_of_key(&s, &key));
}

static void test_points_off_the_curve_are_refused(void **state)
{
	struct publickey key;

	read_published_point(&key);
	assert_true(signature_key_is_sound(&key));
	for (size_t i = 0; i < key.length; i++) {
		key.bytes[i] ^= 1;
		assert_false(signature_key_is_sound(&key));
		key.bytes[i] ^= 1;
	}
	key.length--;
	assert_false(signature_key_is_sound(&key));
	key.length += 2;
	assert_false(signature_key_is_sound(&key));
	key.length = 0;
	assert_false(signature_key_is_sound(&key));
	memset(key.bytes + 1, 0, 2 * P256_BYTES);
	key.length = 1 + 2 * P256_BYTES;
	assert_false(signature_key_is_sound(&key));
	memset(key.bytes + 1, 0xff, 2 * P256_BYTES);
	assert_false(signature_key_is_sound(&key));
	read_published_point(&key);
	key.kind = PUBLICKEY_P384;
	assert_false(signature_key_is_sound(&key));
	key.kind = PUBLICKEY_OTHER;
	assert_false(signature_key_is_sound(&key));
}

/* An RSA key of these numbers, as openssl writes it. */
static void make_rsa(struct publickey *key, const char *modulus, const char *exponent)
{
	static const char command[] =
		"printf 'asn1=SEQUENCE:b\\n[b]\\nm=INTEGER:%s\\ne=INTEGER:%s\\n' $INPUT"
		" | openssl asn1parse -genconf /dev/stdin -noout -out /dev/stdout";
	char numbers[2 * KEYS_MAX], der[KEYS_MAX];

	snprintf(numbers, sizeof(numbers), "%s %s", modulus, exponent);
	*key = (struct publickey){.kind = PUBLICKEY_RSA};
	key->length = keys_run(command, numbers, der);
	assert_in_range(key->length, 1, sizeof(key->bytes));
	memcpy(key->bytes, der, key->length);
}

static bool rsa_is_sound(const char *modulus, const char *exponent)
{
	static struct publickey key;

	make_rsa(&key, modulus, exponent);
	return signature_key_is_sound(&key);
}

/* An odd number of so many bits, a multiple of 4. */
static const char *odd(char text[KEYS_MAX], size_t bits)
{
	snprintf(text, KEYS_MAX, "0x%0*d", (int)bits / 4, 1);
	text[2] = '8';
	return text;
}

static void test_invalid_rsa_numbers(void **state)
{
	char n[KEYS_MAX];

	assert_true(rsa_is_sound(odd(n, 1024), "3"));
	assert_true(rsa_is_sound(n, "65537"));
	assert_false(rsa_is_sound(n, "1"));
	assert_false(rsa_is_sound(n, "0"));
	assert_false(rsa_is_sound(n, "-3"));
	assert_false(rsa_is_sound(n, "65536"));
	n[strlen(n) - 1] = '2';
	assert_false(rsa_is_sound(n, "65537"));
	assert_false(rsa_is_sound("0", "65537"));
	assert_false(rsa_is_sound("1", "65537"));
	assert_false(rsa_is_sound("-0x8001", "65537"));
}

/* signature aborts if its memory is not enough. */
static void test_the_largest_keys_fit_the_memory(void **state)
{
	uint8_t bytes[SIGNATURE_RSA_BITS_MAX / 8];
	struct signature s = of_message(SIGNATURE_SHA512, bytes, sizeof(bytes));
	char modulus[KEYS_MAX], exponent[KEYS_MAX];
	static struct publickey key;

	memset(bytes, 0x7f, sizeof(bytes));
	make_rsa(&key, odd(modulus, SIGNATURE_RSA_BITS_MAX), odd(exponent, 256));
	assert_true(signature_key_is_sound(&key));
	for (int i = 0; i < 20; i++)
		assert_false(signature_is_of_key(&s, &key));
	assert_false(rsa_is_sound(modulus, odd(exponent, 260)));
	assert_false(rsa_is_sound(odd(modulus, SIGNATURE_RSA_BITS_MAX + 8), "65537"));
}

static void test_truncated_keys_are_refused(void **state)
{
	char modulus[KEYS_MAX];
	static struct publickey key;

	make_rsa(&key, odd(modulus, 2048), "65537");
	assert_true(signature_key_is_sound(&key));
	while (key.length-- > 0)
		assert_false(signature_key_is_sound(&key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_hmac),
		cmocka_unit_test(test_published_ecdsa),
		cmocka_unit_test(test_ecdsa_numbers_out_of_range),
		cmocka_unit_test(test_rsa_signatures_have_the_length_of_the_key),
		cmocka_unit_test(test_forged_rsa_padding_is_refused),
		cmocka_unit_test(test_points_off_the_curve_are_refused),
		cmocka_unit_test(test_invalid_rsa_numbers),
		cmocka_unit_test(test_the_largest_keys_fit_the_memory),
		cmocka_unit_test(test_truncated_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
