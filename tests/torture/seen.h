/*
 * seen: what any client of the torture run has received under an id, to find an id with two rows.
 *
 * An id means one row for ever: on every machine, for every client, before and after a failover or
 * a restored backup. Remembers most of the last few million ids. Does no I/O.
 */
#ifndef TORTURE_SEEN_H
#define TORTURE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SEEN_MAX = 1 << 22, /* places; a row takes that of an older one */
	SEEN_HAVE = 100, /* bytes of a line that count, and its length */
};

struct seen {
	struct {
		int64_t id; /* 0: none */
		uint64_t hash;
	} rows[SEEN_MAX];
};

/* Zeroed memory, which the caller frees; exits if there is none. */
struct seen *seen_new(void);

/* The hash of a row so far, with one more line. The hash of no lines is SEEN_START. */
#define SEEN_START UINT64_C(0xcbf29ce484222325)
uint64_t seen_hash(uint64_t hash, const char *text, size_t have, size_t total);

/* Whether the row with this id is the one that was received first, as far as it is remembered. */
bool seen_same(struct seen *s, int64_t id, uint64_t hash);

#endif
