#include "stream/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/watch.h"
#include "log/apart.h"
#include "log/place.h"
#include "log/trouble.h"
#include "stream/pace.h"

enum {
	PAUSE_MAX_US = 32768, /* between two looks after one notice */
	FIRST_PAUSE_US = 30,
	FIRST_PAUSE_AFTER_NEWS_US = 125,
	COMMIT_US = 2000000, /* how long after its notice a commit may become visible */
	COMMIT_LEAST_US = 64000, /* the same, after a look that found rows; see look_soon() */
	SAME_FAULT_MS = 60000, /* log the same fault at most this often */
	CHECK_MS = 1000, /* how often to check the files if nothing seems to have changed */
	LOCKED_MS = 5000, /* a commit in rollback mode, with its fsync, takes less */
	WAL = 1, /* the number of the -wal among the watched files */
};

static struct {
	struct eventlog *log;
	struct fanout *fanout;
	const char *path;
	char directory[PATH_MAX];
	char name[256]; /* of the database in the directory */
	struct pace pace;
	struct watch watch;
	struct loop_timer poll;
	struct loop_turn soon; /* the look after a notice */
	struct loop_alarm ladder; /* the further looks after a notice */
	int64_t every_ms; /* of the poll timer */
	int64_t check_ms; /* when to check the files next */
	int64_t pause_us; /* before the next look */
	int64_t noticed_us; /* time of the last notice */
	int64_t until_us; /* when the ladder ends */
	int64_t slow_us; /* how long after their notice commits become visible here */
	int factor; /* by which the pauses grow */
	bool waiting; /* no commit has become visible since the last notice */
	bool local; /* the kernel sees every change of the watched files */
	bool awake;
	bool resting; /* polls are rare */
	bool well; /* the last look at the log succeeded */
	bool quiet; /* the failure of the last look was logged before */
	bool locked; /* the last look found the database locked */
	bool lock_told; /* the fault that was logged is that lock */
	char told[EVENTLOG_SENTENCE_MAX]; /* the last fault that was logged */
	int64_t told_ms; /* when it was logged */
	int64_t locked_ms; /* when the lock was first seen */
	nlink_t links; /* of the file, when its place was last checked */
	unsigned generation; /* of the log, then */
	unsigned doubts; /* doubts about the file's place that were logged, one bit each */
	int watch_error; /* why the files can't be watched; 0: they are */
	struct apart apart; /* processes with another -wal than ours */
} tail;

/* Logs once, when the file is opened, what could keep rows away without any error. */
static void tell_doubts(void)
{
	char sentence[EVENTLOG_SENTENCE_MAX];

	for (int i = 0; i <= PLACE_SHARED; i++)
		if (!place_doubts(i, tail.path, sentence, sizeof(sentence)))
			tail.doubts &= ~(1U << i);
		else if (!(tail.doubts & 1U << i)) {
			tail.doubts |= 1U << i;
			log_warn("%s", sentence);
		}
	if (eventlog_slow(tail.log, sentence, sizeof(sentence)))
		log_warn("%s", sentence);
}

/*
 * Opens the log if it is closed. If another file is in its place, tells the streams, no matter who
 * opened it. After a fault it may be the same file again: then streams continue where they are.
 */
static enum eventlog_status reopen(void)
{
	enum eventlog_status e = eventlog_open(tail.log);

	if (e != EVENTLOG_OK)
		return e;
	if (tail.generation != eventlog_generation(tail.log) ||
		tail.links != eventlog_links(tail.log)) {
		tail.generation = eventlog_generation(tail.log);
		tail.links = eventlog_links(tail.log);
		pace_begin(&tail.pace);
		apart_begin(&tail.apart);
		tell_doubts();
	}
	if (eventlog_was_replaced(tail.log) && fanout_count(tail.fanout) > 0 &&
		(e = fanout_replaced(tail.fanout)) != EVENTLOG_OK) {
		/* The next call opens it again, and then tells all streams. */
		eventlog_close(tail.log);
		return e;
	}
	eventlog_replaced_told(tail.log);
	return EVENTLOG_OK;
}

/* Logs a fault, but not repeatedly: one damaged page may fail while all others can be read. */
static void tell_fault(const char *error)
{
	tail.quiet = !strcmp(error, tail.told) && clock_ms() - tail.told_ms < SAME_FAULT_MS;
	if (tail.quiet)
		return;
	log_error("%s", error);
	snprintf(tail.told, sizeof(tail.told), "%s", error);
	tail.told_ms = clock_ms();
}

