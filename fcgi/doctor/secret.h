/*
 * secret: takes secrets out of a text before it is printed. Pure.
 *
 * Secrets are the values of --header, their words and the values of their cookies, and the values of
 * parameters such as access_token in the URL: a server may repeat them in an answer.
 */
#ifndef ROWTAIL_DOCTOR_SECRET_H
#define ROWTAIL_DOCTOR_SECRET_H

#include <stddef.h>

#include "doctor/options.h"

/* Replaces each secret in text[size] by "***". */
void secret_hide(char *text, size_t size, const struct options *o);

#endif
