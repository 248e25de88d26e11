#include "protocol/framing.h"

#include <fastcgi.h>

#include "protocol/record.h"

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static struct framing_piece fastcgi_piece(size_t content, size_t sent)
{
	size_t most = record_piece(content), number = sent / (RECORD_HEADER + most);

	return (struct framing_piece){.start = number * (RECORD_HEADER + most),
		.before = number * most,
		.content = smaller(most, content - number * most)};
}

static size_t fastcgi_end(uint8_t *out, uint16_t request_id)
{
	return record_end(out, request_id, FCGI_REQUEST_COMPLETE);
}

/* The id is the one of web servers that send one request per connection. */
const struct framing framing_fastcgi = {.header = RECORD_HEADER,
	.end_size = RECORD_END_SIZE,
	.usual_id = 1,
	.size = record_framed_size,
	.frame = record_frame,
	.piece = fastcgi_piece,
	.end = fastcgi_end};
_Static_assert((int)RECORD_LAST_MIN >= (int)FRAMING_LAST_MIN, "the end of a content stays whole");

static size_t none_size(size_t content)
{
	return content;
}

static size_t none_frame(uint8_t *bytes, size_t content, uint16_t request_id)
{
	return content;
}

/* Nothing has to be completed: a piece begins at any byte. */
static struct framing_piece none_piece(size_t content, size_t sent)
{
	return (struct framing_piece){.start = sent, .before = sent, .content = content - sent};
}

static size_t none_end(uint8_t *out, uint16_t request_id)
{
	return 0;
}

const struct framing framing_none = {
	.size = none_size, .frame = none_frame, .piece = none_piece, .end = none_end};

size_t framing_content(const struct framing *f, size_t content, size_t sent)
{
	struct framing_piece piece = f->piece(content, sent);
	size_t into = sent - piece.start;

	return piece.before + (into > f->header ? smaller(into - f->header, piece.content) : 0);
}
