/* links: base/clock base/file access/jwtoken access/publickey access/signature access/token base/json log/channel base/utf8 */
/* libs: -lhogweed -lnettle -lgmp -ljansson -lsodium */
/*
 * Tokens that the key has signed, for every algorithm, and all known attacks: other algorithms,
 * other kinds of keys, changed and missing signatures, odd headers.
 */
#include "jwts.h"

#include "keys.h"

enum { HEADER_ROOM = 40 };

#define HEADER_IS_BAD "its header"
#define SIGNATURE_IS_BAD "its signature"
#define RSA_2048 "RSA -pkeyopt rsa_keygen_bits:2048"
#define CURVE "EC -pkeyopt ec_paramgen_curve:"
#define LONG_SECRET SECRET " " SECRET

/* Of each algorithm a key to verify with, how it is made, and a token that openssl has signed. */
static struct algorithm {
	const char *name, *key; /* of openssl genpkey; NULL: a secret, or of its own */
	const char *digest; /* of openssl dgst; NULL: of its own */
	size_t number; /* of ECDSA: the bytes of r and of s */
	struct keys_pair pair;
	char token[KEYS_MAX];
} algorithms[] = {
	{.name = "HS256", .digest = "-sha256"},
	{.name = "HS384", .digest = "-sha384"},
	{.name = "HS512", .digest = "-sha512"},
	{.name = "RS256", .key = RSA_2048, .digest = "-sha256"},
	{.name = "RS384", .key = RSA_2048, .digest = "-sha384"},
	{.name = "RS512", .key = RSA_2048, .digest = "-sha512"},
	{.name = "ES256", .key = CURVE "P-256", .digest = "-sha256", .number = 32},
	{.name = "ES384", .key = CURVE "P-384", .digest = "-sha384", .number = 48},
	{.name = "ES512", .key = CURVE "P-521", .digest = "-sha512", .number = 66},
	{.name = "EdDSA"},
};
enum { ALGORITHMS = sizeof(algorithms) / sizeof(*algorithms), RS256 = 3, EDDSA = 9 };

static uint8_t ed25519_private[crypto_sign_SECRETKEYBYTES];

/* RFC 8410, section 4: the frame of an Ed25519 key. */
static void make_ed25519(char pem[KEYS_MAX])
{
	uint8_t der[44] = {0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0};
	char text[80];

	assert_int_equal(crypto_sign_keypair(der + 12, ed25519_private), 0);
	base64_write_padded(text, der, sizeof(der));
	snprintf(pem, KEYS_MAX, "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", text);
}

static void sign_ed25519(void)
{
	uint8_t signature[crypto_sign_BYTES];

	crypto_sign_detached(
		signature, NULL, (const uint8_t *)token, token_length, ed25519_private);
	add_signature(signature, sizeof(signature));
}

static void sign_with_openssl(const struct algorithm *a)
{
	char signature[KEYS_MAX];
	size_t length;

	if (a->key)
		length = keys_sign(a->pair.private, a->digest, token, token_length, signature);
	else
		length = keys_mac(a->pair.private, a->digest, token, token_length, signature);
	if (a->number)
		length = keys_numbers(signature, length, a->number);
	add_signature(signature, length);
}

static void make_token(struct algorithm *a)
{
	char header[HEADER_ROOM];

	snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\"}", a->name);
	write_token(header, CLAIMS);
	if (a->digest)
		sign_with_openssl(a);
	else
		sign_ed25519();
	assert_true(token_length < sizeof(a->token));
	memcpy(a->token, token, token_length);
	a->token[token_length] = '\0';
}

static int make_keys(void **state)
{
	if (sodium_init() < 0)
		return -1;
	for (struct algorithm *a = algorithms; a < algorithms + ALGORITHMS; a++) {
		if (a->key)
			keys_make(&a->pair, a->key);
		else
			snprintf(a->pair.private, KEYS_MAX, "%s", LONG_SECRET);
		if (a < algorithms + RS256)
			snprintf(a->pair.public, KEYS_MAX, "%s", LONG_SECRET);
		if (!a->digest)
			make_ed25519(a->pair.public);
		make_token(a);
	}
	return 0;
}

/* The algorithm's verifier, and a token of it. */
static void sign_as(const struct algorithm *a)
{
	use_key(a->name, a->pair.public);
	token_length = strlen(a->token);
	memcpy(token, a->token, token_length);
}

/* Everything in `token` up to and including the dot before its signature. */
static void cut_signature(void)
{
	while (token[token_length - 1] != '.')
		token_length--;
	token_length--;
}

