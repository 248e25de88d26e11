/*
 * answer: from the bytes of one connection to the lines of an event stream.
 *
 * Removes the framing of a FastCGI responder (records, a CGI head) or of a web server (an HTTP/1.1
 * head, chunks) and passes each line on. Buffers only a line or header that the end of a read has
 * split. Does no I/O.
 *
 * Source: FastCGI Specification 1.0, section 3.3; RFC 9112, section 7.1 (chunks).
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_LINE_HAVE = 128 };

/* The beginning of an incomplete line, and its length so far. */
struct answer_line {
	char text[ANSWER_LINE_HAVE];
	size_t total;
};

/*
 * Called with each line of the event stream: `total` bytes without the LF, of which at least the
 * first ANSWER_LINE_HAVE (or all) are in text[0..have).
 */
typedef void answer_line_fn(void *context, const char *text, size_t have, size_t total);

struct answer {
	bool http; /* an HTTP answer, else FastCGI records */
	bool chunked;
	int64_t body_left; /* from Content-Length; -1: none */
	bool head_ended;
	bool ended; /* END_REQUEST, or the last chunk, or invalid framing */
	bool garbled; /* the framing was invalid */
	int status; /* 0 until the head is complete */
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

/* Parses the bytes of one read. */
void answer_feed(struct answer *a, const char *bytes, size_t length);

#endif
