/*
 * apart: looks from time to time for processes that write to another -wal than ours. Their rows
 * cause no error and no notice.
 *
 * To look means to read all locks of the system (proc(5)). The kernel takes some milliseconds for
 * it, and longer if there are many locks. So the pauses double, up to a minute, while there is no
 * suspect.
 */
#ifndef ROWTAIL_APART_H
#define ROWTAIL_APART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A struct of zero bytes has not looked yet. */
struct apart {
	int64_t due_ms, pause_ms;
	pid_t suspect, told;
};

/* The log was opened, perhaps another file: begins with short pauses again. */
void apart_begin(struct apart *a);

/*
 * Looks if it is time. now_ms: clock_ms(). True, with a sentence, for a process that was found
 * twice and was not told before.
 */
bool apart_look(struct apart *a, const char *path, int64_t now_ms, char *sentence, size_t size);

#endif
