#include "attempts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tally.h"
#include "token.h"

enum { FORGET_MS = 1000, ADDRESS_NAME = 64 }; /* bytes of a name */

struct attempts {
	struct tally *failed;
	int64_t forgot_ms; /* when the last failures were forgotten */
	uint64_t remembered[ATTEMPTS_TOKENS]; /* 0: none */
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

/* Under which name an address is counted. */
static void name_of(char name[ADDRESS_NAME], const char *address)
{
	struct in6_addr six;
	const uint8_t *b = six.s6_addr;

	if (inet_pton(AF_INET6, address, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six))
		snprintf(name, ADDRESS_NAME, "%02x%02x:%02x%02x:%02x%02x:%02x%02x::/64", b[0], b[1],
			b[2], b[3], b[4], b[5], b[6], b[7]);
	else
		snprintf(name, ADDRESS_NAME, "%s", address);
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
	name_of(name, address);
	if (!(e = tally_find(a->failed, name)))
		return true;
	count = tally_count(e);
	/* One that was only just made is forgotten again. */
	tally_add(a->failed, e, 0);
	return count < ATTEMPTS_MAX;
}

void attempts_fail(struct attempts *a, const char *address, int64_t now_ms)
{
	char name[ADDRESS_NAME];
	struct tally_entry *e;

	forget(a, now_ms);
	name_of(name, address);
	if ((e = tally_find(a->failed, name)))
		tally_add(a->failed, e, 1);
}

/* A number for an address and a token, never 0; *slot is where it is kept. */
static uint64_t number_of(const char *address, const char *hash, size_t *slot)
{
	char both[ADDRESS_NAME + TOKEN_HEX + 1], hex[TOKEN_HEX + 1], name[ADDRESS_NAME];
	int length;

	name_of(name, address);
	length = snprintf(both, sizeof(both), "%s %s", name, hash);
	token_hash(both, (size_t)length, hex);
	*slot = strtoull(hex + TOKEN_HEX - 8, NULL, 16) % ATTEMPTS_TOKENS;
	hex[16] = '\0';
	return strtoull(hex, NULL, 16) | 1;
}

void attempts_remember(struct attempts *a, const char *address, const char *hash)
{
	size_t slot;
	uint64_t number = number_of(address, hash, &slot);

	a->remembered[slot] = number;
}

bool attempts_remembered(const struct attempts *a, const char *address, const char *hash)
{
	size_t slot;
	uint64_t number = number_of(address, hash, &slot);

	return a->remembered[slot] == number;
}
