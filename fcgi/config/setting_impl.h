/*
 * What setting.c (rowtail's table, numbers and words), setting_path.c (paths and addresses) and
 * setting_mirror.c and
 * setting_publish.c (the tables of the other programs) share. For these four only.
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

/* For the tables. */
#define AT(field) offsetof(struct config, field)
#define TEXT(field) .parse = setting_parse_text, .member = AT(field)
#define FLAG(field) .parse = setting_parse_flag, .member = AT(field)
#define NUMBER(field, low, high, times)                                                            \
	.parse = setting_parse_number, .member = AT(field), .least = (low), .most = (high),        \
	.scale = (times)

enum { DAY_SECONDS = 86400, HOUR_MS = 3600000 };

/* Parsers for struct setting. */
bool setting_parse_number(
	const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_flag(const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_level(const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_check(const struct setting *s, struct config *c, const char *text, char *advice);
/* For --help and --version. */
bool setting_parse_question(
	const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_mode(const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_origin(
	const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_algorithm(
	const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_text(const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_database(
	const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_file(const struct setting *s, struct config *c, const char *text, char *advice);
bool setting_parse_listen(
	const struct setting *s, struct config *c, const char *text, char *advice);

/* How JWTs are verified: rows of the tables of rowtail and rowtail-publish. */
#define SETTING_JWT_ROWS                                                                           \
	{"jwt-key", "FILE", NULL,                                                                  \
		"accept JWTs signed with this key: a secret, or a public key in PEM",              \
		.parse = setting_parse_file, .member = AT(jwt_key)},                               \
		{"jwt-algorithm", "NAME", NULL,                                                    \
			"the only algorithm accepted: HS256, RS256, ES256, EdDSA...",              \
			.parse = setting_parse_algorithm, .member = AT(jwt_algorithm)},            \
		{"jwt-audience", "TEXT", NULL, "accept only JWTs whose aud is or contains this",   \
			TEXT(jwt_audience)},                                                       \
		{"jwt-issuer", "TEXT", NULL, "accept only JWTs whose iss is this",                 \
			TEXT(jwt_issuer)},                                                         \
	{                                                                                          \
		"jwt-leeway", "SECONDS", "0", "clock difference to tolerate in exp, nbf and iat",  \
			NUMBER(jwt_leeway_ms, 0, 300, 1000)                                        \
	}

/* The last rows of each table. */
#define SETTING_LAST_ROWS                                                                          \
	{"json", NULL, NULL, "with --check: print one JSON object", FLAG(json)},                   \
		{"version", NULL, NULL, "print the version", .parse = setting_parse_question},     \
	{                                                                                          \
		"help", NULL, NULL, "print this help", .parse = setting_parse_question             \
	}

#endif