/* Logs a lock that lasts longer than some seconds: somebody must remove it. */
static void note_locked(void)
{
	char sentence[EVENTLOG_SENTENCE_MAX];

	if (!tail.locked)
		tail.locked_ms = clock_ms();
	tail.locked = true;
	if (!tail.well || clock_ms() - tail.locked_ms < LOCKED_MS)
		return;
	trouble_locked(tail.path, sentence, sizeof(sentence));
	tell_fault(sentence);
	tail.lock_told = true;
	tail.well = false;
}

/*
 * Logs once that the log can't be read, and once that it can be read again. It can be read again
 * when rows were read, not when it was opened.
 */
static enum eventlog_status note(enum eventlog_status e)
{
	/* Readers see a closed log as a fault, even if it is closed because it was locked. */
	if (e == EVENTLOG_FAULT && eventlog_state(tail.log) == EVENTLOG_BUSY)
		e = EVENTLOG_BUSY;
	if (e == EVENTLOG_BUSY) {
		note_locked();
		return e;
	}
	tail.locked = false;
	if (e == EVENTLOG_OK && !tail.well && !tail.quiet)
		log_info("the log can be read");
	if (e == EVENTLOG_FAULT && (tail.well || tail.lock_told))
		tell_fault(eventlog_error(tail.log));
	tail.lock_told = false;
	tail.well = e == EVENTLOG_OK;
	return e;
}

/*
 * The files to watch are in the directory of the file itself: SQLite keeps the write-ahead log
 * beside it, even if the path is a symbolic link.
 */
static bool split_path(void)
{
	char real[PATH_MAX];
	const char *path = realpath(tail.path, real) ? real : tail.path;
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int length = slash ? snprintf(tail.directory, sizeof(tail.directory), "%.*s",
				     slash == path ? 1 : (int)(slash - path), path)
			   : snprintf(tail.directory, sizeof(tail.directory), ".");

	return length > 0 && (size_t)length < sizeof(tail.directory) &&
	       (size_t)snprintf(tail.name, sizeof(tail.name), "%s", name) < sizeof(tail.name);
}

/* inotify_init1(2) fails with EMFILE for two reasons. */
static const char *cure_too_many(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);

	if (fd < 0)
		return "raise the open-files limit";
	close(fd);
	return "raise the sysctl fs.inotify.max_user_instances";
}

/* Logs that there are no notices. The poll timer still finds the rows. */
static void tell_unwatched(int error)
{
	const char *cure = error == ENOSPC   ? "raise the sysctl fs.inotify.max_user_watches"
			   : error == EMFILE ? cure_too_many()
			   : error == EACCES ? "let rowtail's user read the directory"
					     : NULL;

	if (cure)
		log_warn(
			"files in %s cannot be watched for changes (%s), so rowtail finds each row "
			"up to %lld ms later (--poll): %s",
			tail.directory, strerror(error), (long long)tail.pace.poll_ms, cure);
	else
		log_debug("%s cannot be watched (%s); polling", tail.directory, strerror(error));
}

/* One commit makes several notices. They cause one look, after all of them. */
static void noticed(struct watch *watch, const char *name, bool appeared)
{
	if (appeared)
		tail.check_ms = 0;
	loop_turn_want(&tail.soon);
}

/* Watches the database and the files beside it that SQLite writes at a commit. */
static bool watch_files(void)
{
	static const char *const endings[WATCH_FILES] = {"", [WAL] = "-wal", "-journal"};
	char names[WATCH_FILES][sizeof(tail.name) + 16];
	const char *all[WATCH_FILES];

	for (int i = 0; i < WATCH_FILES; i++) {
		snprintf(names[i], sizeof(names[i]), "%s%s", tail.name, endings[i]);
		all[i] = names[i];
	}
	return watch_begin(&tail.watch, tail.directory, all, noticed);
}

static void begin_watch(void)
{
	int error;

	if (tail.watch.begun)
		return;
	error = watch_files() ? 0 : tail.watch.error;
	if (error && error != tail.watch_error)
		tell_unwatched(error);
	tail.watch_error = error;
	tail.local = !error && place_is_local(tail.directory);
	pace_noticed(&tail.pace, clock_ms());
}

