/* keys: key pairs and signatures, made by openssl when a test runs, so that none is stored. */
#ifndef ROWTAIL_TESTS_KEYS_H
#define ROWTAIL_TESTS_KEYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { KEYS_MAX = 8192 };

struct keys_pair {
	char private[KEYS_MAX]; /* PEM, PKCS #8 */
	char public[KEYS_MAX]; /* PEM, SubjectPublicKeyInfo */
};

/* The output of a shell command, NUL-terminated; $INPUT is its input text. */
static inline size_t keys_run(const char *command, const char *input, char out[KEYS_MAX])
{
	FILE *pipe;
	size_t length;

	assert_int_equal(setenv("INPUT", input, 1), 0);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	length = fread(out, 1, KEYS_MAX, pipe);
	assert_int_equal(pclose(pipe), 0);
	unsetenv("INPUT");
	assert_in_range(length, 1, KEYS_MAX - 1);
	out[length] = '\0';
	return length;
}

/* A new pair; the argument follows `openssl genpkey -algorithm`. */
static inline void keys_make(struct keys_pair *pair, const char *algorithm)
{
	char command[200];

	snprintf(command, sizeof(command), "openssl genpkey -algorithm %s 2>/dev/null", algorithm);
	keys_run(command, "", pair->private);
	keys_run("printf '%s' \"$INPUT\" | openssl pkey -pubout", pair->private, pair->public);
}

/* Runs a command with the path of the message's file as its last argument. */
static inline size_t keys_run_on(const char *command, const char *input, const void *message,
	size_t length, char out[KEYS_MAX])
{
	char path[] = "/tmp/rowtail-message-XXXXXX", whole[400];
	int fd = mkstemp(path);
	size_t got;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, message, length), length);
	close(fd);
	snprintf(whole, sizeof(whole), "%s %s", command, path);
	got = keys_run(whole, input, out);
	unlink(path);
	return got;
}

/* A signature as openssl makes it; digest: "-sha256". Returns its length. */
static inline size_t keys_sign(const char *private, const char *digest, const void *message,
	size_t length, char out[KEYS_MAX])
{
	char command[200];

	snprintf(command, sizeof(command),
		"printf '%%s' \"$INPUT\" | openssl dgst %s -binary -sign /dev/stdin", digest);
	return keys_run_on(command, private, message, length, out);
}

static inline size_t keys_mac(const char *secret, const char *digest, const void *message,
	size_t length, char out[KEYS_MAX])
{
	char command[200];

	snprintf(command, sizeof(command), "openssl dgst %s -binary -hmac \"$INPUT\"", digest);
	return keys_run_on(command, secret, message, length, out);
}

/* Copies the number that begins at `at` of the DER encoding, and returns where the next one is. */
static inline size_t keys_number(const char *der, size_t at, char *number, size_t size)
{
	size_t length = (size_t)(unsigned char)der[at + 1], zero = der[at + 2] == 0 ? 1 : 0;

	assert_int_equal(der[at], 2);
	assert_in_range(length - zero, 1, size);
	memset(number, 0, size);
	memcpy(number + size - (length - zero), der + at + 2 + zero, length - zero);
	return at + 2 + length;
}

/* Makes r and s of so many bytes out of an ECDSA signature in DER. Returns the length of both. */
static inline size_t keys_numbers(char signature[KEYS_MAX], size_t length, size_t size)
{
	char both[KEYS_MAX];
	size_t at = (unsigned char)signature[1] < 0x80 ? 2 : 3;

	assert_in_range(length, 8, 200);
	at = keys_number(signature, at, both, size);
	assert_int_equal(keys_number(signature, at, both + size, size), length);
	memcpy(signature, both, 2 * size);
	return 2 * size;
}

#endif
