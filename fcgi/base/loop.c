#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/buffer.h"

_Static_assert(sizeof(uv_timer_t) <= sizeof(struct loop_handle), "a timer fits");
_Static_assert(sizeof(uv_idle_t) <= sizeof(struct loop_handle), "an idle handle fits");
_Static_assert(sizeof(uv_check_t) <= sizeof(struct loop_handle), "a check handle fits");

enum {
	LIBUV_MEMORY = 16384, /* its table of descriptors; without memory it aborts */
	READY_MAX = 512, /* polls that are ready in one round; then timers and turns come */
};

/* The states of a loop_handle and a loop_poll. */
enum { NOT_BEGUN, BEGUN, ENDING };

enum { ROUND_NS = 2000000 };

static uv_loop_t loop;
static bool has_loop;
static uint64_t began_ms; /* of the loop's clock */
static uv_prepare_t before_polling;
static uv_check_t behind_polling;
static uint64_t polled_ns, work_ns; /* when polling's work ended, and how long it took */
static uint64_t long_ns; /* a round that works longer than this is reported; 0: none is */
static void (*was_long)(int64_t us);
static uint64_t round_ns; /* time of the first loop_round_is_long() in this round; 0: none yet */

/* The signals that somebody has asked for. */
static struct {
	uv_signal_t handle;
	void (*came)(int number);
	bool begun;
} signals[NSIG];

/*
 * The descriptors of all polls are in an epoll set of our own, which libuv watches like one file.
 * With a uv_poll_t for each, a connection would have four times the memory and more than twice the
 * system calls.
 */
static struct {
	int fd;
	uv_poll_t handle;
	size_t active; /* polls that are not paused */
	struct loop_poll *ended; /* whose `ended` is still to be called */
	struct loop_turn endings;
} files;

static bool begin_files(void);

/* The next polling begins. The work since the last one is that of polling, then that of timers. */
static void begin_round(uv_prepare_t *handle)
{
	round_ns = 0;
	if (!long_ns || !polled_ns)
		return;
	work_ns += uv_hrtime() - polled_ns;
	if (work_ns > long_ns)
		was_long((int64_t)(work_ns / 1000));
}

/* Runs after all other check handles, since it was started first. libuv's time is the poll's. */
static void end_polling(uv_check_t *handle)
{
	uint64_t began_ns = uv_now(&loop) * 1000000;

	polled_ns = uv_hrtime();
	work_ns = polled_ns > began_ns ? polled_ns - began_ns : 0;
}

void loop_on_long_round(int64_t longest_us, void (*was)(int64_t us))
{
	was_long = was;
	long_ns = (uint64_t)longest_us * 1000;
	if (!has_loop)
		return;
	uv_check_init(&loop, &behind_polling);
	uv_check_start(&behind_polling, end_polling);
	uv_unref((uv_handle_t *)&behind_polling);
}

bool loop_init(void)
{
	if (has_loop)
		return true;
	has_loop = buffer_memory_is_there(LIBUV_MEMORY) && uv_loop_init(&loop) == 0;
	if (has_loop && (has_loop = begin_files())) {
		began_ms = uv_now(&loop);
		uv_prepare_init(&loop, &before_polling);
		uv_prepare_start(&before_polling, begin_round);
		/* This handle alone must not keep the loop running. */
		uv_unref((uv_handle_t *)&before_polling);
	}
	return has_loop;
}

bool loop_round_is_long(void)
{
	if (!round_ns)
		round_ns = uv_hrtime();
	return uv_hrtime() - round_ns > ROUND_NS;
}

void loop_run(void)
{
	if (has_loop)
		uv_run(&loop, UV_RUN_DEFAULT);
}

void loop_look(void)
{
	if (has_loop)
		uv_run(&loop, UV_RUN_NOWAIT);
}

void loop_stop(void)
{
	if (has_loop)
		uv_stop(&loop);
}

static bool is_begun(const struct loop_handle *h)
{
	return h->state == BEGUN;
}

/* Clears a handle that may begin; libuv must not see data from its earlier use. */
static bool clear(struct loop_handle *h)
{
	if (!has_loop || h->state != NOT_BEGUN)
		return false;
	memset(h, 0, sizeof(*h));
	return true;
}