/* The file may be in another place now: a link was changed, or its directory was created again. */
static void watch_anew(void)
{
	watch_end(&tail.watch);
	if (split_path() && tail.awake)
		begin_watch();
}

/*
 * While the files are watched, the write-ahead log's index tells of commits, and the directory's
 * watch of files that were removed. Then the rest is checked less often.
 */
static bool is_check_due(void)
{
	return tail.watch_error || !tail.awake || !tail.well || tail.locked ||
	       clock_ms() >= tail.check_ms;
}

/* Makes sure that the open file is the one at the path. */
static enum eventlog_status check_file(void)
{
	bool all = is_check_due();
	enum eventlog_status e;

	if (all) {
		tail.check_ms = clock_ms() + CHECK_MS;
		fanout_doubt(tail.fanout);
	}

	/* Another reader met the fault: a stream in replay, or a look at the grants. */
	if (eventlog_state(tail.log) == EVENTLOG_FAULT)
		note(EVENTLOG_FAULT);
	else if (eventlog_met_row(tail.log) && tail.well)
		tell_fault(eventlog_error(tail.log));
	switch (eventlog_file(tail.log, all)) {
	case EVENTLOG_GONE:
		/* It may have been moved and may come back, so its streams wait. */
		if (tail.well)
			log_warn("%s/%s is gone; waiting for it", tail.directory, tail.name);
		tail.well = tail.quiet = false;
		return EVENTLOG_BUSY;
	case EVENTLOG_REPLACED:
		log_warn("%s/%s was replaced by another file", tail.directory, tail.name);
		eventlog_close(tail.log);
		watch_anew();
		break;
	case EVENTLOG_STALE:
		log_warn("%s/%s-wal or -shm was removed and created again; never remove these two "
			 "files, they belong to the database",
			tail.directory, tail.name);
		eventlog_close(tail.log);
		break;
	case EVENTLOG_SAME:
		break;
	}
	if ((e = reopen()) != EVENTLOG_OK)
		note(e);
	return e;
}

/* why: the counter of what led to this look. */
static enum eventlog_status look(bool *news, enum metric why)
{
	enum eventlog_status e = note(fanout_look(tail.fanout, news));

	if (*news)
		metrics_add(why, 1);
	if (*news && why == METRIC_SEEN_BY_WATCH)
		pace_found(&tail.pace);
	return e;
}

/*
 * May polls be rare? Only if all is well, every commit would be noticed, and none is on its way.
 * A writer may be stopped between its last write, which gives a notice, and the end of its commit.
 */
static bool may_rest(void)
{
	return pace_may_rest(&tail.pace, clock_ms()) && tail.local &&
	       watch_sees(&tail.watch, WAL) && tail.well && !tail.locked &&
	       !eventlog_is_view(tail.log) && !fanout_is_look_due(tail.fanout) &&
	       (tail.resting || fanout_is_current(tail.fanout));
}

void tail_set_pace(void)
{
	int64_t every_ms;

	tail.resting = tail.awake && may_rest();
	every_ms = tail.resting ? PACE_RARE_MS : tail.pace.poll_ms;
	if (every_ms == tail.every_ms || !tail.awake)
		return;
	tail.every_ms = every_ms;
	loop_timer_start(&tail.poll, every_ms, every_ms);
}

/* Schedules the next look after a longer pause than the last, unless the ladder ends. */
static void climb(void)
{
	if (clock_us() >= tail.until_us)
		return;
	loop_alarm_start(&tail.ladder, tail.pause_us);
	tail.pause_us *= tail.factor;
	if (tail.pause_us > PAUSE_MAX_US)
		tail.pause_us = PAUSE_MAX_US;
}

/*
 * Notes how long commits take here, when the awaited commit is visible. A slow one counts at once,
 * fast ones lower the value again.
 */
static void note_delay(void)
{
	int64_t delay_us = clock_us() - tail.noticed_us;

	if (!tail.waiting)
		return;
	tail.waiting = false;
	if (delay_us > tail.slow_us)
		tail.slow_us = delay_us;
	else
		tail.slow_us -= (tail.slow_us - delay_us) / 8;
}

