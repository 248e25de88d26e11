#include "stream/run.h"

_Static_assert(
	(int)FRAMING_SHARED_MAX <= UINT16_MAX, "so a subscriber has 16 bits for what is owed");

void run_begin(struct run *r, const struct lane *lane, size_t owed, size_t cut)
{
	r->count = 0;
	r->piece_count = 0;
	r->total = 0;
	r->frame_count = 0;
	r->lane = *lane;
	r->group = NULL;
	if (owed)
		r->frames[r->frame_count++] = (struct run_frame){.room = owed + cut};
}

bool run_is_full(const struct run *r)
{
	return r->count == RUN_RECORDS || r->total >= RUN_BYTES || r->frame_count == RUN_FRAMES;
}

static bool may_share(const struct run *r, const struct run_record *record)
{
	return framing_may_share(r->lane.framing, record->content);
}

/* The frame to which the next record may belong. */
static const struct run_frame *last_frame(const struct run *r)
{
	return r->frame_count ? &r->frames[r->frame_count - 1] : NULL;
}

/* Bytes missing in the frame that was begun before this run. */
static size_t owed(const struct run *r)
{
	const struct run_frame *frame = last_frame(r);

	return frame && frame->room && !frame->header_length ? frame->room - frame->content : 0;
}

bool run_fits(const struct run *r, const struct run_record *record)
{
	size_t left = owed(r);

	return !left ||
	       (may_share(r, record) &&
		       (record->length == left || record->length + FRAMING_FILLER_MIN <= left));
}

static void add_piece(struct run *r, const void *bytes, size_t length)
{
	struct iovec *last = r->piece_count ? &r->pieces[r->piece_count - 1] : NULL;

	r->total += length;
	if (last && (const uint8_t *)last->iov_base + last->iov_len == bytes)
		last->iov_len += length;
	else
		r->pieces[r->piece_count++] = (struct iovec){(void *)(uintptr_t)bytes, length};
}

/* Begins a frame that is to be shared, or records without one. */
static struct run_frame *open_frame(struct run *r, bool shared)
{
	struct run_frame *frame = &r->frames[r->frame_count++];

	*frame = (struct run_frame){.start = r->total, .first = r->count};
	if (shared) {
		frame->room = FRAMING_SHARED_MAX;
		frame->header_length = (uint8_t)r->lane.framing->header;
		add_piece(r, frame->header, frame->header_length);
	}
	return frame;
}

/* The end of a frame is after its last record. */
static void take_end_off(struct run *r, const struct run_frame *frame)
{
	size_t after = r->lane.framing->after;

	if (!after || !frame->room || !frame->content)
		return;
	r->piece_count--;
	r->total -= after;
}

static void put_end(struct run *r, const struct run_frame *frame)
{
	if (r->lane.framing->after && frame->room && !owed(r))
		add_piece(r, FRAMING_AFTER, r->lane.framing->after);
}

void run_add(struct run *r, const struct run_record *record)
{
	struct run_frame *frame = r->frame_count ? &r->frames[r->frame_count - 1] : NULL;
	bool shared = may_share(r, record);

	if (!frame || shared != (frame->room > 0) ||
		(shared && frame->content + record->length > frame->room))
		frame = open_frame(r, shared);
	else if (frame->header_length)
		take_end_off(r, frame);
	r->records[r->count++] = *record;
	frame->content += record->length;
	add_piece(r, record->bytes, record->length);
	if (frame->header_length)
		r->lane.framing->open(frame->header, frame->content, r->lane.request_id);
	put_end(r, frame);
}

static const struct run_frame *frame_at(const struct run *r, size_t sent)
{
	const struct run_frame *frame = r->frames;

	while (frame < last_frame(r) && frame[1].start <= sent)
		frame++;
	return frame;
}

struct run_place run_place(const struct run *r, size_t sent)
{
	const struct run_frame *frame = frame_at(r, sent);
	size_t size = frame->header_length ? frame->content : frame->room, into;
	struct run_place place = {.whole = r->count};

	if (sent == r->total) {
		place.owed = owed(r);
		return place;
	}
	place.whole = frame->first;
	into = sent - frame->start;
	if (into < frame->header_length) {
		place.rest = frame->header + into;
		place.rest_length = into ? frame->header_length - into : 0;
		place.owed = into ? size : 0;
		return place;
	}
	into -= frame->header_length;
	if (frame->room && into >= size) {
		place.rest = (const uint8_t *)FRAMING_AFTER + (into - size);
		place.rest_length = r->lane.framing->after - (into - size);
		into = size;
	} else if (frame->room) {
		place.owed = size - into;
	}
	while (place.whole < r->count && into >= r->records[place.whole].length)
		into -= r->records[place.whole++].length;
	place.cut = (uint32_t)into;
	return place;
}