static void test_a_token_of_every_algorithm(void **state)
{
	for (size_t i = 0; i < ALGORITHMS; i++) {
		sign_as(&algorithms[i]);
		expect_good();
		assert_string_equal(claims.subject, "ann");
		assert_int_equal(claims.expires_s, 1800000060);
	}
}

static void test_a_token_of_another_algorithm(void **state)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		for (size_t k = 0; k < ALGORITHMS; k++) {
			sign_as(&algorithms[i]);
			use_key(algorithms[k].name, algorithms[k].pair.public);
			if (i != k)
				expect_refusal(HEADER_IS_BAD);
			else
				expect_good();
		}
}

static void test_a_token_of_another_key_of_the_kind(void **state)
{
	for (size_t i = RS256; i < EDDSA; i++) {
		struct keys_pair other;

		sign_as(&algorithms[i]);
		keys_make(&other, algorithms[i].key);
		use_key(algorithms[i].name, other.public);
		expect_refusal(SIGNATURE_IS_BAD);
	}
	sign_as(&algorithms[0]);
	use_key("HS256", LONG_SECRET ".");
	expect_refusal(SIGNATURE_IS_BAD);
}

static void test_a_truncated_token_is_invalid(void **state)
{
	for (size_t i = 0; i < ALGORITHMS; i++) {
		sign_as(&algorithms[i]);
		for (size_t length = 0; length < token_length; length++)
			assert_non_null(verify_part(length, NOW));
		expect_good();
	}
}

static void flip_each(const char *name, size_t step)
{
	for (size_t bit = 0; bit < 8 * token_length; bit += step) {
		token[bit / 8] ^= (char)(1 << bit % 8);
		if (!verify())
			fail_msg("%s, byte %zu: %s", name, bit / 8, token);
		token[bit / 8] ^= (char)(1 << bit % 8);
	}
}

/* One algorithm for each kind of key, bit by bit; for the others about one bit in a byte. */
static void test_each_bit_of_a_token_counts(void **state)
{
	for (size_t i = 0; i < ALGORITHMS; i++) {
		sign_as(&algorithms[i]);
		flip_each(algorithms[i].name,
			strstr("HS256 RS256 ES256 EdDSA", algorithms[i].name) ? 1 : 9);
		expect_good();
	}
}

static void test_bytes_before_or_after_a_token(void **state)
{
	static const char *const more[] = {
		"=", "A", "AA", "AAAA", ".", ".A", " ", "\n", "\r\n", "&"};

	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		sign(HS256, CLAIMS, SECRET);
		memcpy(token + token_length, more[i], strlen(more[i]));
		token_length += strlen(more[i]);
		assert_non_null(verify());
		sign(HS256, CLAIMS, SECRET);
		memmove(token + strlen(more[i]), token, token_length);
		memcpy(token, more[i], strlen(more[i]));
		token_length += strlen(more[i]);
		assert_non_null(verify());
	}
	sign(HS256, CLAIMS, SECRET);
	token[token_length++] = '\0';
	assert_non_null(verify());
}

static void test_no_signature(void **state)
{
	for (size_t i = 0; i < ALGORITHMS; i++) {
		sign_as(&algorithms[i]);
		cut_signature();
		expect_refusal("three parts");
		token_length++;
		expect_refusal(SIGNATURE_IS_BAD);
	}
}

/* The lengths of signatures, one less, and one more. */
static void test_signatures_of_zeros_and_ones(void **state)
{
	static const uint8_t fill[] = {0, 1, 0xff};
	static const size_t lengths[] = {1, 31, 32, 48, 63, 64, 65, 96, 132, 255, 256, 512};
	uint8_t signature[512];

	for (size_t i = 0; i < ALGORITHMS; i++)
		for (size_t k = 0; k < sizeof(lengths) / sizeof(*lengths); k++)
			for (size_t f = 0; f < sizeof(fill); f++) {
				if (k == 0)
					sign_as(&algorithms[i]);
				else
					use_key(algorithms[i].name, algorithms[i].pair.public);
				cut_signature();
				memset(signature, fill[f], lengths[k]);
				add_signature(signature, lengths[k]);
				expect_refusal(SIGNATURE_IS_BAD);
			}
}

