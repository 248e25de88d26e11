/*
 * What fanout.c (streams, lists, sweeps), fanout_feed.c (new rows to those that wait) and
 * fanout_step.c (a turn of one that is behind) share. For nobody else.
 */
#ifndef ROWTAIL_FANOUT_IMPL_H
#define ROWTAIL_FANOUT_IMPL_H

#include "stream/fanout.h"
#include "stream/groups.h"
#include "stream/poll.h"
#include "stream/window.h"

/* One record for one group; the records of a group are a chain. Index 0 ends a chain. */
struct match {
	uint64_t sequence;
	uint32_t next;
};

enum {
	KEPT_RECORDS = 64,
	KEPT_BYTES = 192 << 20, /* in all; one record may be larger */
};

/* A large record that was replayed: whoever is in the middle of it goes on from here. */
struct kept {
	struct buffer bytes;
	struct run_record record; /* all zero: none */
	struct lane lane;
	bool used; /* since the last sweep */
};

/* A lane whose streams get new rows from a window, encoded once for all. */
struct shared {
	struct lane lane;
	struct window *window;
	size_t streams; /* none: the window is not fed */
};

enum { LANES_MAX = LANE_ENCODINGS };

struct fanout {
	struct eventlog *log;
	struct fanout_limits limits;
	struct fanout_calls calls;
	struct groups *groups;
	struct shared lanes[LANES_MAX];
	int lane_count;
	struct subscriber *all; /* newest first */
	size_t count;
	struct subscriber_list queue; /* those that have work */
	struct subscriber_list waiting; /* those whose log cannot be read now */
	struct buffer scratch; /* encoded rows */
	struct kept kept[KEPT_RECORDS]; /* the one that was used last is the first */
	struct buffer words; /* a text of our own in the making */
	struct run run;
	int64_t fed; /* all rows up to this id have been read into the windows */
	int64_t version; /* of the database, when it was last read to the end; -1: unknown */
	int64_t seen_us; /* when the rows at hand were read */
	struct match *matches;
	size_t match_count, match_capacity;
	struct group *touched;
	int64_t absent_ms; /* clock_absent_ms() at the last sweep */
	int64_t waited_us; /* when those that wait were last called although the log has a fault */
	bool distrusted; /* rows may have come without a commit */
	unsigned generation; /* of the log that `version` is of */
	bool unread; /* fanout_look() stopped early */
	int64_t marked_id; /* of the row by which the log is known again */
	int64_t marked_length; /* bytes of its data; -1: unknown */
	uint64_t mark; /* eventlog_mark(); 0: none */
	int64_t hopeless_id; /* a row for which there was no memory since the last sweep; 0: none */
	uint8_t hopeless_encoding;
	int64_t too_large_id; /* the row that the log's last line about a row too large is about */
	int64_t too_large_ms;
};

enum turn {
	TURN_AGAIN, /* has more work */
	TURN_BLOCKED,
	TURN_IDLE, /* has all there is */
	TURN_WAIT, /* the log cannot be read now */
	TURN_OVER, /* the stream is over */
};

/* One bounded step of a stream in the queue. */
enum turn fanout_step(struct fanout *f, struct subscriber *s);

/* fanout_poll.c: the steps of a poll (s->poll) where they differ from a stream's. */

/* The lane of the rows of all polls. */
extern const struct lane fanout_object_lane;

/* clock_awake_ms() at which a new poll gets its answer, whatever has come. */
int64_t fanout_poll_end(const struct poll *p);

/* The opening is done. */
enum turn fanout_poll_begin(struct fanout *f, struct subscriber *s);

/* How many rows to read at once. */
size_t fanout_poll_rows(const struct subscriber *s);

/* f->run goes into the answer. `scanned`: with the last of it, everything up to this id is done. */
enum turn fanout_poll_take(
	struct fanout *f, struct subscriber *s, int64_t scanned, enum turn when_taken);

/* Rows are missing: the poll goes on after `id`. */
enum turn fanout_poll_gap(struct fanout *f, struct subscriber *s, int64_t id, int64_t deletion,
	const char *requested, const struct eventlog_bounds *bounds, enum gap reason);

/* Its time is over, or it has to leave: gets the answer that there is. The caller enqueues it. */
void fanout_poll_leave(struct fanout *f, struct subscriber *s, enum leave_reason reason);

/* Adds a sign of life to f->words. */
void fanout_poll_show_life(struct fanout *f, struct subscriber *s);

/* Up to which id an idle stream has everything. */
int64_t fanout_position(const struct fanout *f, const struct subscriber *s);

/* Puts a stream that has work behind the others; an idle one keeps the position it had. */
void fanout_enqueue(struct fanout *f, struct subscriber *s);

/* The stream is over: nothing of it stays here, and its sink is told. */
void fanout_drop(struct fanout *f, struct subscriber *s);

/* Lets go of the large records from this one on. */
void fanout_forget(struct fanout *f, size_t from);

/* Lets go of those that nobody used since the last time. */
void fanout_forget_unused(struct fanout *f);

/* Says in the log that a row cannot be sent. */
void fanout_note_too_large(struct fanout *f, int64_t id);

/* All of a group, or of a lane, that wait for rows go and read the log themselves. */
void fanout_queue_idle(struct fanout *f, struct group *group);
void fanout_queue_lane(struct fanout *f, int lane);

/* The windows have a hole behind what was fed: those that wait there replay. */
void fanout_reset_windows(struct fanout *f, int64_t base);

#endif
