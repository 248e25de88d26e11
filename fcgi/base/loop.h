/*
 * loop: the little of libuv that is used: readiness, timers, signals, turns.
 *
 * The only includer of <uv.h>. One loop per process, one thread, no pool. Handles live in the
 * structs of those who use them, so that a connection is one allocation; a poll that was begun
 * must be ended, and its memory stays until `ended` is called.
 *
 * A handle whose bytes are all zero is not begun. libuv never sees such a handle, nor one that has
 * ended: to stop, set, start, want or end it does nothing, in every build. (libuv itself crashes or
 * not, depending on its version.)
 */
#ifndef ROWTAIL_LOOP_H
#define ROWTAIL_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets up the process's loop, once; false when the system refuses. Without it nothing can begin. */
bool loop_init(void);

/* Runs until loop_stop(). Returns at once where there is no loop. */
void loop_run(void);
void loop_stop(void);

/*
 * Have the functions of this round taken so long that the rest should wait for the next one? What is still
 * ready then is told again. For work that a crowd can make long: new requests.
 */
bool loop_round_is_long(void);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* Room for libuv's handles, whose sizes only loop.c knows; it checks them. */
struct loop_handle {
	_Alignas(max_align_t) unsigned char space[168];
	unsigned char state; /* loop.c's; 0: not begun */
};

/* Readiness of a descriptor. */
struct loop_poll {
	struct loop_handle handle;
	void (*ready)(struct loop_poll *p, int events, bool failed);
	void (*ended)(struct loop_poll *p);
	int events; /* LOOP_READ | LOOP_WRITE, as last asked for; 0: paused */
};
/*
 * Makes the descriptor non-blocking and begins paused. False when it can't be watched, or when the
 * poll has begun already, or has not quite ended.
 */
bool loop_poll_begin(
	struct loop_poll *p, int fd, void (*ready)(struct loop_poll *p, int events, bool failed));
void loop_poll_set(struct loop_poll *p, int events);
/*
 * Ends it: no call of `ready` any more; the descriptor may be closed at once; the memory stays
 * until `ended` (may be NULL) is called: once for each begin, however often it is ended.
 */
void loop_poll_end(struct loop_poll *p, void (*ended)(struct loop_poll *p));

/* A timer; for the life of the process. */
struct loop_timer {
	struct loop_handle handle;
	void (*due)(struct loop_timer *t);
	void *context;
};
/* Begins it, stopped. Again: it is stopped, and gets the new function. */
void loop_timer_init(struct loop_timer *t, void (*due)(struct loop_timer *t), void *context);
/* Due after so many ms; again after each `every_ms`, if that is not 0. Starting again moves it. */
void loop_timer_start(struct loop_timer *t, int64_t after_ms, int64_t every_ms);
void loop_timer_stop(struct loop_timer *t);

/*
 * An alarm with the resolution of microseconds, for the life of the process: libuv's timers count
 * in milliseconds, a commit becomes visible in tens of microseconds. Once per loop_alarm_start().
 */
struct loop_alarm {
	struct loop_poll poll;
	int fd;
	void (*due)(struct loop_alarm *a);
	void *context;
};
/* False when the system refuses, or when it has begun already. */
bool loop_alarm_init(struct loop_alarm *a, void (*due)(struct loop_alarm *a), void *context);
void loop_alarm_start(struct loop_alarm *a, int64_t after_us);
void loop_alarm_stop(struct loop_alarm *a);

/* A turn: called once per round of the loop, after all that is ready, while it is wanted. */
struct loop_turn {
	struct loop_handle idle, check;
	void (*turn)(struct loop_turn *t);
	void *context;
	bool wanted;
};
/* Begins it; nothing is wanted. Again: nothing is wanted any more, and it gets the new function. */
void loop_turn_init(struct loop_turn *t, void (*turn)(struct loop_turn *t), void *context);
void loop_turn_want(struct loop_turn *t);

/* Calls `came` for a signal, in the loop. Again for the same signal: it gets the new function. */
bool loop_on_signal(int number, void (*came)(int number));

/* One round of the loop, which waits for nothing: takes the signals that have come. */
void loop_look(void);

/* libuv's version, as text. */
const char *loop_version(void);

#endif