static void test_no_algorithm(void **state)
{
	static const char *const names[] = {"none", "None", "NONE", "nOnE", "noNE", " none", ""};
	char header[HEADER_ROOM];

	for (size_t i = 0; i < ALGORITHMS; i++) {
		use_key(algorithms[i].name, algorithms[i].pair.public);
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
			snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", names[k]);
			write_token(header, CLAIMS);
			expect_refusal("three parts");
			token[token_length++] = '.';
			expect_refusal(HEADER_IS_BAD);
			sign(header, CLAIMS, "");
			expect_refusal(HEADER_IS_BAD);
			sign(header, CLAIMS, LONG_SECRET);
			expect_refusal(HEADER_IS_BAD);
		}
	}
}

/* CVE-2015-9235 and similar: everybody knows the public key and could use it as a secret. */
static void test_a_public_key_is_not_accepted_as_a_secret(void **state)
{
	char header[HEADER_ROOM];

	for (size_t i = RS256; i < ALGORITHMS; i++) {
		const struct algorithm *a = &algorithms[i];
		char trimmed[KEYS_MAX];

		snprintf(trimmed, strlen(a->pair.public), "%s", a->pair.public);
		use_key(a->name, a->pair.public);
		snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", a->name);
		sign(HS256, CLAIMS, a->pair.public);
		expect_refusal(HEADER_IS_BAD);
		sign(HS256, CLAIMS, trimmed);
		expect_refusal(HEADER_IS_BAD);
		sign(header, CLAIMS, a->pair.public);
		expect_refusal(SIGNATURE_IS_BAD);
		sign(header, CLAIMS, trimmed);
		expect_refusal(SIGNATURE_IS_BAD);
	}
}

static void test_an_invalid_secret(void **state)
{
	static const char *const secrets[] = {"", "secret", "thirty-two", SECRET " ", SECRET "\n"};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++) {
		sign(HS256, CLAIMS, secrets[i]);
		expect_refusal(SIGNATURE_IS_BAD);
	}
}

static void test_invalid_headers(void **state)
{
	static const char *const headers[] = {"{}", "{\"typ\":\"JWT\"}", "{\"alg\":null}",
		"{\"alg\":256}", "{\"alg\":true}", "{\"alg\":[\"HS256\"]}",
		"{\"alg\":{\"HS256\":\"HS256\"}}", "{\"alg\":\"hs256\"}", "{\"alg\":\"HS256 \"}",
		"{\"alg\":\" HS256\"}", "{\"alg\":\"HS25\"}", "{\"alg\":\"HS2567\"}",
		"{\"alg\":\"HS256\\u0000\"}", "{\"ALG\":\"HS256\"}", "{\"alg\\u0000\":\"HS256\"}",
		"{\"alg\":\"HS512\"}", "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
		"{\"alg\":\"none\",\"alg\":\"HS256\"}", "{\"alg\":\"HS256\",\"alg\":\"none\"}",
		"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
		"{\"alg\":\"HS256\",\"kid\":\"1\",\"kid\":\"2\"}", "[\"HS256\"]", "\"HS256\"",
		"null", "1", " ", "alg", "{\"alg\":\"HS256\"", "{\"alg\":\"HS256\"}}",
		"{\"alg\":\"HS256\"},", "{\"alg\":\"HS256\",}", "{'alg':'HS256'}",
		"{alg:\"HS256\"}", "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
		"\xef\xbb\xbf{\"alg\":\"HS256\"}", "{\"alg\":\"HS256\"}{\"alg\":\"HS256\"}"};

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		sign(headers[i], CLAIMS, SECRET);
		if (!verify())
			fail_msg("accepted: %s", headers[i]);
		expect_refusal(HEADER_IS_BAD);
	}
}

/* RFC 7515, section 4.1.11; RFC 7797, section 6: unknown ones must be refused. */
static void test_critical_headers(void **state)
{
	static const char *const more[] = {"\"crit\":[\"x\"],\"x\":1", "\"crit\":[\"exp\"]",
		"\"crit\":[]", "\"crit\":null", "\"crit\":\"\"", "\"crit\":{}", "\"b64\":false",
		"\"b64\":true", "\"b64\":null", "\"b64\":false,\"crit\":[\"b64\"]",
		"\"typ\":\"at+jwt\"", "\"typ\":\"JOSE\"", "\"typ\":\"\"", "\"typ\":null"};
	char header[200];

	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"HS256\",%s}", more[i]);
		sign(header, CLAIMS, SECRET);
		expect_refusal(HEADER_IS_BAD);
		snprintf(header, sizeof(header), "{%s,\"alg\":\"HS256\"}", more[i]);
		sign(header, CLAIMS, SECRET);
		expect_refusal(HEADER_IS_BAD);
	}
}

