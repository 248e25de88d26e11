/*
 * form: reads application/x-www-form-urlencoded text, of a query string or a body.
 *
 * Pure, allocates nothing. Decodes in place: a decoded text is never longer than it was. Knows no
 * parameter by name and looks at no character encoding; a pair may hold any byte, NUL included.
 *
 * Source: URL Standard, section 5.1 (application/x-www-form-urlencoded parsing).
 */
#ifndef ROWTAIL_FORM_H
#define ROWTAIL_FORM_H

#include <stdbool.h>
#include <stddef.h>

/* A place in a form; its members are for form.c. */
struct form {
	char *at, *end;
};

/* Both texts have a NUL behind them, which their lengths do not count. */
struct form_pair {
	const char *name, *value;
	size_t name_length, value_length;
	bool bad_escape; /* the value holds a '%' without two hexadecimal digits, left as it came */
};

/*
 * Begins with text[0..length), which the caller owns and which is overwritten, text[length]
 * included; the pairs point into it.
 */
void form_init(struct form *f, char *text, size_t length);

/*
 * The next pair, in the order of the text; false when there is none left. Empty pieces ("a=1&&b=2")
 * are passed over, a name without '=' has an empty value, and '+' is a space. A bad escape in a
 * name is left as it came, too: no parameter is called so.
 */
bool form_next(struct form *f, struct form_pair *pair);

enum { FORM_ESCAPE_LENGTH = 3 };

/* Does text[0..length) begin with an escape, "%2F"? Then *byte is what it stands for. */
bool form_unescape(const char *text, size_t length, char *byte);

#endif
