#include "token.h"

#include <sodium.h>
#include <string.h>

bool token_init(void)
{
	return sodium_init() >= 0;
}

void token_hash(const char *token, size_t length, char hex[TOKEN_HEX + 1])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const unsigned char *)token, length);
	sodium_bin2hex(hex, TOKEN_HEX + 1, hash, sizeof(hash));
}

bool token_equal(const void *a, const void *b, size_t length)
{
	return sodium_memcmp(a, b, length) == 0;
}

bool token_base64url(const char *text, size_t text_length, uint8_t *out, size_t *length)
{
	size_t room = *length;

	return sodium_base642bin(out, room, text, text_length, NULL, length, NULL,
		       sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
}

bool token_ed25519_key(const char *pem, uint8_t key[TOKEN_ED25519_KEY])
{
	static const char begin[] = "-----BEGIN PUBLIC KEY-----";
	/* SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes } */
	static const uint8_t prefix[] = {
		0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	uint8_t der[128];
	size_t length;
	const char *at = strstr(pem, begin),
		   *end = at ? strstr(at, "-----END PUBLIC KEY-----") : NULL;

	if (!end)
		return false;
	at += strlen(begin);
	if (sodium_base642bin(der, sizeof(der), at, (size_t)(end - at), "\r\n \t", &length, NULL,
		    sodium_base64_VARIANT_ORIGINAL) != 0 ||
		length != sizeof(prefix) + TOKEN_ED25519_KEY || memcmp(der, prefix, sizeof(prefix)))
		return false;
	memcpy(key, der + sizeof(prefix), TOKEN_ED25519_KEY);
	return true;
}

bool token_ed25519_verify(const uint8_t key[TOKEN_ED25519_KEY], const uint8_t *signature,
	size_t signature_length, const char *message, size_t message_length)
{
	return signature_length == crypto_sign_BYTES &&
	       crypto_sign_verify_detached(
		       signature, (const unsigned char *)message, message_length, key) == 0;
}
