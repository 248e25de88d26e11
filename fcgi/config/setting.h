/*
 * setting: the table of all settings, and how the text of one value becomes a member of
 * struct config.
 *
 * For config.c alone. Owns each setting's name, operand, default, range and help text, so that the
 * command line, the environment, the CONFIG file and --help cannot disagree. Does no I/O, copies
 * nothing, and does not know where a value came from.
 */
#ifndef ROWTAIL_SETTING_H
#define ROWTAIL_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/values.h"

enum {
	SETTING_COUNT_MAX = 32, /* there are fewer settings than this */
	SETTING_NAME_MAX = 32, /* bytes of the longest name, with room for "ROWTAIL_" and a NUL */
	SETTING_ORIGINS_MAX = 100, /* c->allow_origins has room for so many and a NULL */
	SETTING_ADVICE_MAX = 200,
	SETTING_USUAL_MAX = 320,
};

struct setting {
	const char *name; /* "max-streams" */
	const char *operand; /* "N", as in --max-streams N; NULL for a flag, which is yes or no */
	const char *standard; /* the default, as a user would write it; NULL for none, and for no */
	const char *help; /* what it does: one sentence without a full stop */

	/* For setting.c. Turns text into the member; false, with what would be right in advice. */
	bool (*parse)(const struct setting *s, struct config *c, const char *text, char *advice);
	/*
	 * Of a list: writes the usual form of a value to usual[SETTING_USUAL_MAX], which parse wants;
	 * false when there is none. NULL: values are taken as they are.
	 */
	bool (*usual)(const char *text, char *usual, char *advice);
	size_t member; /* offset in struct config */
	int64_t least, most; /* of a number, in the operand's unit */
	int64_t scale; /* the member is the number times this: SECONDS are kept in ms */
};

/* The settings in the order of --help; setting_at(n) for n < setting_count(). */
size_t setting_count(void);
const struct setting *setting_at(size_t n);

/* Its place in that order. */
size_t setting_index(const struct setting *s);

/* The setting of exactly this name (length bytes), or NULL. */
const struct setting *setting_find(const char *name, size_t length);

/*
 * The setting whose name someone probably meant by a name that is none, or NULL when nothing is
 * near. Sees through upper case, underscores, leading dashes and a "ROWTAIL_" in front.
 */
const struct setting *setting_nearest(const char *name, size_t length);

/* Does it take several values (--allow-origin)? */
bool setting_is_list(const struct setting *s);

/* Is it --help or --version, which only the command line may hold? */
bool setting_is_question(const struct setting *s);

/* Writes "ROWTAIL_MAX_STREAMS" for "max-streams" to variable[SETTING_NAME_MAX]. */
void setting_variable(const struct setting *s, char *variable);

/*
 * Gives the setting a value. Text members borrow `text`, which must live as long as *c. A list
 * gets one more value, in c->allow_origins. Returns true, or false and in
 * advice[SETTING_ADVICE_MAX] what would be right, as an imperative ("give a whole number …").
 */
bool setting_apply(const struct setting *s, struct config *c, const char *text, char *advice);

#endif
