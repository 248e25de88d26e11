/*
 * notices: a second connection, to the primary, where the first one reads from a standby or leads
 * through a connection pool (--notices). It hears of commits, and knows how far the primary is.
 *
 * Owns that connection, and connects again by itself. Logs a fault once.
 */
#ifndef ROWTAIL_MIRROR_NOTICES_H
#define ROWTAIL_MIRROR_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

/* Begins to connect. Borrows text for good. Calls `noticed` for each commit. False: no memory. */
bool notices_begin(const char *text, void (*noticed)(void));
void notices_end(void);

/* Does it listen on a primary now? */
bool notices_are_on(void);

/* Asks how far the primary is, unless there is an answer already. */
void notices_ask(void);

/*
 * If the copy has everything up to `cursor`, does it have all that the primary had when it was
 * asked? If so, sets *when_ms to that time, in ms since 1970, and forgets the answer. False as well
 * if there is no answer.
 */
bool notices_confirm(int64_t cursor, int64_t *when_ms);

/* Tells the other mirrors that rows before a base were taken back. Calls `told` when done. */
void notices_tell_lost(int64_t base, void (*told)(void));

#endif
