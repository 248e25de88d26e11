/*
 * Shared by these files, and used by no others: fanout.c (streams, lists), fanout_sweep.c
 * (heartbeats, time limits, last words), fanout_look.c (is anything new?), fanout_feed.c (new rows
 * for streams that wait), fanout_step.c (a turn of a stream that is behind), fanout_kept.c (large
 * records that were replayed), fanout_end.c (channels that have ended) and fanout_poll.c (what
 * differs for a JSON answer).
 */
#ifndef ROWTAIL_FANOUT_IMPL_H
#define ROWTAIL_FANOUT_IMPL_H

#include "stream/fanout.h"
#include "stream/groups.h"
#include "stream/poll.h"
#include "stream/window.h"

/* A record for a group. The records of a group form a chain; index 0 ends it. */
struct match {
	uint64_t sequence;
	uint32_t next;
};

enum {
	KEPT_RECORDS = 64,
	KEPT_BYTES = 192 << 20, /* in total; a single record may be larger */
};

/* A large record that was replayed. Streams that are in the middle of it continue from here. */
struct kept {
	struct buffer bytes;
	struct run_record record; /* all zero: none */
	struct lane lane;
	bool used; /* since the last sweep */
};

/* A lane whose streams get new rows from a window, encoded once for all of them. */
struct shared {
	struct lane lane;
	struct window *window;
	size_t streams; /* 0: the window is not fed */
	unsigned replays; /* streams that replayed recent rows since the first one came */
};

/* The rows of polls have no framing, so they need one lane. */
enum { LANES_MAX = (LANE_ENCODINGS - 1) * FANOUT_FRAMINGS + 1 };
_Static_assert((int)LANES_MAX <= (int)GROUPS_LANES, "groups have a list for each lane");

/*
 * A sweep looks only at the streams of its round. The next round has the streams that have work or
 * are blocked, and the new ones. An idle stream is in the round in which its heartbeat or its next
 * check is due. So most sweeps touch few of the idle streams.
 */
enum { FANOUT_ROUNDS = 16 };

struct fanout {
	struct eventlog *log;
	struct fanout_limits limits;
	struct fanout_calls calls;
	struct groups *groups;
	struct shared lanes[LANES_MAX];
	int lane_count;
	struct subscriber *rounds[FANOUT_ROUNDS]; /* all streams; see fanout_sweep_in() */
	unsigned round; /* of the last sweep */
	int64_t swept_ms; /* clock_ms() of the last sweep */
	size_t count;
	struct subscriber_list queue; /* streams that have work */
	struct subscriber_list waiting; /* streams whose log cannot be read now */
	struct buffer scratch; /* encoded rows */
	struct kept kept[KEPT_RECORDS]; /* most recently used first */
	struct buffer words; /* text of rowtail's own that is being built */
	struct run run;
	int64_t fed; /* all rows up to this id have been read into the windows */
	int64_t version; /* of the database when it was last read to the end; -1: unknown */
	int64_t checked; /* eventlog_version() when it was last found the same log; -1: unknown */
	uint64_t commit; /* the last one when that was read, if `current` */
	int64_t seen_us; /* when the current rows were read */
	struct match *matches;
	size_t match_count, match_capacity;
	struct group *touched;
	struct group *ending; /* groups whose `ended` is to be looked up */
	int64_t lag; /* see fanout_lag() */
	int64_t absent_ms; /* clock_absent_ms() at the last sweep */
	int64_t waited_us; /* when the waiting streams were last called during a log fault */
	int64_t marked_id; /* the row that identifies the log: the newest that a client may know */
	int64_t marked_length; /* bytes of its data; -1: unknown */
	uint64_t mark; /* eventlog_mark(); 0: none */
	int64_t hopeless_id; /* a row for which memory ran out since the last sweep; 0: none */
	int64_t too_large_id; /* the row in the last log line about a row that is too large */
	int64_t too_large_ms;
	unsigned generation; /* of the log to which `version` and `checked` belong */
	uint8_t hopeless_encoding; /* of the row hopeless_id */
	bool current; /* everything was read up to `commit` */
	bool ends_doubted; /* `ended` of all groups is to be looked up */
	bool distrusted; /* rows may have arrived without a commit */
	bool unread; /* fanout_look() stopped early */
};

enum turn {
	TURN_AGAIN, /* has more work */
	TURN_BLOCKED,
	TURN_IDLE, /* has sent all there is */
	TURN_WAIT, /* the log cannot be read now */
	TURN_OVER, /* the stream has ended */
};

/* Takes one bounded step of a stream in the queue. */
enum turn fanout_step(struct fanout *f, struct subscriber *s);

/*
 * fanout_end.c: which groups have all their channels ended. This is looked up only when a row of
 * type `end` is read, and when rows were passed over.
 */

/* Notes a row that was read. No group may leave before fanout_look_up_ends(). */
void fanout_note_end(struct fanout *f, const struct row *row);

/* Looks up the ends of the groups that were noted. */
void fanout_look_up_ends(struct fanout *f);

