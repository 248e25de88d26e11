/*
 * signals: what each signal means to rowtail.
 *
 *     TERM, INT, QUIT                            end politely
 *     USR1                                       end politely: FastCGI's own library does so
 *     USR2, ALRM, VTALRM, PROF, XCPU, PWR,
 *     STKFLT, SIGRTMIN to SIGRTMAX               end politely, where the system would kill
 *     HUP                                        with a terminal: end politely, since it closes;
 *                                                without: a line in the log (nothing is reloaded)
 *     PIPE, IO, XFSZ                             nothing; the write that failed says why
 *     TTOU                                       nothing; it is for the log of a job in the background
 *     SEGV, BUS, ABRT and other faults           the system's: a core, and no last words
 *
 * A signal that was ignored at the start, as nohup does with HUP, stays ignored; but TERM, INT and
 * QUIT always end it, since shells start background jobs with INT and QUIT ignored. A signal that
 * the parent had blocked is let in. Whether there is a terminal is seen at the start.
 */
#ifndef ROWTAIL_SIGNALS_H
#define ROWTAIL_SIGNALS_H

#include <stdbool.h>

/*
 * Keeps signals waiting until signals_begin(): a signal that comes while the process still sets
 * itself up must be answered politely, since clients may be in the backlog already.
 */
void signals_hold(void);

/*
 * Lets them in. From now on `end` is called in the loop for each signal that ends rowtail. To be
 * called after loop_init() and before libraries that take signals. False when the loop refuses.
 */
bool signals_begin(void (*end)(int number));

/* "SIGTERM", "SIGRTMIN+3"; static, until the next call. */
const char *signals_name(int number);

#endif
