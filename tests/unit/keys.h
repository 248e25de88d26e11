/* keys: pairs of keys, made by openssl when a test runs, so that none is kept anywhere. */
#ifndef ROWTAIL_TESTS_KEYS_H
#define ROWTAIL_TESTS_KEYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS_MAX = 8192 };

struct keys_pair {
	char private[KEYS_MAX]; /* PEM, PKCS #8 */
	char public[KEYS_MAX]; /* PEM, SubjectPublicKeyInfo */
};

/* What a shell command prints, with a NUL behind it; $INPUT is a text for it. */
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

/* A new pair: what follows `openssl genpkey -algorithm`. */
static inline void keys_make(struct keys_pair *pair, const char *algorithm)
{
	char command[200];

	snprintf(command, sizeof(command), "openssl genpkey -algorithm %s 2>/dev/null", algorithm);
	keys_run(command, "", pair->private);
	keys_run("printf '%s' \"$INPUT\" | openssl pkey -pubout", pair->private, pair->public);
}

#endif
