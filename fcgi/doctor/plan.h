/*
 * plan: which requests are sent, and when: all long waits go on side by side.
 *
 * plan_first() asks once. If that gives a stream, plan_rest() sends all other requests, inserts the
 * rows, and waits through the silence. plan_again() sends only the requests that show whether
 * something holds the streams back. All end early when plan_stop() was called.
 *
 * With each row goes a request whose answer ends. If that answer is slow, the machine is busy, and
 * the plan waits longer for what is missing.
 */
#ifndef ROWTAIL_DOCTOR_PLAN_H
#define ROWTAIL_DOCTOR_PLAN_H

#include "doctor/facts.h"
#include "doctor/options.h"
#include "doctor/rows.h"

/* rows: NULL without --db. Fills f from the beginning. */
void plan_first(struct options *o, struct rows *rows, struct facts *f);

void plan_rest(const struct options *o, struct rows *rows, struct facts *f);

/*
 * After plan_rest(): did only the other requests get an answer, since the machine stood still when
 * the first was sent? Then PROBE_FIRST becomes the next one of its kind.
 */
bool plan_has_first_now(struct facts *f);

/* Fills *second: f, with what came of the requests that were sent again. */
void plan_again(
	const struct options *o, struct rows *rows, const struct facts *f, struct facts *second);

/* Ends what runs. For a signal handler. */
void plan_stop(void);

#endif
