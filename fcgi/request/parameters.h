/*
 * parameters: reads the parameters of a request from a query string, a form, a JSON body or a path.
 *
 * Pure. Owns the table of names, their valid values (rowtail(8), REQUESTS), and the sentences that
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
 * The state of reading one request. Numbers, switches and the access token go into the request.
 * Results stay valid until parameters_free(). Only parameters_last_event_id() keeps pointers to the
 * caller's text, which must stay valid as long.
 *
 * If a function below finds a problem, it sets a status and a sentence, and returns false.
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

/* Sets the problem. Always returns false, for `return parameters_refuse(…)`. */
bool parameters_refuse(struct parameters *p, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool parameters_refuse_memory(struct parameters *p);

/* Reads application/x-www-form-urlencoded. Call at most PARAMETERS_FORMS_MAX times. */
bool parameters_form(struct parameters *p, const char *text, size_t length);

/* Reads a JSON object. Call at most once. */
bool parameters_json(struct parameters *p, const char *text, size_t length);

/* Call after reading all parameters. Checks those that depend on each other. */
bool parameters_end(struct parameters *p);

/* Reads the part of the URL's path after the mount point and its '/' as a channel. Call once. */
bool parameters_path(struct parameters *p, const struct path *path);

/* Reads a Last-Event-ID header: positions, joined by commas. Never fails. */
void parameters_last_event_id(struct parameters *p, const char *value);

/* Selects the channel "default" if the request names none. Never fails. */
void parameters_default(struct parameters *p);

void parameters_free(struct parameters *p);

#endif
