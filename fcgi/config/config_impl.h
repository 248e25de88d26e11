/*
 * config_impl: what config.c and config_file.c share. For these two only.
 */
#ifndef ROWTAIL_CONFIG_IMPL_H
#define ROWTAIL_CONFIG_IMPL_H

#include "config/config.h"
#include "config/setting.h"

enum config_source {
	CONFIG_FROM_DEFAULT,
	CONFIG_FROM_FILE,
	CONFIG_FROM_ENVIRONMENT,
	CONFIG_FROM_ARGUMENTS,
};

struct config_memory; /* what config_free() frees */

/* The state of one config_load(): what it is reading, and where each setting got its value. */
struct config_load {
	struct config *c;
	struct config_memory *memory;
	struct config_error *error;
	bool failed; /* *error is filled */

	enum config_source source; /* what is being read now */
	int line; /* in the CONFIG file, from 1 */
	enum config_source from[SETTING_COUNT_MAX];
	int from_line[SETTING_COUNT_MAX];

	char *text; /* the CONFIG file; config_load() frees it */
	size_t length, at;
};

/*
 * Fills *error with a sentence, after the file and line if there is one. Removes characters that
 * could forge a second line or disturb a terminal. Returns -1, as the functions below do.
 */
int config_fail(struct config_load *l, int exit_status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int config_fail_memory(struct config_load *l);

/* Reports an unknown `what` ("option"), and suggests the setting with the nearest name. */
int config_fail_unknown(struct config_load *l, const char *what, const char *name, size_t length);

/* Sets a value from the current source, which overrides earlier sources. 0, or -1. */
int config_apply(struct config_load *l, const struct setting *s, const char *text);

/* Applies all lines of l->c->file. 0, or -1. */
int config_read_file(struct config_load *l);

#endif
