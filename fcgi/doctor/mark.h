/*
 * mark: the text of the doctor's test rows, and how to know one again. Pure.
 */
#ifndef ROWTAIL_DOCTOR_MARK_H
#define ROWTAIL_DOCTOR_MARK_H

#include <stdbool.h>

enum { MARK_MAX = 256 };

/* The data of a row: with what servers that rewrite pages would rewrite. */
void mark_text(char text[MARK_MAX], int number);

/* The number of the row whose data this is; -1 if it is none. *same: nothing in it was changed. */
int mark_number(const char *data, bool *same);

#endif
