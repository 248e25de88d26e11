/*
 * tally: a count per name, such as a client's open streams or an address's failed attempts.
 *
 * Owns copies of the names. Forgets a name when its count falls to zero. Holds at most max_names
 * names.
 */
#ifndef ROWTAIL_TALLY_H
#define ROWTAIL_TALLY_H

#include <stddef.h>
#include <stdint.h>

struct tally;
struct tally_entry;

/* NULL if there is no memory. */
struct tally *tally_new(size_t max_names);
void tally_free(struct tally *t);

/*
 * Returns the entry of a name, new ones with count 0. NULL if there is no memory or the tally is
 * full.
 */
struct tally_entry *tally_find(struct tally *t, const char *name);

/*
 * Forgets the name with the smallest count; of several, the oldest. Only for tallies whose callers
 * keep no entries.
 */
void tally_forget_least(struct tally *t);

int64_t tally_count(const struct tally_entry *e);

/* Adds to a count. At zero or below the entry is freed and must not be used again. */
void tally_add(struct tally *t, struct tally_entry *e, int64_t amount);

/* Subtracts `amount` from every count. */
void tally_decay(struct tally *t, int64_t amount);

#endif
