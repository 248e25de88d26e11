/*
 * findings: what the doctor has to say, in order. Pure; owns its memory.
 */
#ifndef ROWTAIL_DOCTOR_FINDINGS_H
#define ROWTAIL_DOCTOR_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "doctor/cure.h"

enum level { LEVEL_OK, LEVEL_NOTE, LEVEL_WRONG };

enum { FINDINGS_MAX = 48, FINDINGS_TEXT = 640 };

struct finding {
	enum level level;
	bool fatal; /* with it, clients get no stream: exit status 2 */
	const char *name; /* a word, such as "buffered"; for --json and for scripts */
	char what[FINDINGS_TEXT]; /* a sentence */
	const char *harm; /* what a page suffers; NULL */
	enum fault fault; /* whose cures to print; FAULT_NONE */
};

struct findings {
	struct finding finding[FINDINGS_MAX];
	int count;
};

/* Adds one, and returns it; the caller may set harm, fault and fatal. */
struct finding *findings_add(struct findings *f, enum level level, const char *name,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* 0 without WRONG, 2 with a fatal one, else 1. */
int findings_exit_status(const struct findings *f);

#endif
