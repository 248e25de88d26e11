/*
 * report: prints the findings, as lines or as one JSON object, without any secret.
 */
#ifndef ROWTAIL_DOCTOR_REPORT_H
#define ROWTAIL_DOCTOR_REPORT_H

#include "doctor/findings.h"
#include "doctor/options.h"

/* Prints to standard output. */
void report_print(const struct options *o, const struct facts *f, const struct findings *found);

#endif
