#include "base/clock.h"
#include "stream/fanout_impl.h"

enum {
	LOOK_US = 10000, /* longest time for new rows; then others come */
	WAITED_US = 1000000,
};

/* Checks a commit without new rows: a checkpoint, a grant, or a log that was restored in place. */
static enum eventlog_status check_restored(struct fanout *f)
{
	struct eventlog_bounds bounds;
	enum eventlog_status e = eventlog_bounds(f->log, &bounds);

	return e == EVENTLOG_OK && bounds.newest < f->fed ? fanout_replaced(f) : e;
}

/* Before a read: was another log, with more rows, restored into the same file? */
static enum eventlog_status check_mark(struct fanout *f, bool *same)
{
	enum eventlog_status e = eventlog_is_same(f->log, f->marked_id, &f->mark, same);

	return e == EVENTLOG_OK && !*same ? fanout_replaced(f) : e;
}

/* The numbers of an earlier connection mean nothing for this one. */
static void note_generation(struct fanout *f)
{
	if (f->generation == eventlog_generation(f->log))
		return;
	f->generation = eventlog_generation(f->log);
	f->version = f->checked = -1;
}

/* Rows of a view may vanish without a commit, as time goes by. */
static enum eventlog_status check_log(struct fanout *f, bool *same)
{
	int64_t known = f->fed > f->marked_id ? f->fed : f->marked_id;
	struct eventlog_bounds bounds;
	enum eventlog_status e = check_mark(f, same);

	if (e != EVENTLOG_OK || !*same || (f->checked < 0 && eventlog_is_view(f->log)))
		return e;
	e = eventlog_bounds(f->log, &bounds);
	*same = e != EVENTLOG_OK || bounds.newest >= known;
	return *same ? e : fanout_replaced(f);
}

enum eventlog_status fanout_begin(struct fanout *f, bool *same)
{
	int64_t version;
	enum eventlog_status e = eventlog_hold(f->log);

	*same = true;
	if (e != EVENTLOG_OK || (e = eventlog_version(f->log, &version)) != EVENTLOG_OK)
		return e;
	note_generation(f);
	if (version != f->checked && (e = check_log(f, same)) == EVENTLOG_OK)
		f->checked = version;
	return e;
}

enum eventlog_status fanout_note_known(struct fanout *f, int64_t id)
{
	if (id <= f->marked_id)
		return EVENTLOG_OK;
	f->marked_id = id;
	f->marked_length = -1;
	return eventlog_mark(f->log, id, -1, &f->mark);
}

enum eventlog_status fanout_begin_opening(struct fanout *f, struct opening *o,
	const struct filter *filter, const struct position *asked, int64_t max_replay)
{
	bool same;
	/* One transaction: a crowd that comes back opens thousands of streams at once. */
	enum eventlog_status released, e = fanout_begin(f, &same);

	if (e == EVENTLOG_OK)
		e = opening_begin(o, f->log, filter, asked, max_replay);
	if (e == EVENTLOG_OK && o->done)
		e = fanout_note_known(f, o->id);
	released = eventlog_release(f->log);
	return e != EVENTLOG_OK ? e : released;
}

bool fanout_is_look_due(struct fanout *f)
{
	uint64_t commit;

	return f->waiting.head || !f->current || f->distrusted ||
	       f->generation != eventlog_generation(f->log) ||
	       !eventlog_last_commit(f->log, &commit, NULL) || commit != f->commit;
}

bool fanout_is_current(struct fanout *f)
{
	uint64_t commit;
	bool writing;

	return f->current && eventlog_last_commit(f->log, &commit, &writing) &&
	       commit == f->commit && !writing;
}

void fanout_doubt(struct fanout *f)
{
	f->current = false;
}

/*
 * Begins a look, in a transaction. *due: there is something to read; *known: a commit has become
 * visible since the last look.
 */
static enum eventlog_status begin_look(
	struct fanout *f, int64_t *version, bool *due, bool *known, bool *news)
{
	enum eventlog_status e;
	bool same = true;

	note_generation(f);
	if ((e = eventlog_hold(f->log)) != EVENTLOG_OK ||
		(e = eventlog_version(f->log, version)) != EVENTLOG_OK)
		return e;
	*known = f->version >= 0 && *version != f->version;
	*due = *version != f->version || f->distrusted;
	f->distrusted = false;
	/* Check a reopened file, too: it may have been restored while unreadable. */
	if (*version != f->version && ((e = check_mark(f, &same)) != EVENTLOG_OK || !same)) {
		*news = !same;
		*due = false;
	}
	return e;
}

