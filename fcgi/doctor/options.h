/*
 * options: the doctor's command line.
 */
#ifndef ROWTAIL_DOCTOR_OPTIONS_H
#define ROWTAIL_DOCTOR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/origin.h"

#include "doctor/target.h"

enum { OPTIONS_HEADERS = 16, OPTIONS_SILENCE_S = 35 };

struct options {
	struct target target;
	const char *url; /* as given; target may be where it redirects to */
	const char *status_url, *db; /* NULL if not given */
	char origin[ORIGIN_MAX]; /* "" if not given */
	const char *headers[OPTIONS_HEADERS + 1]; /* then NULL */
	bool json, insecure;
	int64_t silence_ms;
};

/*
 * Reads the command line. Prints --help and --version, and messages for what is wrong, and then
 * exits: 0 or 64.
 */
void options_read(struct options *o, int argc, char **argv);

/* The value of a header that --header gives; NULL. */
const char *options_header(const struct options *o, const char *name);

#endif
