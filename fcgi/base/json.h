/*
 * json: parses a JSON object into a flat list of its members' values, as texts.
 *
 * Pure, and the only file that includes <jansson.h>. Owns the limits for untrusted text: the depth,
 * the number of values, no duplicate names in an object, no NUL in a string, UTF-8 only. Integers
 * keep all their digits. Knows no member names. Values nested deeper than the elements of a
 * member's array are checked, but reported only as "an array" or "an object".
 *
 * Source: RFC 8259.
 */
#ifndef ROWTAIL_JSON_H
#define ROWTAIL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	JSON_DEPTH_MAX = 16, /* nested arrays and objects, including the outermost */
	JSON_COMMAS_MAX = 2000, /* limits the number of values; each costs about a hundred bytes */
	JSON_REASON_MAX = 100,
};

enum json_kind {
	JSON_KIND_STRING,
	JSON_KIND_INTEGER,
	JSON_KIND_REAL, /* a number with a fraction or an exponent; its text is for strtod() */
	JSON_KIND_BOOLEAN,
	JSON_KIND_NULL,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};

struct json_value {
	const char *name; /* of the member; UTF-8 without NUL */
	const char *text; /* the string, the digits, "true" or "false"; else "" */
	size_t length; /* of the text, without the NUL that follows it */
	enum json_kind kind;
	bool listed; /* it is an element of the array that is this member's value */
	unsigned object; /* which object of json_parse_list() it is in, from 0 */
};

/* The members in order. An array comes first as itself, then its elements with `listed` set. */
struct json_members {
	struct json_value *value;
	size_t count;
	size_t objects; /* how many were parsed: 1, or those of the list */
	void *memory; /* owned: everything above */
};

struct json_problem {
	bool no_memory; /* otherwise the text is wrong */
	char reason[JSON_REASON_MAX]; /* to follow "cannot be read: "; quotes no part of the text */
};

/*
 * Sets the seed of jansson's hash tables to a number that nobody can guess, so that nobody can
 * choose names that collide. Call it once, before anything else: without /dev/urandom, jansson
 * would use the time of day.
 */
void json_seed(uint32_t seed);

/*
 * Parses text[0..length), which must be one object. Returns 0 and fills *members, which the caller
 * frees with json_free(). Returns -1 and fills *problem on failure; then there is nothing to free.
 */
int json_parse(struct json_members *members, const char *text, size_t length,
	struct json_problem *problem);

/* The same for an object, or an array of objects, whose members come one object after the other. */
int json_parse_list(struct json_members *members, const char *text, size_t length,
	struct json_problem *problem);

/* Frees what json_parse() allocated. Does nothing for zeroed members. */
void json_free(struct json_members *members);

#endif
