#include "access/token.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/*
 * libsodium aborts without random numbers: in a chroot without /dev, if the kernel is older than
 * 3.17.
 */
static bool has_random(void)
{
	char byte;

	return getrandom(&byte, sizeof(byte), GRND_NONBLOCK) == sizeof(byte) || errno != ENOSYS ||
	       access("/dev/urandom", R_OK) == 0;
}

bool token_init(void)
{
	return has_random() && sodium_init() >= 0;
}

uint32_t token_random(void)
{
	return randombytes_random();
}

void token_hash(const char *token, size_t length, char hex[TOKEN_HEX + 1])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const unsigned char *)token, length);
	sodium_bin2hex(hex, TOKEN_HEX + 1, hash, sizeof(hash));
}

/* libsodium 1.0.18 accepts bytes from 0x80 on as base64 characters. */
static bool is_ascii(const char *text, size_t length)
{
	while (length > 0 && (unsigned char)text[length - 1] < 0x80)
		length--;
	return length == 0;
}

bool token_base64url(const char *text, size_t text_length, uint8_t *out, size_t *length)
{
	size_t room = *length;

	return is_ascii(text, text_length) &&
	       sodium_base642bin(out, room, text, text_length, NULL, length, NULL,
		       sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
}

bool token_pem(const char *pem, uint8_t *out, size_t *length)
{
	static const char begin[] = "-----BEGIN PUBLIC KEY-----";
	const char *at = strstr(pem, begin), *end;
	size_t room = *length;

	if (!at)
		return false;
	/* The dashes of the first line must not also count as those of the last. */
	at += strlen(begin);
	end = strstr(at, "-----END PUBLIC KEY-----");
	return end && is_ascii(at, (size_t)(end - at)) &&
	       sodium_base642bin(out, room, at, (size_t)(end - at), "\r\n \t", length, NULL,
		       sodium_base64_VARIANT_ORIGINAL) == 0;
}

bool token_ed25519_verify(const uint8_t key[TOKEN_ED25519_KEY], const uint8_t *signature,
	size_t signature_length, const char *message, size_t message_length)
{
	return signature_length == crypto_sign_BYTES &&
	       crypto_sign_verify_detached(
		       signature, (const unsigned char *)message, message_length, key) == 0;
}
