/*
 * answer: from the bytes of one connection to the lines of an event stream.
 *
 * Undoes the framing of a FastCGI responder (records, a CGI head) or of a web server (an HTTP/1.1
 * head, chunks) and hands each line to follow. Holds only what a line or a header needs that was
 * cut by the end of a read. Does no I/O.
 *
 * Source: FastCGI Specification 1.0, section 3.3; RFC 9112, section 7.1 (chunks).
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "follow.h"

/* The beginning of a line that has not ended yet, and how long it is so far. */
struct answer_line {
	char text[PAYLOAD_HEAD_MAX + 8];
	size_t total;
};

struct answer {
	bool http; /* an HTTP answer, else FastCGI records */
	bool chunked;
	bool head_ended;
	bool ended; /* END_REQUEST, or the last chunk */
	int status; /* 0 until the head has told it */
	enum { CHUNK_SIZE, CHUNK_CONTENT, CHUNK_END } chunk;
	uint64_t content_left; /* of the record or chunk */
	uint8_t header[8]; /* of the record */
	uint8_t header_have;
	uint8_t padding_left;
	struct answer_line outer; /* HTTP's head and chunk sizes */
	struct answer_line inner; /* the CGI head and the event stream */
	struct follow follow;
};

void answer_init(struct answer *a, bool http);

/* Takes what one read brought. Counts into the tally what is no framing; then a->ended is set. */
void answer_feed(
	struct answer *a, const char *bytes, size_t length, int64_t now_ns, struct tally *t);

#endif
