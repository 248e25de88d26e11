/*
 * Declarations that only submission.c (fields and messages) and submission_body.c (formats) share.
 */
#ifndef ROWTAIL_SUBMISSION_IMPL_H
#define ROWTAIL_SUBMISSION_IMPL_H

#include <stdbool.h>

#include "base/json.h"
#include "publish/submission.h"

enum {
	SUBMISSION_CHANNEL,
	SUBMISSION_EVENT,
	SUBMISSION_DATA,
	SUBMISSION_RETRY,
	SUBMISSION_FIELDS,
};

struct submission_memory {
	char *path, *query, *form;
	struct json_members members;
};

/* A message whose fields are being collected. */
struct submission_draft {
	struct submission_text field[SUBMISSION_FIELDS];
};

struct submission_reading {
	struct submission *s;
	struct request_problem *problem;
	struct submission_draft base; /* from the URL; for each message */
};

/* Sets the problem. Always returns false. */
bool submission_refuse(struct submission_reading *r, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool submission_refuse_memory(struct submission_reading *r);
/* Refuses a name that is nearly that of a field. */
bool submission_refuse_near(
	struct submission_reading *r, int near, const char *name, size_t length);

/* The field with exactly this name, or -1. */
int submission_field(const char *name, size_t length);
/* The field whose name differs only by case, a plural s or []; or -1. */
int submission_near(const char *name, size_t length);

/* Sets a field. Refuses what is not UTF-8, a NUL, and a second, different value. */
bool submission_set(struct submission_reading *r, struct submission_draft *d, int field,
	const char *text, size_t length);

/* Makes room for so many messages, once; then each call adds one. */
bool submission_room(struct submission_reading *r, size_t count);
bool submission_add(struct submission_reading *r, const struct submission_draft *d);

/* Reads the query string into the base. */
bool submission_query(struct submission_reading *r, const char *query, size_t length);

/* Reads the body, by its Content-Type, and adds the messages. */
bool submission_body(
	struct submission_reading *r, const char *type, const char *body, size_t length);

#endif
