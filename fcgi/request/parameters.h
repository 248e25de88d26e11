/*
 * parameters: reads the parameters of a request from a query string, a form, a JSON body or a path.
 *
 * Pure. Owns the table of names, their valid values (interface, section 3), and the sentences that
 * say what would be right. Used only by request.c.
 */
#ifndef ROWTAIL_PARAMETERS_H
#define ROWTAIL_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "request/asked.h"
#include "request/path.h"

enum {
	PARAMETERS_NAMES_MAX = 100,
	PARAMETERS_FORMS_MAX = 2, /* a query string and a body */
};

/* In ascending order of their bytes, without duplicates. */
struct parameters_names {
	const char *text[PARAMETERS_NAMES_MAX]; /* borrowed */
	size_t length[PARAMETERS_NAMES_MAX];
	size_t count;
};

/*
 * One reading. Numbers, switches and the access token go into the request. What is read stays
 * valid until parameters_free(), as long as the texts given stay; parameters_last_event_id()
 * alone keeps pointers to those.
 *
 * Each function below returns false when it has set the problem: a status and a sentence.
 */
struct parameters {
	struct request *request;
	struct request_problem *problem;
	struct parameters_names channels, events;
	struct request_problem deferred; /* status 0: none; counts only with format=json */

	char *path; /* owned, as is everything below */
	char *form[PARAMETERS_FORMS_MAX];
	size_t form_count;
	struct json_members members;
};

/* Sets the problem; always returns false, for `return parameters_refuse(…)`. */
bool parameters_refuse(struct parameters *p, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool parameters_refuse_memory(struct parameters *p);

/* application/x-www-form-urlencoded; may be called PARAMETERS_FORMS_MAX times. */
bool parameters_form(struct parameters *p, const char *text, size_t length);

/* A JSON object; may be called once. */
bool parameters_json(struct parameters *p, const char *text, size_t length);

/* Call it after all parameters were read: checks those that go together. */
bool parameters_end(struct parameters *p);

/* The URL's path: the part after the mount point and its '/' is a channel. May be called once. */
bool parameters_path(struct parameters *p, const struct path *path);

/* The value of a Last-Event-ID header: positions, joined by commas. Never fails. */
void parameters_last_event_id(struct parameters *p, const char *value);

/* Follows "default" if nothing was asked for. Never fails. */
void parameters_default(struct parameters *p);

void parameters_free(struct parameters *p);

#endif
