/*
 * signals: what each signal does to rowtail.
 *
 *     TERM, INT, QUIT                            graceful end
 *     USR1                                       graceful end, as in FastCGI's own library
 *     USR2, ALRM, VTALRM, PROF, XCPU, PWR,
 *     STKFLT, SIGRTMIN to SIGRTMAX               graceful end, where the default kills
 *     HUP                                        with a terminal: graceful end, since it closes;
 *                                                without: a line in the log (there is no reload)
 *     PIPE, IO, XFSZ                             nothing; the write that failed reports the error
 *     TTOU                                       nothing; a background job must be able to log
 *     SEGV, BUS, ABRT and other faults           the default: a core dump
 *
 * A signal that was ignored at startup stays ignored (nohup ignores HUP). TERM, INT and QUIT are
 * the exception: they always end rowtail, since shells start background jobs with INT and QUIT
 * ignored. Signals that the parent had blocked are unblocked. rowtail looks for a terminal once, at
 * startup.
 */
#ifndef ROWTAIL_SIGNALS_H
#define ROWTAIL_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Holds signals until signals_begin(). A signal during startup must lead to a graceful end, too,
 * because clients may already wait in the backlog.
 */
void signals_hold(void);

/*
 * Lets signals in. From now on the loop calls `end` for each signal that ends rowtail. Call it
 * after loop_init() and before libraries that set signal handlers. False if the loop refuses.
 */
bool signals_begin(void (*end)(int number));

/* Holds SIGCHLD too, for signals_wait(). */
void signals_hold_children(void);

/*
 * For a process without a loop, with signals held: waits for one, for so long at most. Returns the
 * number of a signal that ends rowtail, else 0: a child has ended, the time is over, or the signal
 * means nothing.
 */
int signals_wait(int64_t ms);

/* "SIGTERM", "SIGRTMIN+3". Static; valid until the next call. */
const char *signals_name(int number);

#endif