/* Keys come from the configuration only, whatever a header offers. */
static void test_ignored_headers(void **state)
{
	static const char *const more[] = {"\"typ\":\"JWT\"", "\"typ\":\"jwt\"", "\"kid\":\"1\"",
		"\"cty\":\"JWT\"", "\"kid\":\"../../dev/null\"", "\"kid\":\"' OR 1=1\"",
		"\"kid\":7", "\"kid\":[[[]]]", "\"jku\":\"https://a.example/keys\"",
		"\"x5u\":\"file:///etc/passwd\"", "\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}",
		"\"x5c\":[\"AAAA\"]"};
	char header[200];

	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		snprintf(header, sizeof(header), " {\"alg\" : \"HS256\", %s }\n", more[i]);
		sign(header, CLAIMS, SECRET);
		expect_good();
		sign(header, CLAIMS, "AAAA");
		expect_refusal(SIGNATURE_IS_BAD);
		sign(header, CLAIMS, "");
		expect_refusal(SIGNATURE_IS_BAD);
	}
}

static void test_depth(void **state)
{
	enum { DEEP = 4000 };
	static char header[2 * DEEP + 100];
	const size_t depths[] = {JSON_DEPTH_MAX - 1, JSON_DEPTH_MAX, 100, 1500};

	for (size_t i = 0; i < sizeof(depths) / sizeof(*depths); i++) {
		size_t at = (size_t)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"x\":");

		memset(header + at, '[', depths[i]);
		memset(header + at + depths[i], ']', depths[i]);
		memcpy(header + at + 2 * depths[i], "}", 2);
		sign(header, CLAIMS, SECRET);
		if (i == 0)
			expect_good();
		else
			expect_refusal(HEADER_IS_BAD);
	}
}

/* A token that is signed and has this length. */
static void sign_long(size_t length)
{
	static char header[JWTS_MAX];
	char payload[200];

	for (int spaces = 0; spaces < 100; spaces++) {
		snprintf(payload, sizeof(payload), "%*s%s", spaces, "", CLAIMS);
		for (size_t more = 0; more < length; more++) {
			snprintf(header, sizeof(header), "{\"alg\":\"HS256\"%*s}", (int)more, "");
			token_length = (strlen(header) * 4 + 2) / 3 +
				       (strlen(payload) * 4 + 2) / 3 + 2 + 43;
			if (token_length < length)
				continue;
			if (token_length > length)
				break;
			sign(header, payload, SECRET);
			assert_int_equal(token_length, length);
			return;
		}
	}
	fail_msg("no token has %zu bytes", length);
}

static void test_length(void **state)
{
	sign_long(JWT_TOKEN_MAX);
	expect_good();
	sign_long(JWT_TOKEN_MAX + 1);
	expect_refusal("too long");
	sign_long(20000);
	expect_refusal("too long");
}

static void test_shape(void **state)
{
	static const char *const others[] = {"", ".", "..", "...", "abc", "a.b", "a.", "a..c",
		".b.c", "a.b.c.d", "a.b..", "a.b.c."};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		token_length = (size_t)snprintf(token, sizeof(token), "%s", others[i]);
		expect_refusal("three parts");
	}
}

static void test_header(void **state)
{
	/* {"alg":"none"}, {}, [], and what is no JSON or no base64url. */
	static const char *const others[] = {
		"e30.b.c", "W10.b.c", "abc.b.c", "a!.b.c", "eyJhbGciOiJub25lIn0.b", "", "a.b.c"};

	assert_true(jwt_has_header("eyJhbGciOiJub25lIn0.b.", 22));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(jwt_has_header(others[i], strlen(others[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		JWT_TEST(a_token_of_every_algorithm),
		JWT_TEST(a_token_of_another_algorithm),
		JWT_TEST(a_token_of_another_key_of_the_kind),
		JWT_TEST(a_truncated_token_is_invalid),
		JWT_TEST(each_bit_of_a_token_counts),
		JWT_TEST(bytes_before_or_after_a_token),
		JWT_TEST(no_signature),
		JWT_TEST(signatures_of_zeros_and_ones),
		JWT_TEST(no_algorithm),
		JWT_TEST(a_public_key_is_not_accepted_as_a_secret),
		JWT_TEST(an_invalid_secret),
		JWT_TEST(invalid_headers),
		JWT_TEST(critical_headers),
		JWT_TEST(ignored_headers),
		JWT_TEST(depth),
		JWT_TEST(length),
		JWT_TEST(shape),
		JWT_TEST(header),
	};

	return cmocka_run_group_tests(tests, make_keys, NULL);
}
