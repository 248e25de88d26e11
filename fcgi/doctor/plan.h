/*
 * plan: which requests are sent, and when: all long waits go on side by side.
 *
 * plan_first() asks once. If that gives a stream, plan_rest() sends all other requests, inserts the
 * rows, and waits through the silence. Both end early when plan_stop() was called.
 */
#ifndef ROWTAIL_DOCTOR_PLAN_H
#define ROWTAIL_DOCTOR_PLAN_H

#include "doctor/facts.h"
#include "doctor/options.h"
#include "doctor/rows.h"

/* rows: NULL without --db. Fills f from the beginning. */
void plan_first(struct options *o, struct rows *rows, struct facts *f);

void plan_rest(const struct options *o, struct rows *rows, struct facts *f);

/* Ends what runs. For a signal handler. */
void plan_stop(void);

#endif
