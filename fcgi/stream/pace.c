#include "stream/pace.h"

void pace_init(struct pace *p, int64_t poll_ms, bool always)
{
	*p = (struct pace){.poll_ms = poll_ms, .always = always};
}

void pace_begin(struct pace *p)
{
	p->proven = false;
}

void pace_noticed(struct pace *p, int64_t now_ms)
{
	p->announced = true;
	p->doubted = false;
	p->noticed_ms = now_ms;
}

void pace_found(struct pace *p)
{
	p->proven = true;
	p->announced = false;
}

/*
 * The commit's notice may still be unread when the poll finds it. The loop reads it before the next
 * poll. One notice may stand for two commits, so a recent one explains the second, too.
 */
void pace_polled(struct pace *p, bool found, int64_t now_ms)
{
	if (p->doubted)
		p->failed = true;
	if (!found)
		return;
	p->doubted = !p->announced && now_ms - p->noticed_ms >= PACE_CALM_MS;
	p->announced = false;
}

bool pace_may_rest(const struct pace *p, int64_t now_ms)
{
	return p->poll_ms < PACE_RARE_MS && !p->always && p->proven && !p->failed && !p->doubted &&
	       now_ms - p->noticed_ms >= PACE_CALM_MS;
}
