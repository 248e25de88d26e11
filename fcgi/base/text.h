/*
 * text: what a text from a stranger says, and how to repeat it without harm.
 *
 * Pure, allocates nothing. Texts are bytes with a length and need no NUL behind them, but for
 * those that stand without a length.
 */
#ifndef ROWTAIL_TEXT_H
#define ROWTAIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_QUOTE_MAX = 40 };

/* A space or a tab: what HTTP calls optional white space. */
bool text_is_blank(char c);

/*
 * Copies as much of from[0..length) as fits into max bytes, cut between characters, with U+FFFD in
 * the place of what is not UTF-8, of NUL and, unless they are kept, of control characters (C0, DEL,
 * C1). Puts a NUL behind it: `to` has room for max + 1 bytes. Returns how many bytes it took.
 */
size_t text_harmless(char *to, size_t max, const char *from, size_t length, bool keep_controls);

/*
 * The beginning of a text, at most TEXT_QUOTE_MAX bytes, and "…" when that is not all of it. `<` is
 * written \x3c and `{` \x7b: a web server that fills in pages on their way (Caddy's templates, SSI,
 * ESI) would obey commands in them.
 */
struct text_quote {
	char text[TEXT_QUOTE_MAX + sizeof("…")];
};

/* Makes a quote for a sentence, harmless and on one line. Returns q->text. */
const char *text_quote(struct text_quote *q, const char *text, size_t length);

enum text_digits {
	TEXT_NONE, /* empty, or there is something else than decimal digits */
	TEXT_NUMBER,
	TEXT_BEYOND, /* a number above INT64_MAX */
};

/* Reads a text of decimal digits; *number is of use with TEXT_NUMBER only. */
enum text_digits text_digits(const char *text, size_t length, int64_t *number);

/* Is this the media type, in whatever case and with whatever parameters? RFC 9110, 8.3.1. */
bool text_is_media_type(const char *text, size_t length, const char *type);

/*
 * Does an Accept header (RFC 9110, 12.5.1) name the media type, with a weight other than 0? A
 * wildcard names none.
 */
bool text_accepts(const char *accept, const char *type);

#endif
