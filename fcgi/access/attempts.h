/*
 * attempts: counts the invalid tokens of each address, so that nobody can guess tokens quickly.
 *
 * An address may fail with ATTEMPTS_MAX different tokens in a row, and after that with one a
 * second. A token that the address has shown before is always checked again, whatever others at
 * that address do. So a page that reconnects is not locked out by its neighbours. Memory is
 * bounded: it keeps only addresses that failed recently, and part of a hash of each token; newer
 * tokens replace older ones.
 */
#ifndef ROWTAIL_ATTEMPTS_H
#define ROWTAIL_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ATTEMPTS_MAX = 10,
	ATTEMPTS_ADDRESSES_MAX = 10000, /* above this, those that failed least are forgotten */
	ATTEMPTS_TOKENS = 16384, /* how many it remembers */
};

struct attempts;

/* NULL if there is no memory. */
struct attempts *attempts_new(void);
void attempts_free(struct attempts *a);

/*
 * May this address (REMOTE_ADDR) show a token that it has not shown before? An IPv6 address counts
 * as its /64, because one client usually has a whole /64. now_ms: clock_ms().
 */
bool attempts_allowed(struct attempts *a, const char *address, int64_t now_ms);

/*
 * Counts an invalid token of the address; hash: token_hash(). The same token counts only once: a
 * page that keeps reconnecting with an old token is not guessing.
 */
void attempts_fail(struct attempts *a, const char *address, const char *hash, int64_t now_ms);

/* Remembers that the address has shown a valid token. */
void attempts_remember(struct attempts *a, const char *address, const char *hash);

/*
 * Has the address shown this token before, valid or not? Then checking it again helps nobody to
 * guess.
 */
bool attempts_remembered(const struct attempts *a, const char *address, const char *hash);

#endif