/* Looks up the ends of all groups, now or with the next sweep. */
void fanout_look_up_all_ends(struct fanout *f);

/* Has the stream everything of channels that have ended? */
bool fanout_has_ended(const struct fanout *f, const struct subscriber *s);

/* fanout_poll.c: the steps of a poll (s->poll) where they differ from a stream's. */

/* The lane of the rows of all polls. */
extern const struct lane fanout_object_lane;

/* Opens the poll now. Returns the clock_awake_ms() at which its search for rows must end. */
int64_t fanout_poll_open(struct poll *p);

/* Begins a poll whose opening is done. */
enum turn fanout_poll_begin(struct fanout *f, struct subscriber *s);

/* How many rows to read at once. */
size_t fanout_poll_rows(const struct subscriber *s);

/* Adds f->run to the answer. With its last row, everything up to `scanned` is done. */
enum turn fanout_poll_take(
	struct fanout *f, struct subscriber *s, int64_t scanned, enum turn when_taken);

/* Handles a log that cannot be read now. */
enum turn fanout_poll_unreadable(struct fanout *f, struct subscriber *s);

/* Handles lack of memory: asks the client to come back. */
enum turn fanout_poll_no_memory(struct fanout *f, struct subscriber *s);

/* Handles missing rows: the poll continues after `id`. */
enum turn fanout_poll_gap(struct fanout *f, struct subscriber *s, int64_t id, int64_t deletion,
	const char *requested, const struct eventlog_bounds *bounds, enum gap reason);

/*
 * Completes the answer as it is: the poll's time is over, or it must leave. The caller enqueues it.
 */
void fanout_poll_leave(struct fanout *f, struct subscriber *s, enum leave_reason reason);

/* Adds a heartbeat to f->words. Only for a poll that waits: before that it may have to refuse. */
void fanout_poll_show_life(struct fanout *f, struct subscriber *s);

/* The id up to which an idle stream has everything. */
int64_t fanout_position(const struct fanout *f, const struct subscriber *s);

/* Makes the sweep look at the stream so many sweeps from now: 1 to FANOUT_ROUNDS - 1. */
void fanout_sweep_in(struct fanout *f, struct subscriber *s, unsigned sweeps);

/* Takes an idle stream off its group's list. The next sweep looks at it. */
void fanout_leave_group(struct fanout *f, struct subscriber *s);

/* Takes a stream off its list. An idle one keeps the position it had there. */
void fanout_take_off(struct fanout *f, struct subscriber *s);

/* Puts a stream that has work at the end of the queue. An idle one keeps its position. */
void fanout_enqueue(struct fanout *f, struct subscriber *s);

/* Ends the stream: removes it everywhere, and tells its sink. */
void fanout_drop(struct fanout *f, struct subscriber *s);

/*
 * fanout_kept.c: large records that were replayed. Reading and encoding 10 MiB again for each piece
 * that a socket takes would keep the loop from all other streams.
 */

/* Keeps f->run, which has one large record. It replaces the least recently used one. */
void fanout_keep_record(struct fanout *f, const struct subscriber *s);

/* Makes f->run of the record that was cut. False if it is not kept. */
bool fanout_run_of_kept(struct fanout *f, const struct subscriber *s);

/* Frees the large records from this index on. */
void fanout_forget(struct fanout *f, size_t from);

/* Frees the large records that were not used since the last call. */
void fanout_forget_unused(struct fanout *f);

/* Sends a gap in place of a row that was read but cannot be encoded or sent for lack of memory. */
enum turn fanout_pass_over(struct fanout *f, struct subscriber *s, int64_t id);

/* Logs that a row cannot be sent. */
void fanout_note_too_large(struct fanout *f, int64_t id);

/*
 * Begins a transaction for reading rows (eventlog_hold()); the caller ends it. *same: this is still
 * the log that was fed. If another one was restored into the file, all streams are to get a gap
 * before they read.
 */
enum eventlog_status fanout_begin(struct fanout *f, bool *same);

/*
 * A client knows of ids up to this one, which may not have been fed yet. Call it in the transaction
 * that fanout_begin() began.
 */
enum eventlog_status fanout_note_known(struct fanout *f, int64_t id);

/* What a look has found so far. */
struct fanout_progress {
	size_t rows;
	bool more; /* there may be further rows */
	bool marked; /* the last row has its mark */
};

/* Reads a batch of new rows and sends them. */
enum eventlog_status fanout_feed(struct fanout *f, struct fanout_progress *progress);

/*
 * Reads the last rows that were fed into the window of a lane, when many streams are behind it:
 * then all of them share one read and one encoding. A lane is refilled once.
 */
enum { FANOUT_REFILL_REPLAYS = 8 };
void fanout_refill(struct fanout *f, int lane);

/* Makes all streams of a group, or of a lane, that wait for rows read the log themselves. */
void fanout_queue_idle(struct fanout *f, struct group *group);
void fanout_queue_lane(struct fanout *f, int lane);

/* Resets the windows, which lack rows after those that were fed. Streams that wait there replay. */
void fanout_reset_windows(struct fanout *f, int64_t base);

#endif
