/* links: base/clock base/file access/jwtoken access/publickey access/signature access/token base/json log/channel base/utf8 */
/* libs: -lhogweed -lnettle -lgmp -ljansson -lsodium */
/* Which keys a verifier accepts, and its messages for the others. */
#include "jwts.h"

#include <sysexits.h>

#include "access/signature.h"
#include "keys.h"

enum { LARGEST = 16384 };

static struct keys_pair rsa, rsa_1024, p256, p384, p521, ed25519;

static int make_keys(void **state)
{
	keys_make(&rsa, "RSA -pkeyopt rsa_keygen_bits:2048");
	keys_make(&rsa_1024, "RSA -pkeyopt rsa_keygen_bits:1024");
	keys_make(&p256, "EC -pkeyopt ec_paramgen_curve:P-256");
	keys_make(&p384, "EC -pkeyopt ec_paramgen_curve:P-384");
	keys_make(&p521, "EC -pkeyopt ec_paramgen_curve:P-521");
	keys_make(&ed25519, "ED25519");
	return 0;
}

/* The key is refused with a message that begins with this and contains that. */
static void refuses(const char *algorithm, const void *key, size_t length, const char *part)
{
	if (open_key(algorithm, key, length))
		fail_msg("%s: taken; expected: %s", algorithm, part);
	assert_int_equal(exit_status, EX_CONFIG);
	if (!strstr(sentence, part) || strncmp(sentence, "jwt-", 4) != 0)
		fail_msg("%s: %s; expected: %s", algorithm, sentence, part);
	assert_null(strstr(sentence, "BEGIN PRIVATE"));
}

static void refuses_text(const char *algorithm, const char *key, const char *part)
{
	refuses(algorithm, key, strlen(key), part);
}

static void test_a_file_that_cannot_be_read(void **state)
{
	static const char *const paths[] = {"/nonexistent/key", "/tmp", ""};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		config.jwt_key = paths[i];
		config.jwt_algorithm = "HS256";
		assert_null(jwt_verifier_new(&config, &exit_status, sentence, sizeof(sentence)));
		assert_int_equal(exit_status, EX_NOINPUT);
		assert_non_null(strstr(sentence, "cannot be read: "));
		assert_non_null(strstr(sentence, paths[i]));
	}
}

static void test_unknown_algorithms(void **state)
{
	static const char *const names[] = {"", "none", "HS257", "hs256", "HS256 ", "HS", "RS",
		"PS256", "PS384", "ES256K", "eddsa", "Ed25519", "RSA-OAEP", "dir"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		refuses_text(names[i], SECRET SECRET, "rowtail does not support");
		refuses_text(names[i], rsa.public, "rowtail does not support");
	}
}

/* RFC 7518, section 3.2: a secret must not be shorter than the hash. */
static void test_secrets_have_a_minimum_length(void **state)
{
	static const struct {
		const char *algorithm;
		size_t least;
	} cases[] = {{"HS256", 32}, {"HS384", 48}, {"HS512", 64}};
	char secret[65];

	memset(secret, 's', sizeof(secret));
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(open_key(cases[i].algorithm, secret, cases[i].least));
		refuses(cases[i].algorithm, secret, cases[i].least - 1, "needs");
		refuses(cases[i].algorithm, secret, 0, "has 0 bytes");
		/* A line break is not part of the secret. */
		secret[cases[i].least - 1] = '\n';
		refuses(cases[i].algorithm, secret, cases[i].least, "needs");
		secret[cases[i].least - 1] = 's';
	}
}

static void test_a_line_break_after_a_secret(void **state)
{
	static const char *const ends[] = {"", "\n", "\r\n", "\n\n"};
	char key[200];

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		snprintf(key, sizeof(key), "%s%s", SECRET, ends[i]);
		use_key("HS256", key);
		sign(HS256, CLAIMS, SECRET);
		expect_good();
		sign(HS256, CLAIMS, SECRET "\n");
		expect_refusal("its signature");
	}
	use_key("HS256", "\n " SECRET " ");
	sign(HS256, CLAIMS, "\n " SECRET " ");
	expect_good();
}

/* Every byte of binary data counts, including NUL and line breaks. */
static void test_a_secret_of_any_bytes(void **state)
{
	crypto_auth_hmacsha256_state hmac;
	uint8_t key[34] = {0, 1, 0xff, '\n', 0}, mac[crypto_auth_hmacsha256_BYTES];

	key[33] = '\n';
	for (size_t length = 32; length <= sizeof(key); length++) {
		assert_non_null(open_key("HS256", key, sizeof(key)));
		write_token(HS256, CLAIMS);
		crypto_auth_hmacsha256_init(&hmac, key, length);
		crypto_auth_hmacsha256_update(&hmac, (const uint8_t *)token, token_length);
		crypto_auth_hmacsha256_final(&hmac, mac);
		add_signature(mac, sizeof(mac));
		if (length == sizeof(key))
			expect_good();
		else
			expect_refusal("its signature");
	}
}

static void test_sizes(void **state)
{
	static char key[LARGEST + 1];

	memset(key, 'k', sizeof(key));
	assert_non_null(open_key("HS256", key, LARGEST));
	refuses("HS256", key, LARGEST + 1, "too large");
	refuses("RS256", key, LARGEST + 1, "too large");
	refuses("RS256", key, LARGEST, "no public key");
}