/*
 * Begins the transaction of one more batch. *same: it is still the log of the batch before, which
 * is not certain: another one may have been restored between the two transactions.
 */
static enum eventlog_status begin_batch(struct fanout *f, bool *same)
{
	enum eventlog_status e = eventlog_hold(f->log);

	return e == EVENTLOG_OK ? check_mark(f, same) : e;
}

/* Reads and sends what is new, for some milliseconds at most. Ends the transaction. */
static enum eventlog_status read_news(struct fanout *f, struct fanout_progress *progress)
{
	int64_t until = clock_us() + LOOK_US;
	enum eventlog_status e, mark = EVENTLOG_OK;
	bool same = true;

	f->version = -1;
	e = fanout_feed(f, progress);
	while (e == EVENTLOG_OK && progress->more && clock_us() < until) {
		if ((e = begin_batch(f, &same)) != EVENTLOG_OK || !same)
			break;
		e = fanout_feed(f, progress);
	}
	if (progress->rows > 0 && !progress->marked && eventlog_is_open(f->log))
		mark = eventlog_mark(f->log, f->marked_id, f->marked_length, &f->mark);
	return e != EVENTLOG_OK ? e : mark;
}

static enum eventlog_status look(struct fanout *f, bool *news)
{
	struct fanout_progress progress = {0};
	int64_t version = -1;
	bool due = false, known = false;
	enum eventlog_status released, e = begin_look(f, &version, &due, &known, news);

	if (e == EVENTLOG_OK && due) {
		e = read_news(f, &progress);
		*news = progress.rows > 0 || known;
		if (e == EVENTLOG_OK && progress.more) {
			f->unread = true;
			f->calls.want_turn(f->calls.context);
		} else if (e == EVENTLOG_OK) {
			f->version = version;
			if (progress.rows == 0 && (known || !eventlog_is_view(f->log)))
				e = check_restored(f);
		}
	}
	released = eventlog_release(f->log);
	return e != EVENTLOG_OK ? e : released;
}

/*
 * May the waiting streams be called although a row cannot be read? Those that wait for earlier rows
 * can continue. The others try in vain, so this must not happen too often.
 */
static bool may_call(struct fanout *f)
{
	if (!eventlog_is_open(f->log) || clock_us() - f->waited_us < WAITED_US)
		return false;
	f->waited_us = clock_us();
	return true;
}

enum eventlog_status fanout_look(struct fanout *f, bool *news)
{
	enum eventlog_status e;
	uint64_t commit;
	bool known;

	*news = false;
	if (!fanout_is_look_due(f))
		return EVENTLOG_OK;
	/* The number is from before the look, so a commit during it counts as new afterwards. */
	known = eventlog_last_commit(f->log, &commit, NULL);
	f->unread = false;
	e = look(f, news);
	f->current = known && e == EVENTLOG_OK && !f->unread && f->version >= 0;
	f->commit = known ? commit : 0;
	if (e == EVENTLOG_OK || may_call(f))
		while (f->waiting.head)
			fanout_enqueue(f, f->waiting.head);
	return e;
}

void fanout_distrust(struct fanout *f)
{
	f->distrusted = true;
}

/* Begins at this row: the newest row identifies the log. */
static enum eventlog_status begin_at(struct fanout *f, int64_t newest)
{
	fanout_reset_windows(f, newest);
	f->version = -1;
	f->current = false;
	f->marked_id = newest;
	f->marked_length = -1;
	return eventlog_mark(f->log, newest, -1, &f->mark);
}

enum eventlog_status fanout_wake(struct fanout *f)
{
	struct eventlog_bounds bounds;
	enum eventlog_status e = eventlog_bounds(f->log, &bounds);

	return e == EVENTLOG_OK ? begin_at(f, bounds.newest) : e;
}

enum eventlog_status fanout_replaced(struct fanout *f)
{
	struct eventlog_bounds bounds;
	enum eventlog_status e = eventlog_bounds(f->log, &bounds);

	if (e != EVENTLOG_OK)
		return e;
	for (int round = 0; round < FANOUT_ROUNDS; round++)
		for (struct subscriber *s = f->rounds[round]; s; s = s->all_next)
			s->replaced = true;
	fanout_look_up_all_ends(f);
	return begin_at(f, bounds.newest);
}
