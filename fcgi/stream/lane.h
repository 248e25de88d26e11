/*
 * lane: in which form the rows of a stream go out: how they are encoded, and what frames the bytes.
 *
 * Pure. Streams on the same lane get the same bytes for the same row; that is why a row is encoded
 * once for all of them. The request asks for the encoding, the connection brings the framing. Another
 * encoding (JSON) or framing (HTTP) has its place here: nobody else in stream/ knows of either.
 */
#ifndef ROWTAIL_LANE_H
#define ROWTAIL_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "log/row.h"
#include "protocol/framing.h"

/* What becomes of a row. */
enum lane_encoding {
	LANE_PLAIN, /* an event with its data */
	LANE_ENVELOPE, /* an event whose data is the whole row as JSON */
	LANE_OBJECT, /* the row as a JSON object, for the answers of polls */
	LANE_ENCODINGS,
};

struct lane {
	const struct framing *framing;
	uint16_t request_id; /* 0 where the framing has none */
	uint8_t encoding;
};

/* Does the same row get the same bytes on both? */
bool lane_is_same(const struct lane *a, const struct lane *b);

/*
 * Appends a row to a buffer, encoded and framed. *content says how long it is without frames. Returns
 * the framed length, 0 without memory.
 */
size_t lane_encode(
	const struct lane *l, struct buffer *out, const struct row *row, size_t *content);

/*
 * A framed copy of words of our own, to be freed; with `last`, the end of the stream is behind them.
 * Sets *framed to its length. NULL without memory.
 */
uint8_t *lane_frame(
	const struct lane *l, const uint8_t *text, size_t length, bool last, size_t *framed);

/* Of a framed content `sent` bytes have gone out: how much of the content is still to go? */
size_t lane_content_left(const struct lane *l, size_t content, size_t sent);

/* And must a piece be completed before anything else may follow? */
bool lane_is_begun(const struct lane *l, size_t content, size_t sent);

/*
 * The piece of which the framed byte number `sent` is, without the content: '?' stands for it, but for
 * its last bytes, which are those of `end`. To be freed; *framed is its length, and *gone the number
 * of bytes of it that have been sent. NULL without memory.
 */
uint8_t *lane_complete(const struct lane *l, size_t content, size_t sent, const char *end,
	size_t end_length, size_t *framed, size_t *gone);

#endif
