/*
 * answer: from the bytes of one connection to the lines of an event stream.
 *
 * Undoes the framing of a FastCGI responder (records, a CGI head) or of a web server (an HTTP/1.1
 * head, chunks) and hands each line on. Holds only what a line or a header needs that was cut by
 * the end of a read. Does no I/O.
 *
 * Source: FastCGI Specification 1.0, section 3.3; RFC 9112, section 7.1 (chunks).
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_LINE_HAVE = 128 };

/* The beginning of a line that has not ended yet, and how long it is so far. */
struct answer_line {
	char text[ANSWER_LINE_HAVE];
	size_t total;
};

/*
 * Told each line of the event stream, of `total` bytes without its LF, of which the first
 * ANSWER_LINE_HAVE at least (or all) stand in text[0..have).
 */
typedef void answer_line_fn(void *context, const char *text, size_t have, size_t total);

struct answer {
	bool http; /* an HTTP answer, else FastCGI records */
	bool chunked;
	int64_t body_left; /* as Content-Length had it; -1: it did not say */
	bool head_ended;
	bool ended; /* END_REQUEST, or the last chunk, or what was no framing */
	bool garbled; /* it was no framing */
	int status; /* 0 until the head has told it */
	enum { CHUNK_SIZE, CHUNK_CONTENT, CHUNK_END } chunk;
	uint64_t content_left; /* of the record or chunk */
	uint8_t header[8]; /* of the record */
	uint8_t header_have;
	uint8_t padding_left;
	struct answer_line outer; /* HTTP's head and chunk sizes */
	struct answer_line inner; /* the CGI head and the event stream */
	answer_line_fn *line;
	void *context;
};

void answer_init(struct answer *a, bool http, answer_line_fn *line, void *context);

/* Takes what one read brought. */
void answer_feed(struct answer *a, const char *bytes, size_t length);

#endif
