/*
 * subscriber: one stream: a cursor into the log, and what has gone out of the record it stands at.
 *
 * Owns the state machine of a stream
 *
 *     OPENING -> REPLAY <-> LIVE -> DRAIN -> GONE
 *
 * and everything about writing to its sink: what was cut off by a full socket is finished before
 * anything else goes out. There is no queue: a subscriber that can't take more keeps its cursor and
 * how many bytes of the next record it had; the rest of that record is found again, in the window
 * or by encoding its row anew, which gives the same bytes. Only words of rowtail's own (the head, a
 * heartbeat, a gap) that were cut are kept, some hundred bytes. Reads no log, knows no other
 * subscriber: that is fanout's.
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
	SUBSCRIBER_OPENING, /* looking for where it begins */
	SUBSCRIBER_REPLAY, /* behind: reading from the log, or blocked */
	SUBSCRIBER_LIVE, /* has all there is; waits for rows */
	SUBSCRIBER_DRAIN, /* finishes the record it is in, then says farewell */
	SUBSCRIBER_GONE,
};

enum subscriber_where {
	SUBSCRIBER_NOWHERE, /* blocked: its sink will call */
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
struct tally_entry;

struct subscriber {
	struct sink *sink;
	struct group *group;
	struct lane lane;
	struct subscriber *previous, *next; /* of the list that `where` names */
	struct subscriber *all_previous, *all_next;
	int64_t cursor; /* everything up to here has been sent, or was not wanted */
	int64_t told; /* the last id that the client has been given */
	int64_t deletion_told; /* see struct eventlog_missing: gaps of later ones are announced */
	int64_t opened_ms;
	int64_t moved_ms; /* when bytes were last taken */
	int64_t ends_ms; /* clock_awake_ms() at which it leaves, or in DRAIN is closed; 0: none */
	uint64_t records;
	uint64_t cut_hash; /* window_hash() of the record that was cut */
	uint32_t cut; /* bytes of the record behind the cursor that went out; 0: none */
	uint32_t cut_content;
	uint8_t *pending; /* words of our own still to go out, or NULL */
	uint32_t pending_length, pending_sent;
	uint32_t retry_ms; /* of this stream, with jitter */
	uint8_t state, where, reason;
	bool blocked; /* the sink takes nothing now; since moved_ms */
	bool bare; /* positions=0 */
	uint8_t rows; /* enum eventlog_rows */
	bool replaced; /* a gap is owed, since the database was replaced */
	struct poll *poll; /* a JSON answer in the making, owned by fanout; NULL: a stream */
	struct opening *opening; /* only while OPENING */
	uint8_t *farewell; /* last words, framed, with the end; only in DRAIN */
	uint32_t farewell_length;
	struct access_session *session; /* who reads, for looking again; NULL: anyone may */
	struct tally_entry *client; /* whose streams it counts to; both are the responder's */
};

enum subscriber_result {
	SUBSCRIBER_SENT, /* all of it went out */
	SUBSCRIBER_BLOCKED, /* the sink is full; fanout_writable() will be called */
	SUBSCRIBER_LOST, /* the peer is gone, or the stream can't go on: s->reason */
};

/* Sets up a stream in state OPENING; everything else zero. */
void subscriber_init(
	struct subscriber *s, struct sink *sink, const struct lane *lane, int64_t now_ms);

/* Gives back what it owns (not the sink, not the session). */
void subscriber_free(struct subscriber *s);

/*
 * Sends words of our own (an event stream's bytes in `text`), framed; keeps what is cut. Only when
 * nothing is cut or pending.
 */
enum subscriber_result subscriber_say(
	struct subscriber *s, const uint8_t *text, size_t length, int64_t now_ms);

/* Goes on with words that were cut. SENT when there are none. */
enum subscriber_result subscriber_flush(struct subscriber *s, int64_t now_ms);

/*
 * Sends a run of records that follow the cursor, and moves the cursor. When a record was cut, the
 * run begins with that very record, or the stream is LOST (LEAVE_CUT).
 */
enum subscriber_result subscriber_send(struct subscriber *s, const struct run *run, int64_t now_ms);

/* Is this record, the first behind the cursor, the one that was cut? True when none was. */
bool subscriber_continues(const struct subscriber *s, const struct run *run);

/*
 * Begins to end the stream: state DRAIN, with last words (an event stream's bytes, may be empty) to
 * go out behind the record it is in. The first reason stays.
 */
void subscriber_leave(
	struct subscriber *s, enum leave_reason reason, const uint8_t *text, size_t length);

/*
 * The row of the record that was cut is gone. If only the record's end is missing (see sse_row_end()),
 * sends that, and the stream goes on. Otherwise completes the piece that was begun (a FastCGI record), so
 * that the end can follow, and ends the stream: the client drops the unfinished event, as the
 * standard says, and resumes before it.
 */
void subscriber_give_up_cut(struct subscriber *s);

/* In DRAIN, with nothing cut: sends the farewell. SENT: the stream is over. */
enum subscriber_result subscriber_farewell(struct subscriber *s, int64_t now_ms);

/* Lists. */
void subscriber_list_push(struct subscriber_list *l, struct subscriber *s, enum subscriber_where w);
void subscriber_list_remove(struct subscriber_list *l, struct subscriber *s);
struct subscriber *subscriber_list_pop(struct subscriber_list *l);

#endif
