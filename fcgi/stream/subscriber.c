#include "stream/subscriber.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/sse.h"
#include "stream/window.h"

void subscriber_init(
	struct subscriber *s, struct sink *sink, const struct lane *lane, int64_t now_ms)
{
	memset(s, 0, sizeof(*s));
	s->sink = sink;
	s->lane = *lane;
	s->state = SUBSCRIBER_OPENING;
	s->opened_ms = s->moved_ms = now_ms;
}

void subscriber_free(struct subscriber *s)
{
	free(s->pending);
	free(s->farewell);
	s->pending = s->farewell = NULL;
}

static enum subscriber_result lose(struct subscriber *s, enum leave_reason reason)
{
	if (s->state < SUBSCRIBER_DRAIN)
		s->reason = (uint8_t)reason;
	return SUBSCRIBER_LOST;
}

/* Writes as much as the sink takes. Sets *sent to that number of bytes. */
static enum subscriber_result put(struct subscriber *s, const struct iovec *iov, int count,
	size_t total, size_t *sent, int64_t now_ms)
{
	ssize_t n = s->sink->operations->write(s->sink, iov, count);

	*sent = n > 0 ? (size_t)n : 0;
	s->bytes += *sent;
	if (n < 0)
		return lose(s, LEAVE_CLIENT);
	if (n > 0)
		s->moved_ms = now_ms;
	if (*sent == total)
		return SUBSCRIBER_SENT;
	if (!s->blocked) {
		/* A stall counts from here, not from the last row before a long silence. */
		s->moved_ms = now_ms;
		s->blocked = true;
		s->sink->operations->want_write(s->sink, true);
	}
	return SUBSCRIBER_BLOCKED;
}

/* Sends the pending bytes, which come before everything else. */
static enum subscriber_result send_pending(struct subscriber *s, int64_t now_ms)
{
	struct iovec iov = {s->pending + s->pending_sent, s->pending_length - s->pending_sent};
	size_t sent;
	enum subscriber_result r = put(s, &iov, 1, iov.iov_len, &sent, now_ms);

	s->pending_sent += (uint32_t)sent;
	if (r == SUBSCRIBER_SENT) {
		free(s->pending);
		s->pending = NULL;
	}
	return r;
}

static uint8_t *frame(
	struct subscriber *s, const uint8_t *text, size_t length, bool last, size_t *framed)
{
	const struct lane_words words = {text, length, !s->begun, last};

	s->begun = true;
	return lane_frame(&s->lane, &words, framed);
}

enum subscriber_result subscriber_flush(struct subscriber *s, int64_t now_ms)
{
	return s->pending ? send_pending(s, now_ms) : SUBSCRIBER_SENT;
}

/*
 * Sends these bytes, which it takes over, after the frame that was begun. NULL: there was no
 * memory for them.
 */
static enum subscriber_result send_own(
	struct subscriber *s, uint8_t *bytes, size_t length, int64_t now_ms)
{
	size_t filled = 0;
	uint8_t *filler;

	if (bytes && s->owed) {
		if ((filler = lane_fill(&s->lane, NULL, &filled, s->owed, true, length)))
			memcpy(filler + filled, bytes, length);
		free(bytes);
		bytes = filler;
		length += filled;
		s->owed = 0;
	}
	if (!bytes)
		return lose(s, LEAVE_MEMORY);
	free(s->pending);
	s->pending = bytes;
	s->pending_length = (uint32_t)length;
	s->pending_sent = 0;
	return send_pending(s, now_ms);
}

enum subscriber_result subscriber_say(
	struct subscriber *s, const uint8_t *text, size_t length, int64_t now_ms)
{
	uint8_t *bytes;
	size_t framed;

	if (length == 0)
		return SUBSCRIBER_SENT;
	bytes = frame(s, text, length, false, &framed);
	return send_own(s, bytes, framed, now_ms);
}

enum subscriber_result subscriber_fill(struct subscriber *s, int64_t now_ms)
{
	size_t length = 0;
	uint8_t *bytes = lane_fill(&s->lane, NULL, &length, s->owed, true, 0);

	s->owed = 0;
	return send_own(s, bytes, length, now_ms);
}

static uint64_t hash_of(const struct run_record *record)
{
	return record->hash ? record->hash : window_hash(record->bytes, record->length);
}

bool subscriber_continues(const struct subscriber *s, const struct run *run)
{
	const struct run_record *first = run->records;

	if (s->cut == 0)
		return true;
	return run->count > 0 && first->id == s->cursor + 1 && first->content == s->cut_content &&
	       hash_of(first) == s->cut_hash;
}

/* Writes a run without its first `skip` bytes, which were sent before. */
static enum subscriber_result put_rest(
	struct subscriber *s, const struct run *run, uint32_t skip, size_t *sent, int64_t now_ms)
{
	struct iovec rest[RUN_PIECES];

	memcpy(rest, run->pieces, (size_t)run->piece_count * sizeof(*rest));
	rest[0].iov_base = (uint8_t *)rest[0].iov_base + skip;
	rest[0].iov_len -= skip;
	return put(s, rest, run->piece_count, run->total - skip, sent, now_ms);
}

/* Stores the rest of a header, or of what is after a frame's records. False without memory. */
static bool keep_rest(struct subscriber *s, const struct run_place *place)
{
	if (!place->rest_length)
		return true;
	if (!(s->pending = malloc(place->rest_length)))
		return false;
	memcpy(s->pending, place->rest, place->rest_length);
	s->pending_length = (uint32_t)place->rest_length;
	s->pending_sent = 0;
	return true;
}

/*
 * Moves the cursor past the complete records, and notes what was cut. False if there is no memory
 * for that.
 */
