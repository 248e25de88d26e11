/*
 * subscriber: one stream: a cursor into the log, and how much of the current record has been sent.
 *
 * Owns the state machine of a stream
 *
 *     OPENING -> REPLAY <-> LIVE -> DRAIN -> GONE
 *
 * and all writing to its sink. If a full socket cuts something off, the rest is sent before
 * anything else. There is no queue. A subscriber that can't send more keeps its cursor, how many
 * bytes of the next record were sent, and how many bytes the frame that was begun owes. Later it
 * finds the rest of that record in the window, or encodes its row again, which gives the same
 * bytes. Any rows may follow it in the frame. If they do not fill the frame exactly, or something
 * else is to be sent, filler does. It stores only rowtail's own text that was cut: the head, a
 * heartbeat, a gap, some hundred bytes; or filler, at most FRAMING_SHARED_MAX. Reads no log and
 * knows no other subscriber; fanout does that.
 */
#ifndef ROWTAIL_SUBSCRIBER_H
#define ROWTAIL_SUBSCRIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "stream/lane.h"
#include "stream/leave.h"
#include "stream/run.h"
#include "stream/sink.h"

enum subscriber_state {
	SUBSCRIBER_OPENING, /* looks for where it begins */
	SUBSCRIBER_REPLAY, /* behind: reads from the log, or is blocked */
	SUBSCRIBER_LIVE, /* has sent all there is; waits for rows */
	SUBSCRIBER_DRAIN, /* finishes the current record, then sends its farewell */
	SUBSCRIBER_GONE,
};

enum subscriber_where {
	SUBSCRIBER_NOWHERE, /* blocked; its sink will call */
	SUBSCRIBER_IN_GROUP, /* idle */
	SUBSCRIBER_IN_QUEUE, /* has work */
	SUBSCRIBER_WAITING, /* for a log that cannot be read now */
};

struct subscriber_list {
	struct subscriber *head, *tail;
	size_t count;
};

struct opening;
struct poll;
struct group;
struct access_session;
struct census_entry;

struct subscriber {
	struct sink *sink;
	struct group *group;
	struct lane lane;
	struct subscriber *previous, *next; /* in the list that `where` names */
	struct subscriber *all_previous, *all_next; /* in fanout's list of the round `round` */
	int64_t cursor; /* everything up to here was sent or not wanted */
	int64_t told; /* the last id that the client received */
	int64_t deletion_told; /* see struct eventlog_missing: later deletions need a gap */
	int64_t gone; /* it must not get deleted rows up to this id from the window; 0: none */
	int64_t opened_ms;
	int64_t moved_ms; /* when the sink last took bytes */
	int64_t ends_ms; /* clock_awake_ms() at which it leaves (in DRAIN: is closed); 0: never */
	uint64_t records, bytes; /* sent */
	uint64_t cut_hash; /* window_hash() of the record that was cut */
	uint32_t cut; /* bytes sent of the record after the cursor; 0: none */
	uint32_t cut_content;
	uint8_t *pending; /* text of rowtail's own still to be sent, or NULL */
	uint32_t pending_length, pending_sent;
	uint32_t retry_ms; /* of this stream, with jitter */
	uint16_t owed; /* bytes of records missing in a frame that was begun; 0: none was */
	uint8_t state, where, reason, round;
	bool blocked; /* the sink takes nothing now, since moved_ms */
	bool bare; /* positions=0 */
	uint8_t rows; /* enum eventlog_rows */
	bool replaced; /* the database was replaced, so a gap must be sent */
	bool begun; /* words were framed; the first words begin with the head */
	bool has_end; /* the farewell has the end of the stream */
	bool complete; /* the sink has taken everything, with the end */
	struct poll *poll; /* the JSON answer being built, owned by fanout; NULL: a stream */
	struct opening *opening; /* only while OPENING */
	uint8_t *farewell; /* the last record and the end, framed; only in DRAIN */
	uint32_t farewell_length;
	struct access_session *session; /* for rechecks; NULL: anyone may read */
	struct census_entry *client; /* counts streams; the responder owns session, client, who */
	char *who; /* for log lines: the client's address, a NUL, its user's name or ""; or NULL */
};

enum subscriber_result {
	SUBSCRIBER_SENT, /* everything was sent */
	SUBSCRIBER_BLOCKED, /* the sink is full; fanout_writable() will be called */
	SUBSCRIBER_LOST, /* the peer is gone, or the stream can't continue: see s->reason */
};

/* Sets up a stream in state OPENING, with everything else zero. */
void subscriber_init(
	struct subscriber *s, struct sink *sink, const struct lane *lane, int64_t now_ms);

/* Frees what it owns (not the sink, not the session). */
void subscriber_free(struct subscriber *s);

/*
 * Sends text of rowtail's own (an event stream's bytes), framed, and stores what is cut. Call it
 * only if no record is cut and nothing is pending.
 */
enum subscriber_result subscriber_say(
	struct subscriber *s, const uint8_t *text, size_t length, int64_t now_ms);

/* Continues to send words that were cut. SENT if there are none. */
enum subscriber_result subscriber_flush(struct subscriber *s, int64_t now_ms);

/*
 * Sends a run of records that follow the cursor, and moves the cursor. The run was begun with the
 * bytes that are owed and cut. If a record was cut, the run must begin with that record; otherwise
 * the stream is LOST (LEAVE_CUT).
 */
enum subscriber_result subscriber_send(struct subscriber *s, const struct run *run, int64_t now_ms);

/*
 * Completes the frame that was begun with filler. Call it if no record is cut, and the next one
 * does not fit.
 */
enum subscriber_result subscriber_fill(struct subscriber *s, int64_t now_ms);

/* Is this record, the first after the cursor, the one that was cut? Also true if none was cut. */
bool subscriber_continues(const struct subscriber *s, const struct run *run);

/*
 * Begins to end the stream: state DRAIN, with a farewell (an event stream's bytes, may be empty) to
 * send after the current record. Only the first reason counts.
 */
void subscriber_leave(
	struct subscriber *s, enum leave_reason reason, const uint8_t *text, size_t length);

/*
 * Handles a cut record whose row is gone. If only the record's end is missing (see sse_row_end()),
 * sends that, and the stream continues. Otherwise completes the piece that was begun (a FastCGI
 * record), so that the end can follow, and ends the stream, without a farewell. The client then
 * discards the unfinished event, as the standard says, and resumes before it.
 */
void subscriber_give_up_cut(struct subscriber *s);

/* In DRAIN, with nothing cut: sends the farewell. SENT: the stream has ended. */
enum subscriber_result subscriber_farewell(struct subscriber *s, int64_t now_ms);

/* A list: adds at its end, and notes in s->where which list it is; removes; takes the first. */
void subscriber_list_push(struct subscriber_list *l, struct subscriber *s, enum subscriber_where w);
void subscriber_list_remove(struct subscriber_list *l, struct subscriber *s);
struct subscriber *subscriber_list_pop(struct subscriber_list *l);

#endif