static uint32_t to_epoll(int events)
{
	/* A paused poll is told of an error or hangup only once, and ignores it. */
	if (!events)
		return EPOLLET;
	return (events & LOOP_READ ? EPOLLIN : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0);
}

static int control(struct loop_poll *p, int operation)
{
	struct epoll_event e = {.events = to_epoll(p->events), .data = {.ptr = p}};

	return epoll_ctl(files.fd, operation, p->fd, &e);
}

/* Polls that wait for something keep the loop running. */
static void set_events(struct loop_poll *p, int events)
{
	if (!p->events && events && files.active++ == 0)
		uv_ref((uv_handle_t *)&files.handle);
	if (p->events && !events && --files.active == 0)
		uv_unref((uv_handle_t *)&files.handle);
	p->events = (uint8_t)events;
}

bool loop_poll_begin(struct loop_poll *p, int fd, int events,
	void (*ready)(struct loop_poll *p, int events, bool failed))
{
	if (!has_loop || p->state != NOT_BEGUN)
		return false;
	*p = (struct loop_poll){.fd = fd, .ready = ready};
	set_events(p, events);
	if (control(p, EPOLL_CTL_ADD) < 0) {
		set_events(p, 0);
		return false;
	}
	p->state = BEGUN;
	return true;
}

void loop_poll_set(struct loop_poll *p, int events)
{
	if (p->state != BEGUN || events == p->events)
		return;
	set_events(p, events);
	control(p, EPOLL_CTL_MOD);
}

void loop_poll_end(struct loop_poll *p, void (*ended)(struct loop_poll *p))
{
	if (p->state != BEGUN)
		return;
	set_events(p, 0);
	control(p, EPOLL_CTL_DEL);
	p->state = ENDING;
	p->ended = ended;
	p->next = files.ended;
	files.ended = p;
	loop_turn_want(&files.endings);
}

/* Their memory may go now: no event that was read earlier names them any more. */
static void tell_ended(struct loop_turn *t)
{
	struct loop_poll *p;

	while ((p = files.ended)) {
		files.ended = p->next;
		p->state = NOT_BEGUN;
		if (p->ended)
			p->ended(p);
	}
}

static void tell_ready(struct loop_poll *p, uint32_t what)
{
	int events = (what & EPOLLIN ? LOOP_READ : 0) | (what & EPOLLOUT ? LOOP_WRITE : 0);

	/* An earlier callback of this round may have ended or paused it. */
	if (p->state != BEGUN || !p->events)
		return;
	if (what & EPOLLERR) {
		loop_poll_set(p, 0);
		p->ready(p, 0, true);
		return;
	}
	/* A hangup alone is for whoever reads or writes next. */
	events = events ? events & p->events : p->events;
	if (events)
		p->ready(p, events, false);
}

static void files_ready(uv_poll_t *handle, int status, int events)
{
	struct epoll_event ready[READY_MAX];
	int count = epoll_wait(files.fd, ready, READY_MAX, 0);

	for (int i = 0; i < count; i++)
		tell_ready(ready[i].data.ptr, ready[i].events);
}

