/*
 * tally: a count for each name: open streams of a client, failed attempts of an address.
 *
 * Owns copies of the names; a name whose count falls to zero is forgotten. Holds at most as many
 * names as it was made for.
 */
#ifndef ROWTAIL_TALLY_H
#define ROWTAIL_TALLY_H

#include <stddef.h>
#include <stdint.h>

struct tally;
struct tally_entry;

/* NULL without memory. */
struct tally *tally_new(size_t max_names);
void tally_free(struct tally *t);

/* The entry of a name, made with count 0 when it is new; NULL without memory or when full. */
struct tally_entry *tally_find(struct tally *t, const char *name);

/* Forgets the name with the smallest count, the oldest of several. For tallies whose entries nobody keeps. */
void tally_forget_least(struct tally *t);

int64_t tally_count(const struct tally_entry *e);

/* Adds to a count; at zero or below the entry is gone, and must not be used any more. */
void tally_add(struct tally *t, struct tally_entry *e, int64_t amount);

/* Takes `amount` off every count. */
void tally_decay(struct tally *t, int64_t amount);

#endif
