/*
 * framing: puts the bytes of a stream into FastCGI records, HTTP chunks, or nothing.
 *
 * Pure. An interface and its implementations. A *content* is a unit: the record of one row, or text
 * of rowtail's own. A framed content is one or more pieces. Each piece has a header, a part of the
 * content, and what the framing puts after that. Each framing keeps these rules:
 *
 * - The same content always gives the same bytes. So a record that was cut can be found again.
 * - A piece gives the same bytes when its part of the content is framed alone.
 * - The last FRAMING_LAST_MIN bytes of a content are in one piece (all, if there are fewer). So the
 *   end of a row's record, its id and the empty line, arrives whole or not at all: some web servers
 *   pass on whole pieces only, and some clients keep an id before the empty line has come.
 *
 * Several short contents that are sent at once share one piece: a web server then has less to do.
 */
#ifndef ROWTAIL_FRAMING_H
#define ROWTAIL_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAMING_LAST_MIN = 64,
	FRAMING_HEADER_MAX = 8,
	FRAMING_SHARED_MAX = 16384, /* bytes of content in a piece that several contents share */
	FRAMING_FILLER_MIN = 2, /* the shortest comment: one byte would be an empty line */
};

/* What chunks have after their content. */
#define FRAMING_AFTER "\r\n"

/* One piece of a framed content. */
struct framing_piece {
	size_t start; /* framed bytes before it */
	size_t before; /* bytes of the content before it */
	size_t content; /* bytes of the content in it */
};

struct framing {
	size_t header; /* bytes before the content of a piece */
	size_t after; /* bytes after the content of a piece: CR LF, or none */
	size_t end_size; /* bytes that end() writes, at most */
	uint16_t usual_id; /* the request id that nearly all streams have */
	bool head_apart; /* the head of the answer goes before the first piece, without a frame */

	/* The framed size of `content` bytes. 0 for 0. */
	size_t (*size)(size_t content);

	/*
	 * Frames in place the content at bytes + header. bytes has room for size(content) bytes.
	 * Returns the framed size.
	 */
	size_t (*frame)(uint8_t *bytes, size_t content, uint16_t request_id);

	/* Writes the header of a piece with so much content. NULL: pieces have none. */
	void (*open)(uint8_t *out, size_t content, uint16_t request_id);

	/*
	 * Returns the piece that contains the framed byte number `sent`. Before that byte, whole
	 * pieces were sent, and then part of this piece, from `start` on. This piece must be
	 * completed before anything else may follow.
	 */
	struct framing_piece (*piece)(size_t content, size_t sent);

	/* Writes what ends the stream after its last content; returns its length. */
	size_t (*end)(uint8_t *out, uint16_t request_id);
};

/* FCGI_STDOUT records, with FCGI_END_REQUEST at the end. */
extern const struct framing framing_fastcgi;

/* HTTP/1.1's chunks, with the last chunk at the end. RFC 9112, section 7.1. */
extern const struct framing framing_chunked;

/* No frames, for HTTP/1.0: the end of the connection is the end of the stream. */
extern const struct framing framing_close;

/* No frames, for CGI. The end may follow any part of a content. */
extern const struct framing framing_none;

/* May a content of this length share a piece with others? */
bool framing_may_share(const struct framing *f, size_t content);

/* How many of the first `sent` framed bytes of a content are content? */
size_t framing_content(const struct framing *f, size_t content, size_t sent);

#endif
