/*
 * census: how many streams each client has open, in this process or in all processes that share it.
 *
 * The memory is shared by processes that are forked after census_new(). A lock that survives the
 * death of its holder guards it. A process counts only its own streams, so that they can be
 * forgotten when it dies. A client is known by a hash, so no name is kept.
 */
#ifndef ROWTAIL_CENSUS_H
#define ROWTAIL_CENSUS_H

#include <stddef.h>
#include <stdint.h>

struct census;
struct census_entry;

enum { CENSUS_NAME = 16 }; /* bytes of a client's hash, which must not be easy to collide with */

/* Has room for so many processes, and clients with streams. NULL if there is no memory. */
struct census *census_new(size_t processes, size_t clients);
void census_free(struct census *c);

/*
 * Counts one more stream of a client in a process. NULL if the client already has `most` in all
 * processes together, or if there are too many clients.
 */
struct census_entry *census_take(
	struct census *c, size_t process, const uint8_t name[CENSUS_NAME], int64_t most);

/* Counts one less. */
void census_give(struct census *c, size_t process, struct census_entry *e);

/* Forgets the streams of a process that has died. */
void census_forget(struct census *c, size_t process);

#endif