/*
 * Looks again. If it finds rows, the ladder ends: the look before found none, so this commit became
 * visible after the notice. Writers take turns: the next one begins later, with its own notice.
 */
static void look_again(struct loop_alarm *alarm)
{
	bool news = false;

	look(&news, METRIC_SEEN_BY_WATCH);
	if (news)
		note_delay();
	else if (!fanout_is_current(tail.fanout))
		climb();
}

/*
 * The first look after a notice. If it finds rows, and the write-ahead log shows that no further
 * commit is on its way, that was all. Otherwise, if it finds nothing, the commit of that notice is
 * still to come. Then tail waits for it as long as any fsync takes. If it finds rows, the notice
 * may belong to a second commit that is not visible yet. Then tail also looks for that one, as long
 * as commits take here.
 */
static void look_soon(struct loop_turn *turn)
{
	int64_t wait_us = COMMIT_US;
	bool news = false;

	if (!tail.awake)
		return;
	pace_noticed(&tail.pace, clock_ms());
	tail_set_pace();
	look(&news, METRIC_SEEN_BY_WATCH);
	if (news)
		note_delay();
	tail.waiting = false;
	if (news && fanout_is_current(tail.fanout)) {
		loop_alarm_stop(&tail.ladder);
		return;
	}
	tail.waiting = !news;
	tail.noticed_us = clock_us();
	tail.pause_us = FIRST_PAUSE_US;
	tail.factor = 2;
	if (news) {
		tail.pause_us = FIRST_PAUSE_AFTER_NEWS_US;
		tail.factor = 4;
		wait_us = 4 * tail.slow_us > COMMIT_LEAST_US ? 4 * tail.slow_us : COMMIT_LEAST_US;
	}
	tail.until_us = tail.noticed_us + wait_us;
	climb();
}

static void look_for_others(void)
{
	char sentence[EVENTLOG_SENTENCE_MAX];

	if (apart_look(&tail.apart, tail.path, clock_ms(), sentence, sizeof(sentence)) &&
		eventlog_is_wal(tail.log))
		log_warn("%s", sentence);
}

/*
 * Between two checks of the files, the write-ahead log's index in memory tells whether there is a
 * commit, also one that no notice has announced. Then most polls need no system call.
 */
static bool is_poll_needed(void)
{
	return is_check_due() || eventlog_is_view(tail.log) || fanout_is_look_due(tail.fanout);
}

static bool poll_files(void)
{
	bool news = false;

	begin_watch();
	if (eventlog_is_view(tail.log))
		fanout_distrust(tail.fanout);
	if (check_file() == EVENTLOG_OK)
		look(&news, METRIC_SEEN_BY_POLL);
	look_for_others();
	return news;
}

static void poll_due(struct loop_timer *timer)
{
	if (tail.resting)
		tail.check_ms = 0;
	pace_polled(&tail.pace, is_poll_needed() && poll_files(), clock_ms());
	tail_set_pace();
}

bool tail_init(
	struct eventlog *log, struct fanout *fanout, const char *path, int64_t poll_ms, bool always)
{
	tail.log = log;
	tail.fanout = fanout;
	pace_init(&tail.pace, poll_ms, always);
	tail.well = true;
	loop_timer_init(&tail.poll, poll_due, NULL);
	loop_turn_init(&tail.soon, look_soon, NULL);
	tail.path = path;
	if (eventlog_is_open(log))
		reopen();
	return split_path() && loop_alarm_init(&tail.ladder, look_again, NULL);
}

enum eventlog_status tail_wake(void)
{
	enum eventlog_status e = check_file();
	bool news = false;

	if (e == EVENTLOG_OK && !tail.awake)
		e = note(fanout_wake(tail.fanout));
	tail_set_pace();
	if (e == EVENTLOG_FAULT || tail.awake)
		return e;
	tail.awake = true;
	split_path();
	begin_watch();
	tail_set_pace();
	return e == EVENTLOG_OK ? look(&news, METRIC_SEEN_BY_POLL) : e;
}

void tail_sleep(void)
{
	tail.awake = tail.waiting = false;
	loop_alarm_stop(&tail.ladder);
	loop_timer_stop(&tail.poll);
	tail.every_ms = 0;
	watch_end(&tail.watch);
}

const char *tail_trouble(void)
{
	return tail.awake && !tail.well ? eventlog_error(tail.log) : NULL;
}
