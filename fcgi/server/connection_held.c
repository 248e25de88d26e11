/*
 * Held answers: rowtail delays the end of an answer that asks the client to reconnect.
 *
 * An EventSource waits for its reconnection time. Other clients treat a stream that has begun as a
 * success, and reconnect as soon as it ends: hundreds of times a second. The delay slows them down.
 * All held answers share one list, in order of time, and one timer. If there are too many, the
 * oldest ends first. They are not streams and count towards no limit.
 */
#include "server/connection_impl.h"

#include "base/clock.h"

static struct {
	struct connection *oldest, *newest;
	size_t count, most;
	struct loop_timer timer;
} all;

/* Sends the end of the held answer. */
static void let_go(struct connection *c)
{
	connection_held_drop(c);
	c->hold = false;
	connection_begin_answering(c);
}

static void wait_for_oldest(int64_t now_ms)
{
	if (all.oldest)
		loop_timer_start(&all.timer, all.oldest->held.until_ms - now_ms, 0);
	else
		loop_timer_stop(&all.timer);
}

static void timer_due(struct loop_timer *timer)
{
	int64_t now_ms = clock_ms();

	while (all.oldest && all.oldest->held.until_ms <= now_ms)
		let_go(all.oldest);
	wait_for_oldest(now_ms);
}

void connection_held_init(void)
{
	loop_timer_init(&all.timer, timer_due, NULL);
}

void connections_hold_at_most(size_t count)
{
	all.most = count;
}

void connection_held_begin(struct connection *c)
{
	int64_t now_ms = clock_ms();

	c->phase = PHASE_HELD;
	connection_set_deadline(c, 0);
	loop_poll_set(&c->poll, LOOP_READ);
	c->held.until_ms = now_ms + RESPONDER_HOLD_MS;
	c->held.previous = all.newest;
	c->held.next = NULL;
	if (all.newest)
		all.newest->held.next = c;
	else
		all.oldest = c;
	all.newest = c;
	if (++all.count > all.most)
		let_go(all.oldest);
	else if (all.count == 1)
		wait_for_oldest(now_ms);
}

void connection_held_drop(struct connection *c)
{
	if (c->phase != PHASE_HELD)
		return;
	if (c->held.previous)
		c->held.previous->held.next = c->held.next;
	else
		all.oldest = c->held.next;
	if (c->held.next)
		c->held.next->held.previous = c->held.previous;
	else
		all.newest = c->held.previous;
	all.count--;
	c->phase = PHASE_ANSWERING;
}

void connection_held_read(struct connection *c)
{
	uint8_t bytes[4096];
	ssize_t got = connection_receive(c, bytes, sizeof(bytes));

	if (got < 0)
		connection_end(c);
	else if (got > 0 && c->kind->hears_end(c, bytes, (size_t)got))
		let_go(c);
}

void connection_held_let_go(void)
{
	all.most = 0;
	while (all.oldest)
		let_go(all.oldest);
}
