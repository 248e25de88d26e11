#include "access/attempts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/token.h"
#include "base/address.h"
#include "base/tally.h"

enum { FORGET_MS = 1000 };

struct attempts {
	struct tally *failed;
	int64_t forgot_ms; /* when failures were last forgotten */
	uint64_t good[ATTEMPTS_TOKENS], bad[ATTEMPTS_TOKENS]; /* number_of(); 0: none */
};

struct attempts *attempts_new(void)
{
	struct attempts *a = calloc(1, sizeof(*a));

	if (a && !(a->failed = tally_new(ATTEMPTS_ADDRESSES_MAX))) {
		free(a);
		return NULL;
	}
	return a;
}

void attempts_free(struct attempts *a)
{
	if (!a)
		return;
	tally_free(a->failed);
	free(a);
}

static void forget(struct attempts *a, int64_t now_ms)
{
	int64_t seconds = (now_ms - a->forgot_ms) / FORGET_MS;

	if (seconds <= 0)
		return;
	tally_decay(a->failed, seconds);
	a->forgot_ms += seconds * FORGET_MS;
}

bool attempts_allowed(struct attempts *a, const char *address, int64_t now_ms)
{
	char name[ADDRESS_NAME];
	struct tally_entry *e;
	int64_t count;

	forget(a, now_ms);
	address_name(name, address);
	if (!(e = tally_find(a->failed, name)))
		return true;
	count = tally_count(e);
	/* Forgets an entry that was only just made. */
	tally_add(a->failed, e, 0);
	return count < ATTEMPTS_MAX;
}

/* A number for an address and a token, never 0. *slot is its index. */
static uint64_t number_of(const char *address, const char *hash, size_t *slot)
{
	char both[ADDRESS_NAME + TOKEN_HEX + 1], hex[TOKEN_HEX + 1], name[ADDRESS_NAME];
	int length;

	address_name(name, address);
	length = snprintf(both, sizeof(both), "%s %s", name, hash);
	token_hash(both, (size_t)length, hex);
	*slot = strtoull(hex + TOKEN_HEX - 8, NULL, 16) % ATTEMPTS_TOKENS;
	hex[16] = '\0';
	return strtoull(hex, NULL, 16) | 1;
}

void attempts_fail(struct attempts *a, const char *address, const char *hash, int64_t now_ms)
{
	char name[ADDRESS_NAME];
	struct tally_entry *e;
	size_t slot;
	uint64_t number = number_of(address, hash, &slot);

	if (a->bad[slot] == number)
		return;
	a->bad[slot] = number;
	forget(a, now_ms);
	address_name(name, address);
	if (!(e = tally_find(a->failed, name))) {
		/* Failures from very many addresses must not prevent others from being counted. */
		tally_forget_least(a->failed);
		e = tally_find(a->failed, name);
	}
	if (e)
		tally_add(a->failed, e, 1);
}

void attempts_remember(struct attempts *a, const char *address, const char *hash)
{
	size_t slot;
	uint64_t number = number_of(address, hash, &slot);

	a->good[slot] = number;
}

bool attempts_remembered(const struct attempts *a, const char *address, const char *hash)
{
	size_t slot;
	uint64_t number = number_of(address, hash, &slot);

	return a->good[slot] == number || a->bad[slot] == number;
}
