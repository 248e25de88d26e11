#include "protocol/framing.h"

#include <string.h>

#include <fastcgi.h>

#include "protocol/record.h"

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* A chunk: "fff8\r\n", content, "\r\n". */
enum { CHUNK_HEADER = 6, CHUNK_FRAME = CHUNK_HEADER + 2 };

/* So a content is split into chunks as it is split into records: record_piece() decides where. */
_Static_assert((int)CHUNK_FRAME == (int)RECORD_HEADER, "as much around a chunk as around a record");

static struct framing_piece split_piece(size_t content, size_t sent)
{
	size_t most = record_piece(content), number = sent / (RECORD_HEADER + most);

	return (struct framing_piece){.start = number * (RECORD_HEADER + most),
		.before = number * most,
		.content = smaller(most, content - number * most)};
}

static void fastcgi_open(uint8_t *out, size_t content, uint16_t request_id)
{
	record_header(out, content, request_id);
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
	.open = fastcgi_open,
	.piece = split_piece,
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

/* The head is HTTP's already. */
const struct framing framing_close = {.head_apart = true,
	.size = none_size,
	.frame = none_frame,
	.piece = none_piece,
	.end = none_end};

/* The digits are always four, so that every header has the same length. */
static void chunked_open(uint8_t *out, size_t content, uint16_t request_id)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 3; i >= 0; i--, content >>= 4)
		out[i] = (uint8_t)digits[content & 15];
	memcpy(out + 4, "\r\n", 2);
}

static void put_chunk(uint8_t *out, const uint8_t *content, size_t length)
{
	memmove(out + CHUNK_HEADER, content, length);
	chunked_open(out, length, 0);
	memcpy(out + CHUNK_HEADER + length, FRAMING_AFTER, CHUNK_FRAME - CHUNK_HEADER);
}

/* From the last chunk to the first, since each moves its content back. */
static size_t chunked_frame(uint8_t *bytes, size_t content, uint16_t request_id)
{
	const uint8_t *from = bytes + CHUNK_HEADER;
	size_t most = record_piece(content), n = (content + most - 1) / most;

	while (n-- > 0)
		put_chunk(bytes + n * (most + CHUNK_FRAME), from + n * most,
			smaller(most, content - n * most));
	return record_framed_size(content);
}

static size_t chunked_end(uint8_t *out, uint16_t request_id)
{
	static const char last[] = "0\r\n\r\n";

	memcpy(out, last, sizeof(last) - 1);
	return sizeof(last) - 1;
}

const struct framing framing_chunked = {.header = CHUNK_HEADER,
	.after = CHUNK_FRAME - CHUNK_HEADER,
	.end_size = sizeof("0\r\n\r\n") - 1,
	.head_apart = true,
	.size = record_framed_size,
	.frame = chunked_frame,
	.open = chunked_open,
	.piece = split_piece,
	.end = chunked_end};

bool framing_may_share(const struct framing *f, size_t content)
{
	return f->open && content <= FRAMING_SHARED_MAX;
}

size_t framing_content(const struct framing *f, size_t content, size_t sent)
{
	struct framing_piece piece = f->piece(content, sent);
	size_t into = sent - piece.start;

	return piece.before + (into > f->header ? smaller(into - f->header, piece.content) : 0);
}
