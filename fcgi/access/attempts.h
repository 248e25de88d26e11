/*
 * attempts: how often an address has shown a token that is not valid, so that tokens can't be
 * guessed at speed.
 *
 * An address may fail with ATTEMPTS_MAX different tokens in a row, and then with one a second. A token
 * that the address has shown before is looked at again whatever others behind that address do: a page that
 * comes back after a cut is not shut out by a neighbour. Memory is bounded: of addresses only those that
 * have just failed are kept, of tokens a part of a hash, the older making room for the newer.
 */
#ifndef ROWTAIL_ATTEMPTS_H
#define ROWTAIL_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ATTEMPTS_MAX = 10,
	ATTEMPTS_ADDRESSES_MAX = 10000, /* of more, those that failed least are forgotten */
	ATTEMPTS_TOKENS = 16384, /* remembered ones */
};

struct attempts;

/* NULL without memory. */
struct attempts *attempts_new(void);
void attempts_free(struct attempts *a);

/*
 * May this address (REMOTE_ADDR) show a token that it has not shown before? An IPv6 address counts
 * for its whole /64, which is what one client has. now_ms: clock_ms().
 */
bool attempts_allowed(struct attempts *a, const char *address, int64_t now_ms);

/*
 * The address has shown a token that is not valid; hash: token_hash(). The same token counts once: a page
 * that comes back again and again with an old token is no guesser.
 */
void attempts_fail(struct attempts *a, const char *address, const char *hash, int64_t now_ms);

/* The address has shown a valid token. */
void attempts_remember(struct attempts *a, const char *address, const char *hash);

/* Has the address shown this token before, valid or not? To look at it again helps no guesser. */
bool attempts_remembered(const struct attempts *a, const char *address, const char *hash);

#endif