static bool begin_files(void)
{
	if ((files.fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		return false;
	if (uv_poll_init(&loop, &files.handle, files.fd) < 0)
		return false;
	uv_poll_start(&files.handle, UV_READABLE, files_ready);
	uv_unref((uv_handle_t *)&files.handle);
	loop_turn_init(&files.endings, tell_ended, NULL);
	return true;
}

static uv_timer_t *as_timer(struct loop_timer *t)
{
	return (uv_timer_t *)(void *)t->handle.space;
}

static void timer_due(uv_timer_t *handle);

static void start_timer(struct loop_timer *t, int64_t after_ms)
{
	int64_t every_ms = t->every_ms;

	if (every_ms > 0 && after_ms == every_ms)
		after_ms = every_ms - (int64_t)(uv_now(&loop) - began_ms) % every_ms;
	uv_timer_start(as_timer(t), timer_due, (uint64_t)after_ms, 0);
}

static void timer_due(uv_timer_t *handle)
{
	struct loop_timer *t = handle->data;

	if (t->every_ms > 0)
		start_timer(t, t->every_ms);
	t->due(t);
}

void loop_timer_init(struct loop_timer *t, void (*due)(struct loop_timer *t), void *context)
{
	loop_timer_stop(t);
	t->due = due;
	t->context = context;
	if (!clear(&t->handle))
		return;
	uv_timer_init(&loop, as_timer(t));
	as_timer(t)->data = t;
	t->handle.state = BEGUN;
}

void loop_timer_start(struct loop_timer *t, int64_t after_ms, int64_t every_ms)
{
	if (!is_begun(&t->handle))
		return;
	/*
	 * The loop's time is from the start of the round: after a long round the timer would be
	 * early.
	 */
	uv_update_time(&loop);
	t->every_ms = every_ms;
	start_timer(t, after_ms);
}

void loop_timer_stop(struct loop_timer *t)
{
	if (is_begun(&t->handle))
		uv_timer_stop(as_timer(t));
}

static void alarm_ready(struct loop_poll *p, int events, bool failed)
{
	struct loop_alarm *a = (struct loop_alarm *)(void *)p;
	uint64_t times;

	if (read(a->fd, &times, sizeof(times)) != sizeof(times))
		return;
	a->armed = false;
	a->due(a);
}

bool loop_alarm_init(struct loop_alarm *a, void (*due)(struct loop_alarm *a), void *context)
{
	if (!has_loop || a->poll.state != NOT_BEGUN)
		return false;
	a->due = due;
	a->context = context;
	if ((a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) < 0)
		return false;
	if (loop_poll_begin(&a->poll, a->fd, LOOP_READ, alarm_ready))
		return true;
	close(a->fd);
	return false;
}

static void set_alarm(struct loop_alarm *a, int64_t after_us)
{
	struct itimerspec when = {.it_value = {after_us / 1000000, after_us % 1000000 * 1000}};

	if (a->poll.state == BEGUN)
		timerfd_settime(a->fd, 0, &when, NULL);
}

void loop_alarm_start(struct loop_alarm *a, int64_t after_us)
{
	set_alarm(a, after_us > 0 ? after_us : 1);
	a->armed = true;
}

void loop_alarm_stop(struct loop_alarm *a)
{
	if (a->armed)
		set_alarm(a, 0);
	a->armed = false;
}

static uv_idle_t *as_idle(struct loop_turn *t)
{
	return (uv_idle_t *)(void *)t->idle.space;
}

static uv_check_t *as_check(struct loop_turn *t)
{
	return (uv_check_t *)(void *)t->check.space;
}

/* An idle handle only keeps the loop from sleeping. The work runs after polling. */
static void idle_round(uv_idle_t *handle)
{
}

static void stop_turn(struct loop_turn *t)
{
	uv_idle_stop(as_idle(t));
	uv_check_stop(as_check(t));
}

static void after_polling(uv_check_t *handle)
{
	struct loop_turn *t = handle->data;

	t->wanted = false;
	t->turn(t);
	if (!t->wanted)
		stop_turn(t);
}

void loop_turn_init(struct loop_turn *t, void (*turn)(struct loop_turn *t), void *context)
{
	if (is_begun(&t->idle))
		stop_turn(t);
	t->turn = turn;
	t->context = context;
	t->wanted = false;
	if (!clear(&t->idle) || !clear(&t->check))
		return;
	uv_idle_init(&loop, as_idle(t));
	uv_check_init(&loop, as_check(t));
	as_check(t)->data = t;
	t->idle.state = t->check.state = BEGUN;
}

void loop_turn_want(struct loop_turn *t)
{
	if (t->wanted || !is_begun(&t->idle))
		return;
	t->wanted = true;
	uv_idle_start(as_idle(t), idle_round);
	uv_check_start(as_check(t), after_polling);
}

static void signal_came(uv_signal_t *handle, int number)
{
	signals[number].came(number);
}

bool loop_on_signal(int number, void (*came)(int number))
{
	if (!has_loop || number < 1 || number >= NSIG)
		return false;
	signals[number].came = came;
	if (!signals[number].begun && uv_signal_init(&loop, &signals[number].handle) < 0)
		return false;
	signals[number].begun = true;
	return uv_signal_start(&signals[number].handle, signal_came, number) == 0;
}

const char *loop_version(void)
{
	return uv_version_string();
}
