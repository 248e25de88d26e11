#include "mirror/notices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "mirror/source.h"

enum { PAUSE_MS = 2000 }; /* at most */

static struct {
	struct source *source;
	struct loop_timer pause;
	void (*noticed)(void);
	void (*told)(void);
	bool listens;
	bool standby;
	enum source_question asked;
	int64_t asked_ms;
	int64_t newest, when_ms; /* when_ms 0: no answer */
	int64_t lost_base; /* 0: nothing to tell */
	char fault[512]; /* that was logged */
} notices;

static void ask(enum source_question question, int64_t a)
{
	notices.asked = question;
	notices.asked_ms = clock_unix_ms();
	source_ask(notices.source, question, a, 0);
}

static void ready(void *context)
{
	ask(SOURCE_LISTEN, 0);
}

static void change(void *context, const struct change *c)
{
	if (c->kind != CHANGE_LOG)
		return;
	notices.standby = c->flags & CHANGE_FROM_STANDBY;
	if (notices.standby)
		return;
	notices.newest = c->number;
	notices.when_ms = notices.asked_ms;
}

static void answered(void *context)
{
	if (notices.asked == SOURCE_LISTEN) {
		notices.listens = true;
		*notices.fault = '\0';
		log_info("notices come from %s", source_where(notices.source));
		ask(SOURCE_STATE, 0);
		notices.noticed();
	} else if (notices.asked == SOURCE_TELL_LOST) {
		notices.lost_base = 0;
		notices.told();
	} else if (notices.lost_base && !notices.standby) {
		ask(SOURCE_TELL_LOST, notices.lost_base);
	}
}

static void failed(void *context, enum source_failure failure, const char *sentence)
{
	if (strcmp(notices.fault, sentence) != 0)
		log_warn("no notices of new rows, so each may take --poll longer: %s", sentence);
	snprintf(notices.fault, sizeof(notices.fault), "%s", sentence);
	notices.listens = false;
	notices.when_ms = 0;
	/* It may be a standby, on which nobody can listen. */
	if (failure == SOURCE_REFUSED)
		source_pass_over_host(notices.source);
	source_close(notices.source);
	/* Mirrors that lost their server together come back one after the other. */
	loop_timer_start(&notices.pause, PAUSE_MS / 2 + random() % (PAUSE_MS / 2 + 1), 0);
}

static void noticed(void *context)
{
	notices.noticed();
}

static void pause_over(struct loop_timer *timer)
{
	source_connect(notices.source);
}

bool notices_begin(const char *text, void (*on_notice)(void))
{
	static const struct source_calls calls = {.ready = ready,
		.change = change,
		.answered = answered,
		.failed = failed,
		.noticed = noticed};

	loop_timer_init(&notices.pause, pause_over, NULL);
	notices.noticed = on_notice;
	if (!(notices.source = source_new(text, &calls, NULL)))
		return false;
	source_connect(notices.source);
	return true;
}

void notices_end(void)
{
	if (!notices.source)
		return;
	loop_timer_stop(&notices.pause);
	source_close(notices.source);
}

bool notices_are_on(void)
{
	return notices.listens;
}

void notices_ask(void)
{
	if (notices.listens && !notices.when_ms && !source_is_asking(notices.source))
		ask(SOURCE_STATE, 0);
}

bool notices_confirm(int64_t cursor, int64_t *when_ms)
{
	if (!notices.when_ms || notices.newest > cursor)
		return false;
	*when_ms = notices.when_ms;
	notices.when_ms = 0;
	return true;
}

void notices_tell_lost(int64_t base, void (*told)(void))
{
	notices.told = told;
	notices.lost_base = base;
	if (notices.listens && !source_is_asking(notices.source))
		ask(SOURCE_STATE, 0);
}
