/*
 * head: takes the lines of an answer's head into the facts.
 *
 * Pure. Source: RFC 9110; RFC 9112, 4 (the status line).
 */
#ifndef ROWTAIL_DOCTOR_HEAD_H
#define ROWTAIL_DOCTOR_HEAD_H

#include "doctor/facts.h"

/*
 * Takes one line, with or without its line break. A status line begins the head anew, as after an
 * informational answer. Returns true for the empty line at the end of a head that is final.
 */
bool head_line(struct answer *a, const char *line, size_t length);

#endif
