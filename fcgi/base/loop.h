/*
 * loop: the part of libuv that rowtail uses: readiness, timers, signals, turns.
 *
 * The only file that includes <uv.h>. One loop per process, one thread, no pool. Handles live in
 * the structs of their users, so that a connection is one allocation. Whoever begins a poll must
 * end it, and keep its memory until `ended` is called.
 *
 * A handle whose bytes are all zero has not begun. The functions that stop, set, start, want or end
 * a handle do nothing if it has not begun or has ended, since some versions of libuv crash then.
 */
#ifndef ROWTAIL_LOOP_H
#define ROWTAIL_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets up the process's loop, once. False if the system refuses; then no handle can begin. */
bool loop_init(void);

/* Runs until loop_stop(). Returns at once if there is no loop. */
void loop_run(void);

/* Makes loop_run() return after this round. */
void loop_stop(void);

/*
 * Calls `was` after each round whose work took longer than longest_us, with the time that it took.
 * Call it once, before any turn is wanted.
 */
void loop_on_long_round(int64_t longest_us, void (*was)(int64_t us));

/*
 * True if this round has already taken so long that new requests, of which a crowd can bring many,
 * should wait for the next round. What is still ready is reported again then.
 */
bool loop_round_is_long(void);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* Room for libuv's handles. Only loop.c knows their sizes, and checks them. */
struct loop_handle {
	_Alignas(max_align_t) unsigned char space[168];
	unsigned char state; /* used by loop.c; 0: not begun */
};

/* Readiness of a descriptor, which should be non-blocking. */
struct loop_poll {
	void (*ready)(struct loop_poll *p, int events, bool failed);
	void (*ended)(struct loop_poll *p);
	struct loop_poll *next; /* this and `state` are used by loop.c */
	int fd;
	uint8_t events; /* LOOP_READ | LOOP_WRITE, as last set; 0: paused */
	uint8_t state; /* 0: not begun */
};
/*
 * Begins to wait for these events (0: paused). False if the descriptor cannot be watched, or if the
 * poll has already begun or has not fully ended. After `failed` the poll is paused.
 */
bool loop_poll_begin(struct loop_poll *p, int fd, int events,
	void (*ready)(struct loop_poll *p, int events, bool failed));
/* Waits for these events from now on (0: paused). */
void loop_poll_set(struct loop_poll *p, int events);
/*
 * Ends the poll. `ready` is not called again, and the descriptor may be closed at once. The memory
 * must stay until `ended` (may be NULL) is called. Ending a poll twice calls it only once.
 */
void loop_poll_end(struct loop_poll *p, void (*ended)(struct loop_poll *p));

/* A timer. It lives as long as the process. */
struct loop_timer {
	struct loop_handle handle;
	void (*due)(struct loop_timer *t);
	void *context;
	int64_t every_ms;
};
/* Begins the timer, stopped. A second call stops it and replaces its function. */
void loop_timer_init(struct loop_timer *t, void (*due)(struct loop_timer *t), void *context);
/*
 * Due after after_ms, then every every_ms unless that is 0. Starting it again resets it. A timer
 * that repeats is due at multiples of every_ms since the loop began: the first time after every_ms
 * is earlier. So an idle process wakes up once for all timers that are due at the same time.
 */
void loop_timer_start(struct loop_timer *t, int64_t after_ms, int64_t every_ms);
void loop_timer_stop(struct loop_timer *t);

/*
 * A timer with microsecond resolution, which lives as long as the process. libuv's timers count in
 * milliseconds, but a commit becomes visible within tens of microseconds. Due once per start.
 */
struct loop_alarm {
	struct loop_poll poll;
	int fd;
	void (*due)(struct loop_alarm *a);
	void *context;
	bool armed; /* started, and not yet due */
};
/* False if the system refuses, or if the alarm has already begun. */
bool loop_alarm_init(struct loop_alarm *a, void (*due)(struct loop_alarm *a), void *context);
void loop_alarm_start(struct loop_alarm *a, int64_t after_us);
void loop_alarm_stop(struct loop_alarm *a);

/* A function that the loop calls, when wanted, after everything that is ready in a round. */
struct loop_turn {
	struct loop_handle idle, check;
	void (*turn)(struct loop_turn *t);
	void *context;
	bool wanted;
};
/* Begins the turn, not wanted. A second call makes it not wanted and replaces its function. */
void loop_turn_init(struct loop_turn *t, void (*turn)(struct loop_turn *t), void *context);
/* Wants one call, in this round or the next. Wanting it again before that adds none. */
void loop_turn_want(struct loop_turn *t);

/*
 * Calls `came` in the loop when the signal arrives. A second call for a signal replaces the
 * function. False if the system refuses.
 */
bool loop_on_signal(int number, void (*came)(int number));

/* Runs one round of the loop without waiting: handles the signals that have arrived. */
void loop_look(void);

/* libuv's version, as text. */
const char *loop_version(void);

#endif
