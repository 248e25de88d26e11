/*
 * report: what --check of rowtail, rowtail-mirror or rowtail-publish has found, as text or as one
 * JSON object.
 *
 * Writes each line to standard output at once, so that a reader sees how far the check has come.
 * Does no other I/O. Two processes may share a report, if one begins after the other has ended.
 */
#ifndef ROWTAIL_REPORT_H
#define ROWTAIL_REPORT_H

#include <stdbool.h>

enum { REPORT_CURE_MAX = 8 * 4096 }; /* a command with some paths */

struct report {
	const char *program, *does; /* what it can do if nothing is wrong: "serve" */
	bool json;
	int status; /* of the first thing that is wrong; 0: nothing is */
	int sections, lines; /* begun so far: in all, in this section */
	const char *section; /* the one that was begun last */
	void (*progress)(void); /* is called after each line; NULL: nobody wants to know */
};

/* database: its path, as the user wrote it. */
void report_begin(struct report *r, const char *database);

/* Begins a section. checked: false if another fault prevents it. name: borrowed for good. */
void report_section(struct report *r, const char *name, bool checked);

/* The text is one sentence without a full stop. */
void report_ok(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * cure: the very command, or the line of a file, that fixes it; NULL if the sentence says what to
 * do. status: the exit status if nothing else was wrong before.
 */
void report_note(struct report *r, const char *cure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void report_wrong(struct report *r, int status, const char *cure, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

void report_end(struct report *r);

#endif
