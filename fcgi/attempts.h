/*
 * attempts: how often an address has shown a token that is not valid, so that tokens can't be
 * guessed at speed.
 *
 * An address may fail ATTEMPTS_MAX times in a row, and then once a second. A token that was valid
 * from an address before is let through whatever others behind that address do: a page that comes
 * back after a cut is not shut out by a neighbour. Memory is bounded: of addresses only those that
 * have just failed are kept, of tokens a part of a hash, the older making room for the newer.
 */
#ifndef ROWTAIL_ATTEMPTS_H
#define ROWTAIL_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ATTEMPTS_MAX = 10,
	ATTEMPTS_ADDRESSES_MAX = 10000, /* more at once are not counted */
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

/* The address has shown a token that is not valid. */
void attempts_fail(struct attempts *a, const char *address, int64_t now_ms);

/* The address has shown a valid token, of which this is the hash (token_hash()). */
void attempts_remember(struct attempts *a, const char *address, const char *hash);
bool attempts_remembered(const struct attempts *a, const char *address, const char *hash);

#endif
