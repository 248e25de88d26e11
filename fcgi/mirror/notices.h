/*
 * notices: a second connection, to the primary, where the first one reads from a standby or leads through a
 * connection pool (--notices). It hears of commits, and knows how far the primary is.
 *
 * Owns that connection, and connects again by itself. Logs a fault once.
 */
#ifndef ROWTAIL_MIRROR_NOTICES_H
#define ROWTAIL_MIRROR_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

/* Begins to connect; borrows text for good. `noticed` is called for each commit. False without memory. */
bool notices_begin(const char *text, void (*noticed)(void));
void notices_end(void);

/* Does it listen on a primary now? */
bool notices_are_on(void);

/* Asks how far the primary is, unless an answer is on its way. */
void notices_ask(void);

/*
 * Takes an answer that was not taken before: what has a number up to `newest` is what the primary had at
 * `when_ms`, in ms since 1970. False if there is none.
 */
bool notices_take(int64_t *newest, int64_t *when_ms);

/* Tells the other mirrors that rows before a base were taken back. `told` is called when that is done. */
void notices_tell_lost(int64_t base, void (*told)(void));

#endif
