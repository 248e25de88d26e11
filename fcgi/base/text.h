/*
 * text: reads untrusted text, and repeats it safely.
 *
 * Pure, allocates nothing. A text is bytes with a length and needs no NUL at its end, unless it is
 * passed without a length.
 */
#ifndef ROWTAIL_TEXT_H
#define ROWTAIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_QUOTE_MAX = 40 };

/* A space or a tab: HTTP's optional whitespace. */
bool text_is_blank(char c);

/*
 * Copies as much of from[0..length) as fits into max bytes, cut between two characters. U+FFFD
 * replaces what is not UTF-8, NUL, and control characters (C0, DEL, C1) unless keep_controls is
 * set. Adds a NUL: `to` has room for max + 1 bytes. Returns the number of bytes read from `from`.
 */
size_t text_harmless(char *to, size_t max, const char *from, size_t length, bool keep_controls);

/*
 * The beginning of a text, at most TEXT_QUOTE_MAX bytes, followed by "…" if the text is longer. `<`
 * is written as \x3c and `{` as \x7b, because a web server that expands templates in responses
 * (Caddy's templates, SSI, ESI) would execute commands in them.
 */
struct text_quote {
	char text[TEXT_QUOTE_MAX + sizeof("…")];
};

/* Makes a safe, one-line quote for use in a sentence. Returns q->text. */
const char *text_quote(struct text_quote *q, const char *text, size_t length);

enum text_digits {
	TEXT_NONE, /* empty, or contains something other than decimal digits */
	TEXT_NUMBER,
	TEXT_BEYOND, /* a number above INT64_MAX */
};

/* Reads a decimal number. *number is set only with TEXT_NUMBER. */
enum text_digits text_digits(const char *text, size_t length, int64_t *number);

/* Is this the media type? Ignores case and parameters. RFC 9110, 8.3.1. */
bool text_is_media_type(const char *text, size_t length, const char *type);

/*
 * Writes a word as the shell reads it to out[size]: as it is, or in single quotes. Returns out; ""
 * if it does not fit.
 */
const char *text_shell(char *out, size_t size, const char *word);

/*
 * Does an Accept header (RFC 9110, 12.5.1) name the media type with a weight other than 0? A
 * wildcard does not count as naming it.
 */
bool text_accepts(const char *accept, const char *type);

#endif
