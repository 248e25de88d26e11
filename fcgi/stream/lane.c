#include "stream/lane.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/sse.h"
#include "protocol/wire.h"

bool lane_is_same(const struct lane *a, const struct lane *b)
{
	return a->framing == b->framing && a->request_id == b->request_id &&
	       a->encoding == b->encoding;
}

/* The frames of a row's own: none if it may share a piece with others. */
static const struct framing *row_framing(const struct lane *l, size_t content)
{
	return framing_may_share(l->framing, content) ? &framing_none : l->framing;
}

size_t lane_encode(const struct lane *l, struct buffer *out, const struct row *row, size_t *content)
{
	/* Most records are a little longer than their data. */
	size_t start = out->length, head = row_framing(l, row->data_length)->header, framed;
	const struct framing *framing;

	if (!buffer_reserve(out, head))
		return 0;
	out->length += head;
	if (l->encoding == LANE_OBJECT)
		wire_json_row(out, row);
	else
		sse_row(out, row, l->encoding == LANE_ENVELOPE);
	*content = out->length - start - head;
	if (out->failed || *content > UINT32_MAX / 2)
		return 0;
	framing = row_framing(l, *content);
	framed = framing->size(*content);
	out->length = start;
	if (!buffer_reserve(out, framed + framing->header))
		return 0;
	if (framing->header != head)
		memmove(out->data + start + framing->header, out->data + start + head, *content);
	framing->frame(out->data + start, *content, l->request_id);
	out->length = start + framed;
	return framed;
}

/* The length of the head at the beginning of the words, if the framing leaves it unframed. */
static size_t head_apart(const struct lane *l, const struct lane_words *words)
{
	static const char empty_line[] = "\r\n\r\n";
	const uint8_t *end;

	if (!words->first || !l->framing->head_apart || !words->length)
		return 0;
	end = memmem(words->text, words->length, empty_line, sizeof(empty_line) - 1);
	return end ? (size_t)(end - words->text) + sizeof(empty_line) - 1 : 0;
}

uint8_t *lane_frame(const struct lane *l, const struct lane_words *words, size_t *framed)
{
	const struct framing *f = l->framing;
	size_t head = head_apart(l, words), content = words->length - head;
	uint8_t *bytes = malloc(head + f->size(content) + f->header + f->end_size + 1);

	if (!bytes)
		return NULL;
	if (head)
		memcpy(bytes, words->text, head);
	if (content)
		memcpy(bytes + head + f->header, words->text + head, content);
	*framed = head + f->frame(bytes + head, content, l->request_id);
	if (words->last && (words->length || !words->first || !f->head_apart))
		*framed += f->end(bytes + *framed, l->request_id);
	return bytes;
}

size_t lane_content_left(const struct lane *l, size_t content, size_t sent)
{
	return content - framing_content(row_framing(l, content), content, sent);
}

bool lane_is_begun(const struct lane *l, size_t content, size_t sent)
{
	return sent > row_framing(l, content)->piece(content, sent).start;
}

uint8_t *lane_complete(const struct lane *l, size_t content, size_t sent, const char *end,
	size_t end_length, size_t *framed, size_t *gone)
{
	const struct framing *f = row_framing(l, content);
	struct framing_piece piece = f->piece(content, sent);
	size_t known = end_length < piece.content ? end_length : piece.content;
	uint8_t *bytes = malloc(f->size(piece.content) + 1);

	if (!bytes)
		return NULL;
	/* No line break: it would complete a line that was only begun. */
	memset(bytes + f->header, '?', piece.content - known);
	memcpy(bytes + f->header + piece.content - known, end + end_length - known, known);
	*framed = f->frame(bytes, piece.content, l->request_id);
	*gone = sent - piece.start;
	return bytes;
}

uint8_t *lane_fill(const struct lane *l, const uint8_t *text, size_t *length, size_t owed,
	bool comment, size_t more)
{
	size_t filler = owed - *length;
	uint8_t *bytes = malloc(owed + l->framing->after + more + 1), *at = bytes;

	if (!bytes)
		return NULL;
	if (*length)
		memcpy(bytes, text, *length);
	at += *length;
	memset(at, '?', filler);
	if (comment && filler > 0) {
		at[0] = ':';
		at[filler - 1] = '\n';
	}
	memcpy(bytes + owed, FRAMING_AFTER, l->framing->after);
	*length = owed + l->framing->after;
	return bytes;
}