static void test_a_pem_key_is_not_accepted_as_a_secret(void **state)
{
	const char *const keys[] = {rsa.public, rsa.private, p256.public, ed25519.public};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		refuses_text("HS256", keys[i], "holds a PEM key");
		refuses_text("HS512", keys[i], "holds a PEM key");
	}
}

static void test_a_private_key_is_refused(void **state)
{
	char out[KEYS_MAX], both[2 * KEYS_MAX];

	refuses_text("RS256", rsa.private, "holds a private key");
	refuses_text("ES256", p256.private, "holds a private key");
	refuses_text("EdDSA", ed25519.private, "holds a private key");
	keys_run("printf '%s' \"$INPUT\" | openssl pkey -traditional", p256.private, out);
	assert_non_null(strstr(out, "EC PRIVATE KEY"));
	refuses_text("ES256", out, "holds a private key");
	/* Also beside the public one. */
	snprintf(both, sizeof(both), "%s%s", p256.public, p256.private);
	refuses_text("ES256", both, "holds a private key");
}

static void test_each_algorithm_takes_its_kind_of_key(void **state)
{
	static const struct {
		const char *algorithm;
		const struct keys_pair *pair;
	} cases[] = {{"RS256", &rsa}, {"RS384", &rsa}, {"RS512", &rsa}, {"ES256", &p256},
		{"ES384", &p384}, {"ES512", &p521}, {"EdDSA", &ed25519}};
	const size_t count = sizeof(cases) / sizeof(*cases);

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++)
			if (cases[i].pair == cases[k].pair)
				use_key(cases[i].algorithm, cases[k].pair->public);
			else
				refuses_text(cases[i].algorithm, cases[k].pair->public,
					"is another kind");
}

static void test_rsa_keys_have_a_minimum_length(void **state)
{
	refuses_text("RS256", rsa_1024.public, "has 1024 bits; RS256 needs 2048");
	refuses_text("RS512", rsa_1024.public, "has 1024 bits; RS512 needs 2048");
}

static void test_rsa_keys_have_a_maximum_length(void **state)
{
	char out[KEYS_MAX], digits[SIGNATURE_RSA_BITS_MAX / 4 + 3];

	memset(digits, 'f', sizeof(digits));
	digits[sizeof(digits) - 1] = '\0';
	keys_run("printf 'asn1=SEQUENCE:k\\n[k]\\na=SEQUENCE:a\\nb=BITWRAP,SEQUENCE:b\\n[a]\\n"
		 "o=OID:rsaEncryption\\nn=NULL\\n[b]\\nm=INTEGER:0x%s\\ne=INTEGER:3\\n' \"$INPUT\""
		 "| openssl asn1parse -genconf /dev/stdin -noout -out /dev/stdout"
		 "| openssl base64 | sed -e '1i -----BEGIN PUBLIC KEY-----'"
		 " -e '$a -----END PUBLIC KEY-----'",
		digits, out);
	refuses_text("RS256", out, "has 16392 bits; the maximum is 16384");
}

/* rowtail does not compute y from x. The sentence says how to write the whole point. */
static void test_compressed_keys_are_refused(void **state)
{
	const struct keys_pair *const pairs[] = {&p256, &p384, &p521};
	static const char *const algorithms[] = {"ES256", "ES384", "ES512"};
	char out[KEYS_MAX];

	for (size_t i = 0; i < 3; i++) {
		keys_run("printf '%s' \"$INPUT\" | openssl ec -pubin -conv_form compressed "
			 "2>/dev/null",
			pairs[i]->public, out);
		refuses_text(algorithms[i], out, "is in compressed form");
		refuses_text(algorithms[i], out, "-conv_form uncompressed");
	}
}

/* Zeros replace x and y. */
static void test_damaged_keys_are_refused(void **state)
{
	char out[KEYS_MAX];

	keys_run("printf '%s' \"$INPUT\" | openssl pkey -pubin -outform DER"
		 "| (head -c 27; head -c 64 /dev/zero) | openssl base64"
		 "| sed -e '1i -----BEGIN PUBLIC KEY-----' -e '$a -----END PUBLIC KEY-----'",
		p256.public, out);
	refuses_text("ES256", out, "is damaged");
}

static void test_invalid_public_keys(void **state)
{
	static const char *const keys[] = {"", "\n", SECRET SECRET, "-----BEGIN PUBLIC KEY-----\n",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ann@a.example"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		refuses_text("RS256", keys[i], "holds no public key in PEM form");
		refuses_text("ES256", keys[i], "holds no public key in PEM form");
		refuses_text("EdDSA", keys[i], "holds no public key in PEM form");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		JWT_TEST(a_file_that_cannot_be_read),
		JWT_TEST(unknown_algorithms),
		JWT_TEST(secrets_have_a_minimum_length),
		JWT_TEST(a_line_break_after_a_secret),
		JWT_TEST(a_secret_of_any_bytes),
		JWT_TEST(sizes),
		JWT_TEST(a_pem_key_is_not_accepted_as_a_secret),
		JWT_TEST(a_private_key_is_refused),
		JWT_TEST(each_algorithm_takes_its_kind_of_key),
		JWT_TEST(rsa_keys_have_a_minimum_length),
		JWT_TEST(rsa_keys_have_a_maximum_length),
		JWT_TEST(compressed_keys_are_refused),
		JWT_TEST(damaged_keys_are_refused),
		JWT_TEST(invalid_public_keys),
	};

	return cmocka_run_group_tests(tests, make_keys, NULL);
}
