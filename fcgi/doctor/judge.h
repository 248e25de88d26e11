/*
 * judge: what the facts mean: one finding for each thing that is right or wrong.
 *
 * Pure. The limits that it judges by are in judge_late.c and judge_flow.c.
 */
#ifndef ROWTAIL_DOCTOR_JUDGE_H
#define ROWTAIL_DOCTOR_JUDGE_H

#include "doctor/facts.h"
#include "doctor/findings.h"

/*
 * Judges PROBE_FIRST alone: can the rest be asked? Adds findings and returns false if the URL gives
 * no stream at all.
 */
bool judge_first(const struct facts *f, struct findings *out);

/*
 * Does it look as if something holds the streams back? A machine that stands still for a moment
 * looks the same, so the streams have to be asked for again.
 */
bool judge_wants_second(const struct facts *f);

/*
 * Judges all the rest. second: what became of the streams when they were asked for again; NULL if
 * they were not. It decides whether they are held back.
 */
void judge_all(const struct facts *f, const struct facts *second, struct findings *out);

/* Is this rowtail's stream or somebody's event stream, by its type or its first bytes? */
bool judge_is_stream(const struct answer *a);

/* Is it an answer in rowtail's place, or rowtail's own "come back later"? */
bool judge_is_away(const struct answer *a);

#endif
