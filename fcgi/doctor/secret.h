/*
 * secret: takes secrets out of a text before it is printed. Pure.
 *
 * Secrets are the values of --header, their words, the values of their cookies and the password of
 * Basic, and the values of all parameters in a URL that are not rowtail's own, as they stand there
 * and decoded: a server may repeat them in an answer.
 */
#ifndef ROWTAIL_DOCTOR_SECRET_H
#define ROWTAIL_DOCTOR_SECRET_H

#include <stddef.h>

#include "doctor/options.h"

/* Replaces each secret in text[size] by "***". */
void secret_hide(char *text, size_t size, const struct options *o);

#endif