static bool advance(struct subscriber *s, const struct run *run, size_t sent)
{
	const struct run_place place = run_place(run, sent);

	s->cut = place.cut;
	s->owed = (uint16_t)place.owed;
	s->records += place.whole;
	if (place.whole > 0)
		s->cursor = s->told = run->records[place.whole - 1].id;
	if (place.whole < run->count) {
		/* The rows in between are not wanted: the cut record is the next one. */
		s->cursor = run->records[place.whole].id - 1;
		if (s->cut > 0) {
			s->cut_content = run->records[place.whole].content;
			s->cut_hash = hash_of(&run->records[place.whole]);
		}
	}
	return keep_rest(s, &place);
}

enum subscriber_result subscriber_send(struct subscriber *s, const struct run *run, int64_t now_ms)
{
	uint32_t before = s->cut;
	enum subscriber_result r;
	size_t sent;

	if (before == 0) {
		r = put(s, run->pieces, run->piece_count, run->total, &sent, now_ms);
	} else {
		if (!subscriber_continues(s, run))
			return lose(s, LEAVE_CUT);
		r = put_rest(s, run, before, &sent, now_ms);
	}
	if (r != SUBSCRIBER_LOST && !advance(s, run, before + sent))
		return lose(s, LEAVE_MEMORY);
	return r;
}

/* Without memory, the connection closes with no last record. A client survives that. */
static void set_farewell(struct subscriber *s, const uint8_t *text, size_t length)
{
	size_t framed = 0;

	s->farewell = frame(s, text, length, true, &framed);
	s->farewell_length = s->farewell ? (uint32_t)framed : 0;
	s->has_end = s->farewell_length > 0;
}

void subscriber_leave(
	struct subscriber *s, enum leave_reason reason, const uint8_t *text, size_t length)
{
	if (s->state >= SUBSCRIBER_DRAIN)
		return;
	s->state = SUBSCRIBER_DRAIN;
	s->reason = (uint8_t)reason;
	set_farewell(s, text, length);
}

/*
 * Makes the rest of the piece that was begun the next words to send. Of its content only the last
 * bytes of the row, `end`, are known. The client has the part that was sent before. False if
 * there is no memory.
 */
static bool complete(struct subscriber *s, size_t sent, const char *end, size_t end_length)
{
	size_t framed, gone;
	uint8_t *filled, *bytes = lane_complete(
				 &s->lane, s->cut_content, sent, end, end_length, &framed, &gone);

	if (bytes && s->owed) {
		filled = lane_fill(&s->lane, bytes, &framed, s->owed, end_length > 0, 0);
		free(bytes);
		bytes = filled;
	}
	if (!bytes)
		return false;
	s->owed = 0;
	s->pending = bytes;
	s->pending_length = (uint32_t)framed;
	s->pending_sent = (uint32_t)gone;
	return true;
}

/*
 * Completes the record if only its end, its id and the empty line, is missing: that needs no row.
 * False if more is missing, or if there is no memory.
 */
static bool end_cut(struct subscriber *s)
{
	char end[SSE_ROW_END_MAX];
	size_t length = sse_row_end(end, s->cursor + 1);

	if (s->pending || lane_content_left(&s->lane, s->cut_content, s->cut) > length ||
		!complete(s, s->cut, end, length))
		return false;
	s->cut = 0;
	s->cursor = s->told = s->cursor + 1;
	s->records++;
	return true;
}

/*
 * A stream that is leaving ends without its last record: behind a line that was only begun, that
 * would become a part of the unfinished event, and complete it.
 */
static void forget_farewell(struct subscriber *s)
{
	if (s->state < SUBSCRIBER_DRAIN)
		return;
	free(s->farewell);
	set_farewell(s, NULL, 0);
}

void subscriber_give_up_cut(struct subscriber *s)
{
	size_t sent = s->cut;
	bool begun = s->owed || lane_is_begun(&s->lane, s->cut_content, sent);

	if (end_cut(s))
		return;
	s->cut = 0;
	forget_farewell(s);
	subscriber_leave(s, LEAVE_CUT, NULL, 0);
	if (!begun || s->pending)
		return;
	if (!complete(s, sent, "", 0)) {
		/* Without memory, the connection closes in the middle, without a last record. */
		free(s->farewell);
		s->farewell = NULL;
		s->farewell_length = 0;
		s->has_end = false;
		s->owed = 0;
	}
}

enum subscriber_result subscriber_farewell(struct subscriber *s, int64_t now_ms)
{
	uint8_t *farewell = s->farewell;
	size_t length = s->farewell_length;
	enum subscriber_result r;

	s->complete = s->has_end && !length;
	if (!length)
		return SUBSCRIBER_SENT;
	s->farewell = NULL;
	s->farewell_length = 0;
	r = send_own(s, farewell, length, now_ms);
	s->complete = r == SUBSCRIBER_SENT;
	return r;
}

void subscriber_list_push(struct subscriber_list *l, struct subscriber *s, enum subscriber_where w)
{
	s->where = (uint8_t)w;
	s->next = NULL;
	s->previous = l->tail;
	if (l->tail)
		l->tail->next = s;
	else
		l->head = s;
	l->tail = s;
	l->count++;
}

void subscriber_list_remove(struct subscriber_list *l, struct subscriber *s)
{
	if (s->previous)
		s->previous->next = s->next;
	else
		l->head = s->next;
	if (s->next)
		s->next->previous = s->previous;
	else
		l->tail = s->previous;
	s->next = s->previous = NULL;
	s->where = SUBSCRIBER_NOWHERE;
	l->count--;
}

struct subscriber *subscriber_list_pop(struct subscriber_list *l)
{
	struct subscriber *s = l->head;

	if (s)
		subscriber_list_remove(l, s);
	return s;
}
