/*
 * What is to be done every second, between two questions: is the file still there, can it be read,
 * is it too long?
 */
#include "mirror/keeper_impl.h"

#include <time.h>

#include "base/clock.h"
#include "base/logging.h"

enum {
	PRUNE_MS = 10, /* of each PRUNE_EACH_MS, as long as there is more to delete */
	PRUNE_EACH_MS = 50,
};

void keeper_prune(void)
{
	char oldest[32];
	struct tm utc;
	time_t then = (time_t)((clock_unix_ms() - keeper.config->keep_ms) / 1000);
	bool more = true;
	int64_t until_ms = clock_ms() + PRUNE_MS;

	strftime(oldest, sizeof(oldest), "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&then, &utc));
	while (more && (keeper.config->once || clock_ms() < until_ms)) {
		enum copy_status s = copy_prune(keeper.copy, keeper.config->keep_rows,
			keeper.config->keep_ms ? oldest : NULL, keeper.config->once, &more);

		if (s == COPY_BUSY)
			return;
		if (s != COPY_OK) {
			keeper_copy_failed(s);
			return;
		}
	}
	if (more)
		loop_timer_start(&keeper.prune, PRUNE_EACH_MS, 0);
}

void keeper_prune_due(struct loop_timer *timer)
{
	if (!copy_is_open(keeper.copy))
		return;
	if (keeper.phase == RESTING || keeper.phase == AWAY)
		keeper_prune();
	else
		keeper.due = true;
}

/* PATH is no longer the file that is open. */
static void leave_file(const char *what)
{
	log_warn("%s %s", keeper.config->db, what);
	copy_close(keeper.copy);
	loop_timer_stop(&keeper.poll);
	if (keeper.phase == RESTING)
		keeper_begin_work();
}

void keeper_do_chores(void)
{
	enum copy_status s;

	keeper.due = false;
	if (!copy_is_open(keeper.copy))
		return;
	s = copy_settle(keeper.copy);
	if (s == COPY_TAKEN)
		keeper_copy_failed(s);
	else if (!copy_is_open(keeper.copy))
		leave_file("leads to another file now");
	else if (!copy_is_in_place(keeper.copy))
		leave_file("was removed or replaced");
	else if ((s = copy_examine(keeper.copy)) != COPY_OK)
		keeper_copy_failed(s);
	else
		keeper_prune();
}
