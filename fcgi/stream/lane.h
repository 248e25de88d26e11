/*
 * lane: encodes the rows of a stream, and frames the bytes.
 *
 * Pure. Streams on the same lane get the same bytes for the same row, so each row is encoded once
 * for all of them. The request chooses the encoding, the connection the framing. No other file in
 * stream/ encodes or frames.
 */
#ifndef ROWTAIL_LANE_H
#define ROWTAIL_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "log/row.h"
#include "protocol/framing.h"

/* What a row becomes. */
enum lane_encoding {
	LANE_PLAIN, /* an event with its data */
	LANE_ENVELOPE, /* an event whose data is the whole row as JSON */
	LANE_OBJECT, /* the row as a JSON object, for the answers of polls */
	LANE_ENCODINGS,
};

struct lane {
	const struct framing *framing;
	uint16_t request_id; /* 0 if the framing has none */
	uint8_t encoding;
};

/* Do both give the same bytes for the same row? */
bool lane_is_same(const struct lane *a, const struct lane *b);

/*
 * Appends a row to a buffer, encoded, and framed unless its record may share a piece with others
 * (see framing_may_share()): then the run that sends it has the frames. *content is the length
 * without frames. Returns the number of bytes appended; 0 if there is no memory.
 */
size_t lane_encode(
	const struct lane *l, struct buffer *out, const struct row *row, size_t *content);

/* Text of rowtail's own, not of a row. */
struct lane_words {
	const uint8_t *text;
	size_t length;
	bool first; /* they begin with the head of the answer and its empty line */
	bool last; /* the end of the stream follows them */
};

/*
 * Returns a framed copy of words, which the caller frees. Sets *framed to its length. If the
 * first words are empty, they have no head: an HTTP client then gets nothing, not even the end.
 * NULL if there is no memory.
 */
uint8_t *lane_frame(const struct lane *l, const struct lane_words *words, size_t *framed);

/* How many bytes of a row's content remain after `sent` bytes of what lane_encode() made of it? */
size_t lane_content_left(const struct lane *l, size_t content, size_t sent);

/*
 * Must a piece of the row's own be completed after `sent` bytes, before anything else may follow?
 */
bool lane_is_begun(const struct lane *l, size_t content, size_t sent);

/*
 * Returns the piece that contains the byte number `sent`, when the row is no longer known; of a
 * shared piece, only the rest of the row. Fills its content with '?', except for the last bytes,
 * which are those of `end`. Sets *framed to its length, and *gone to the number of its bytes that
 * were sent. The caller frees it. NULL if there is no memory.
 */
uint8_t *lane_complete(const struct lane *l, size_t content, size_t sent, const char *end,
	size_t end_length, size_t *framed, size_t *gone);

/*
 * Returns what completes a shared piece of which `owed` bytes of content are missing: text, then
 * filler, then what the framing puts after a piece. The filler is a comment of the event stream,
 * or, if a line of a row was only begun, no line break. *length: bytes of text (at most `owed`);
 * then of the result, which has room for `more` further bytes. The caller frees it. NULL if there
 * is no memory.
 */
uint8_t *lane_fill(const struct lane *l, const uint8_t *text, size_t *length, size_t owed,
	bool comment, size_t more);

#endif
