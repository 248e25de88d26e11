/*
 * setting: the table of all settings, and the conversion of a value's text to a member of
 * struct config.
 *
 * For config.c only. Owns each setting's name, operand, default, range and help text, so that the
 * command line, the environment, the CONFIG file and --help cannot disagree. Does no I/O, copies
 * nothing, and does not know where a value comes from.
 */
#ifndef ROWTAIL_SETTING_H
#define ROWTAIL_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/values.h"

enum {
	SETTING_COUNT_MAX = 48, /* more than there are settings */
	SETTING_NAME_MAX = 32, /* bytes of the longest name, with "ROWTAIL_" and a NUL */
	SETTING_LIST_MAX = 100, /* a list has room for this many and a NULL */
	SETTING_ADVICE_MAX = 200,
	SETTING_USUAL_MAX = 320,
};

struct setting {
	const char *name; /* "max-streams" */
	const char *operand; /* "N", as in --max-streams N; NULL for a flag, which is yes or no */
	const char *standard; /* the default, as a user would write it; NULL for none or for no */
	const char *help; /* what it does: one phrase without a full stop */

	/* For setting.c. Sets the member from text. On failure returns false and fills advice. */
	bool (*parse)(const struct setting *s, struct config *c, const char *text, char *advice);
	/*
	 * Only for a list: converts a value to its canonical form, which parse requires, and writes
	 * it to usual[SETTING_USUAL_MAX]; false if it has none. NULL: values need no conversion.
	 */
	bool (*usual)(const char *text, char *usual, char *advice);
	bool is_list; /* the member is a list of texts, which has room for SETTING_LIST_MAX */
	size_t member; /* offset in struct config */
	int64_t least, most; /* range of a number, in the operand's unit */
	int64_t scale; /* the member is the number times this: SECONDS are stored as ms */
};

/* The settings of one program, in the order of --help. */
struct setting_table {
	const char *program; /* "rowtail" */
	const struct setting *list;
	size_t count;
};
extern const struct setting_table setting_rowtail, setting_mirror, setting_publish;

/* Chooses the program whose settings all functions below know. At first that is rowtail. */
void setting_use(const struct setting_table *settings);
const struct setting_table *setting_used(void);

/* The settings in the order of --help. setting_at(n) needs n < setting_count(). */
size_t setting_count(void);
const struct setting *setting_at(size_t n);

/* Its index in that order. */
size_t setting_index(const struct setting *s);

/* The setting with exactly this name (length bytes), or NULL. */
const struct setting *setting_find(const char *name, size_t length);

/*
 * The setting that somebody probably meant by an unknown name, or NULL if no name is near. Ignores
 * case, and treats underscores as dashes; ignores leading dashes and a leading "ROWTAIL_".
 */
const struct setting *setting_nearest(const char *name, size_t length);

/* Can it have several values (--allow-origin, --http)? */
bool setting_is_list(const struct setting *s);

/* Empties a list. */
void setting_clear(const struct setting *s, struct config *c);

/* Is it --help or --version, which only work on the command line? */
bool setting_is_question(const struct setting *s);

/* Writes "ROWTAIL_MAX_STREAMS" for "max-streams" to variable[SETTING_NAME_MAX]. */
void setting_variable(const struct setting *s, char *variable);

/*
 * Sets a setting. Text members borrow `text`, which must live as long as *c. For a list it adds one
 * value to its member. On failure returns false and writes to advice[SETTING_ADVICE_MAX] what
 * would be right, as an imperative ("give a whole number …").
 */
bool setting_apply(const struct setting *s, struct config *c, const char *text, char *advice);

#endif
