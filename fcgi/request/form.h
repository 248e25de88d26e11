/*
 * form: reads application/x-www-form-urlencoded text from a query string or a body.
 *
 * Pure, allocates nothing. Decodes in place: a decoded text is never longer than the encoded one.
 * Knows no parameter names and checks no character encoding; a pair may contain any byte, including
 * NUL.
 *
 * Source: URL Standard, section 5.1 (application/x-www-form-urlencoded parsing).
 */
#ifndef ROWTAIL_FORM_H
#define ROWTAIL_FORM_H

#include <stdbool.h>
#include <stddef.h>

/* A position in a form. Only form.c uses its members. */
struct form {
	char *at, *end;
};

/* A NUL follows each text. The lengths do not include it. */
struct form_pair {
	const char *name, *value;
	size_t name_length, value_length;
	bool bad_escape; /* the value has a '%' without two hexadecimal digits, unchanged */
};

/*
 * Begins with text[0..length). The caller owns it, and form_next() overwrites it, including
 * text[length]; the pairs point into it.
 */
void form_init(struct form *f, char *text, size_t length);

/*
 * Reads the next pair, in the order of the text. False if there are no more. Skips empty pieces
 * ("a=1&&b=2"). A name without '=' has an empty value. '+' is a space. A bad escape in a name is
 * also left unchanged, because no parameter has such a name.
 */
bool form_next(struct form *f, struct form_pair *pair);

enum { FORM_ESCAPE_LENGTH = 3 };

/* Does text[0..length) begin with an escape such as "%2F"? If so, sets *byte to its value. */
bool form_unescape(const char *text, size_t length, char *byte);

#endif
