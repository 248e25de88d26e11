/*
 * submission: reads what a POST wants to publish: one message, or a list of them.
 *
 * Pure. Owns the names and formats of rowtail-publish(8): the path, the query string, a form, JSON,
 * plain text. Never checks what the schema checks (an event type, the range of retry), or who may
 * publish.
 */
#ifndef ROWTAIL_SUBMISSION_H
#define ROWTAIL_SUBMISSION_H

#include <stddef.h>
#include <stdint.h>

#include "request/asked.h"

enum {
	SUBMISSION_MESSAGES_MAX = 500,
	SUBMISSION_KEY_MAX = 255, /* bytes of an Idempotency-Key */
};

/* A text with its length; text NULL: not given. */
struct submission_text {
	const char *text;
	size_t length;
};

struct message {
	struct submission_text channel; /* a valid name */
	struct submission_text event; /* NULL: a plain message */
	struct submission_text data; /* UTF-8 without NUL; never NULL */
	int64_t retry_ms; /* -1: none */
};

struct submission {
	struct message *message;
	size_t count; /* 1 to SUBMISSION_MESSAGES_MAX */
	/* The distinct channels, at most REQUEST_CHANNELS_MAX. */
	const char *channel[REQUEST_CHANNELS_MAX];
	size_t channel_length[REQUEST_CHANNELS_MAX];
	size_t channel_count;
	char key[SUBMISSION_KEY_MAX + 1]; /* of Idempotency-Key, without quotes; "": none */

	struct submission_memory *memory; /* owned: what the pointers point to */
};

/*
 * params: "NAME=value" strings, ending with NULL. Returns 0 and fills *s, or -1 and fills *problem.
 * The caller calls submission_free() in both cases. Keeps pointers to body.
 */
int submission_parse(struct submission *s, char *const *params, const void *body, size_t length,
	struct request_problem *problem);
void submission_free(struct submission *s);

#endif
