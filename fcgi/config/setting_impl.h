/*
 * What setting.c (the table, numbers and words) and setting_path.c (paths and addresses) share. For
 * these two only.
 */
#ifndef ROWTAIL_SETTING_IMPL_H
#define ROWTAIL_SETTING_IMPL_H

#include "config/setting.h"

/* Copies the text to advice. Returns false, so that the caller can return the result. */
bool setting_advise(char *advice, const char *text);

/* Reads digits only: no sign, unit or blank. False also if the number is out of range. */
bool setting_read_number(const char *text, int64_t least, int64_t most, int64_t *number);

/* A name, an IPv4 address, nothing at all, or an IPv6 address in brackets. */
bool setting_is_host(const char *host, size_t length);

/* Adds a text to a list. */
bool setting_add(const struct setting *s, struct config *c, const char *text, char *advice);

/* Parsers for struct setting. */
bool setting_parse_text(const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_database(
	const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_file(const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_listen(
	const struct setting *s, struct config *c, const char *text, char *advice);

#endif
