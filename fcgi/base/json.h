/*
 * json: a JSON object, flattened to its members' values as texts.
 *
 * Pure, and the only includer of <jansson.h>. Owns the limits that text from strangers needs: the
 * depth, the number of values, no name twice in an object, no NUL in a string, UTF-8 only. Integers
 * keep every digit, however many there are. Knows no member by name. What lies deeper than an array
 * of a member is checked, and then told only as "an array" or "an object".
 *
 * Source: RFC 8259.
 */
#ifndef ROWTAIL_JSON_H
#define ROWTAIL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	JSON_DEPTH_MAX = 16, /* arrays and objects within each other, the outermost included */
	JSON_COMMAS_MAX = 2000, /* and so about as many values; each costs a hundred bytes */
	JSON_REASON_MAX = 100,
};

enum json_kind {
	JSON_KIND_STRING,
	JSON_KIND_INTEGER,
	JSON_KIND_REAL, /* a number with a fraction or an exponent; its text is empty */
	JSON_KIND_BOOLEAN,
	JSON_KIND_NULL,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};

struct json_value {
	const char *name; /* of the member; UTF-8 without NUL */
	const char *text; /* the string, the digits, "true" or "false"; else "" */
	size_t length; /* of the text, which has a NUL behind it */
	enum json_kind kind;
	bool listed; /* an element of the array that is this member's value */
};

/* The members in their order. An array is told first as itself, then come its elements, listed. */
struct json_members {
	struct json_value *value;
	size_t count;
	void *memory; /* owned: everything above */
};

struct json_problem {
	bool no_memory; /* else the text is at fault */
	char reason[JSON_REASON_MAX]; /* words for "cannot be read: …"; quotes nothing of the text
				       */
};

/*
 * Gives the hash tables a seed that nobody can guess, so that nobody can choose names that collide. Call it once,
 * first: jansson by itself takes the time of day where there is no /dev/urandom.
 */
void json_seed(uint32_t seed);

/*
 * Parses text[0..length), which must be one object. Returns 0 and fills *members, to be given to
 * json_free(); or -1 and fills *problem, and then there is nothing to free.
 */
int json_parse(struct json_members *members, const char *text, size_t length,
	struct json_problem *problem);

/* Gives back what json_parse() took; harmless for zeroed members. */
void json_free(struct json_members *members);

#endif
