/* links: access/token */
/* libs: -lsodium */
/* Hashes, base64url, PEM and Ed25519: the standards' own vectors, and what they forbid. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access/token.h"
#include "base64.h"

enum { ROOM = 1024, SIGNATURE = 64, GUARD = 0xee };

static uint8_t out[ROOM];
static size_t out_length;

static int prepare(void **state)
{
	/* A second call does no harm. */
	return token_init() && token_init() ? 0 : -1;
}

static void expect_hash(const char *text, size_t length, const char *wanted)
{
	char hex[TOKEN_HEX + 2];

	memset(hex, GUARD, sizeof(hex));
	token_hash(text, length, hex);
	assert_string_equal(hex, wanted);
	assert_int_equal((uint8_t)hex[TOKEN_HEX + 1], GUARD);
}

/* FIPS 180-4's examples, and what `printf abc | sha256sum` says of others. */
static void test_hashes(void **state)
{
	char *many = malloc(1000000);

	expect_hash("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	expect_hash("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	expect_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	assert_non_null(many);
	memset(many, 'a', 1000000);
	expect_hash(
		many, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(many);
}

static void test_hash_covers_every_byte(void **state)
{
	expect_hash("\0", 1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
	expect_hash(
		"abcdef", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/*
 * Decodes a copy that ends where its memory ends, with this much room, and checks the bytes after
 * it.
 */
static bool decode_into(const char *text, size_t length, size_t room)
{
	char *copy = malloc(length ? length : 1);
	bool good;

	assert_non_null(copy);
	memcpy(copy, text, length);
	memset(out, GUARD, sizeof(out));
	out_length = room;
	good = token_base64url(copy, length, out, &out_length);
	free(copy);
	assert_int_equal(out[room], GUARD);
	assert_true(!good || out_length <= room);
	return good;
}

static bool decode(const char *text)
{
	return decode_into(text, strlen(text), ROOM - 1);
}

static void expect_bytes(const char *text, const void *bytes, size_t length)
{
	if (!decode(text))
		fail_msg("refused: %s", text);
	assert_int_equal(out_length, length);
	assert_memory_equal(out, bytes, length);
}

/* RFC 4648, section 10, without padding; RFC 7515, appendix C. */
static void test_base64url(void **state)
{
	expect_bytes("", "", 0);
	expect_bytes("Zg", "f", 1);
	expect_bytes("Zm8", "fo", 2);
	expect_bytes("Zm9v", "foo", 3);
	expect_bytes("Zm9vYg", "foob", 4);
	expect_bytes("Zm9vYmE", "fooba", 5);
	expect_bytes("Zm9vYmFy", "foobar", 6);
	expect_bytes("A-z_4ME", "\x03\xec\xff\xe0\xc1", 5);
	expect_bytes("AAA", "\0\0", 2);
}

static void test_every_pair_of_bytes_is_decoded(void **state)
{
	uint8_t bytes[3] = {0x5a, 0, 0};
	char text[8];

	for (int i = 0; i < 65536; i++) {
		bytes[1] = (uint8_t)(i >> 8);
		bytes[2] = (uint8_t)i;
		for (size_t length = 1; length <= 3; length++) {
			base64_write(text, base64_url, bytes + 3 - length, length);
			expect_bytes(text, bytes + 3 - length, length);
		}
	}
}

/* Each character that is not in the alphabet, at each place. */
static void test_other_characters_are_refused(void **state)
{
	for (size_t at = 0; at < 8; at++)
		for (int c = 0; c < 256; c++) {
			char text[] = "AAAAAAAA";

			text[at] = (char)c;
			assert_int_equal(
				decode_into(text, 8, ROOM - 1), c && strchr(base64_url, c) != NULL);
		}
}

static void test_padding_and_spaces_are_refused(void **state)
{
	static const char *const texts[] = {"Zg==", "Zg=", "Zm8=", "Zm9v=", "Zm9v====", "=",
		"Zm9v ", " Zm9v", "Zm9v\n", "Zm\r\n9v", "Zm9v.Zm9v"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (decode(texts[i]))
			fail_msg("accepted: %s", texts[i]);
}

/* Each value has one spelling, or a token could be changed and stay valid. */
static void test_leftover_character_or_bit_is_refused(void **state)
{
	char two[] = "A.", three[] = "AA.";

	assert_false(decode("A"));
	assert_false(decode("Zm9vA"));
	for (size_t i = 0; i < 64; i++) {
		two[1] = three[2] = base64_url[i];
		assert_int_equal(decode(two), i % 16 == 0);
		assert_int_equal(decode(three), i % 4 == 0);
	}
}

static void test_output_is_bounded(void **state)
{
	char text[ROOM];
	uint8_t bytes[64] = {0};

	for (size_t length = 1; length < sizeof(bytes); length++) {
		size_t characters = base64_write(text, base64_url, bytes, length);

		assert_true(decode_into(text, characters, length));
		assert_int_equal(out_length, length);
		for (size_t room = 0; room < length; room++)
			assert_false(decode_into(text, characters, room));
	}
}

static bool read_pem(const char *text, size_t room)
{
	char *copy = strdup(text);
	bool good;

	assert_non_null(copy);
	memset(out, GUARD, sizeof(out));
	out_length = room;
	good = token_pem(copy, out, &out_length);
	free(copy);
	assert_int_equal(out[room], GUARD);
	return good;
}

#define PEM(text) "-----BEGIN PUBLIC KEY-----" text "-----END PUBLIC KEY-----"

static void expect_pem(const char *text, const char *wanted)
{
	if (!read_pem(text, ROOM - 1))
		fail_msg("refused: %s", text);
	assert_int_equal(out_length, strlen(wanted));
	assert_memory_equal(out, wanted, out_length);
}

static void test_pem(void **state)
{
	expect_pem(PEM("\nZm9vYmFy\n") "\n", "foobar");
	expect_pem(PEM("\r\nZm9v\r\nYmE=\r\n") "\r\n", "fooba");
	expect_pem(PEM("Zm9vYg=="), "foob");
	expect_pem(PEM("\n\t Zm 9v\n\nYmFy \n"), "foobar");
	expect_pem("words\n" PEM("\nZm9v\n") "\nwords", "foo");
	expect_pem(PEM("Zm9v") PEM("YmFy"), "foo");
	expect_pem("-----END PUBLIC KEY-----\n" PEM("Zm9v"), "foo");
	expect_pem(PEM("\n+/+/\n"), "\xfb\xff\xbf");
}

static void test_invalid_pem(void **state)
{
	static const char *const texts[] = {"", "Zm9v", "-----BEGIN PUBLIC KEY-----Zm9v",
		"Zm9v-----END PUBLIC KEY-----",
		"-----BEGIN RSA PUBLIC KEY-----Zm9v-----END RSA PUBLIC KEY-----",
		"-----BEGIN PRIVATE KEY-----Zm9v-----END PRIVATE KEY-----",
		"-----begin public key-----Zm9v-----end public key-----",
		"----BEGIN PUBLIC KEY----Zm9v----END PUBLIC KEY----", PEM("Zm9vYg"), PEM("Zm9vYg="),
		PEM("Zm9v===="), PEM("Zg==Zg=="), PEM("-_-_"), PEM("Zm9v!"), PEM("A: b\n\nZm9v"),
		PEM("Zh=="), PEM("Zm9v\x80\xff\xc3\xa9"),
		"-----BEGIN PUBLIC KEY-----END PUBLIC KEY-----",
		"-----BEGIN PUBLIC KEY---END PUBLIC KEY-----"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (read_pem(texts[i], ROOM - 1))
			fail_msg("accepted: %s", texts[i]);
}

static void test_oversized_pem(void **state)
{
	for (size_t room = 0; room <= 7; room++)
		assert_int_equal(read_pem(PEM("\nZm9v\nYmFy\n"), room), room >= 6);
}

/* RFC 8032, section 7.1: tests 1 to 3. */
static const struct vector {
	const char *key, *message, *signature;
} vectors[] = {
	{"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
		"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
	{"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
	{"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
		"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

struct signing {
	uint8_t key[TOKEN_ED25519_KEY], signature[SIGNATURE + 1];
	char message[8];
	size_t length;
};

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c - 'a' + 10;
}

static size_t from_hex(void *to, const char *hex)
{
	size_t length = strlen(hex) / 2;

	for (size_t i = 0; i < length; i++)
		((uint8_t *)to)[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	return length;
}

static struct signing signing_of(const struct vector *v)
{
	struct signing s = {0};

	from_hex(s.key, v->key);
	from_hex(s.signature, v->signature);
	s.length = from_hex(s.message, v->message);
	return s;
}

static bool verify(const struct signing *s)
{
	return token_ed25519_verify(s->key, s->signature, SIGNATURE, s->message, s->length);
}

static void test_ed25519_signatures(void **state)
{
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++) {
			struct signing s = signing_of(&vectors[i]);

			from_hex(s.key, vectors[k].key);
			assert_int_equal(verify(&s), i == k);
		}
}

static void test_each_bit_of_signature_message_and_key_counts(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		struct signing s = signing_of(&vectors[i]);

		for (size_t bit = 0; bit < 8 * SIGNATURE; bit++) {
			s.signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(verify(&s));
			s.signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < 8 * s.length; bit++) {
			s.message[bit / 8] ^= (char)(1 << bit % 8);
			assert_false(verify(&s));
			s.message[bit / 8] ^= (char)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < 8 * TOKEN_ED25519_KEY; bit++) {
			s.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(verify(&s));
			s.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_true(verify(&s));
	}
}

static void test_signature_length_is_checked(void **state)
{
	struct signing s = signing_of(&vectors[0]);

	for (size_t length = 0; length <= SIGNATURE + 1; length++)
		assert_int_equal(token_ed25519_verify(s.key, s.signature, length, "", 0),
			length == SIGNATURE);
}

/* S and S + L are the same number modulo the order L, but only one of them is a signature. */
static void test_signatures_are_not_malleable(void **state)
{
	struct signing s = signing_of(&vectors[0]);
	uint8_t order[32];
	unsigned carry = 0;

	from_hex(order, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
	for (size_t i = 0; i < 32; i++) {
		carry += s.signature[32 + i] + order[i];
		s.signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_false(verify(&s));
}

/* With a point of small order as key, a signature of nothing would fit every message. */
static void test_keys_of_small_order_verify_nothing(void **state)
{
	static const char *const points[] = {
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	};

	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
		for (size_t k = 0; k < sizeof(points) / sizeof(*points); k++)
			for (char c = 0; c < 16; c++) {
				struct signing s = {.message = {c}, .length = 1};

				from_hex(s.key, points[i]);
				from_hex(s.signature, points[k]);
				assert_false(verify(&s));
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_hash_covers_every_byte),
		cmocka_unit_test(test_base64url),
		cmocka_unit_test(test_every_pair_of_bytes_is_decoded),
		cmocka_unit_test(test_other_characters_are_refused),
		cmocka_unit_test(test_padding_and_spaces_are_refused),
		cmocka_unit_test(test_leftover_character_or_bit_is_refused),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_invalid_pem),
		cmocka_unit_test(test_oversized_pem),
		cmocka_unit_test(test_ed25519_signatures),
		cmocka_unit_test(test_each_bit_of_signature_message_and_key_counts),
		cmocka_unit_test(test_signature_length_is_checked),
		cmocka_unit_test(test_signatures_are_not_malleable),
		cmocka_unit_test(test_keys_of_small_order_verify_nothing),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
