/*
 * token: hashes of secrets, random numbers, base64url and Ed25519, by libsodium.
 *
 * The only file that includes <sodium.h>. Keeps no secret, logs nothing.
 */
#ifndef ROWTAIL_TOKEN_H
#define ROWTAIL_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOKEN_HEX = 64, TOKEN_ED25519_KEY = 32 };

/* Prepares the library. Call once. False if the system has no random numbers. */
bool token_init(void);

/* A number that nobody can guess. */
uint32_t token_random(void);

/* SHA-256 of a token in lower-case hex digits with a NUL: the HEX of a grant "token:HEX". */
void token_hash(const char *token, size_t length, char hex[TOKEN_HEX + 1]);

/*
 * Decodes base64url without padding, strictly (RFC 7515, section 2). *length is the room in out at
 * first, then the number of bytes decoded.
 */
bool token_base64url(const char *text, size_t text_length, uint8_t *out, size_t *length);

/*
 * Decodes the first public key of a PEM text (RFC 7468, section 13). *length is the room in out at
 * first, then the number of bytes decoded. False if there is no key or it does not fit.
 */
bool token_pem(const char *pem, uint8_t *out, size_t *length);

/* Is this the key's signature (64 bytes) of the message? (RFC 8032) */
bool token_ed25519_verify(const uint8_t key[TOKEN_ED25519_KEY], const uint8_t *signature,
	size_t signature_length, const char *message, size_t message_length);

#endif
