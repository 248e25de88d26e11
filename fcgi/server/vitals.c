#include "server/vitals.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/logging.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "server/crew.h"
#include "server/journal.h"

enum { COUNT_MS = 5000 }; /* counting thousands of descriptors takes milliseconds */

static struct {
	const struct fanout *fanout;
	struct loop_timer timer;
	struct history history;
	int64_t counted_ms, descriptors;
} vitals;

static void sample(struct loop_timer *timer)
{
	struct history_now now = {
		.streams = crew_streams(), .records = metrics_get(METRIC_RECORDS_SENT)};

	log_settle(false);
	journal_settle();
	crew_set_lag(fanout_lag(vitals.fanout));
	now.lag = (uint64_t)crew_lag();
	metrics_delivered(&now.delivered);
	history_add(&vitals.history, clock_ms(), &now);
}

static void stalled(int64_t us)
{
	metrics_add(METRIC_LOOP_STALLS, 1);
	metrics_add(METRIC_LOOP_STALLED_US, (uint64_t)us);
}

void vitals_begin(const struct fanout *fanout)
{
	vitals.fanout = fanout;
	loop_on_long_round(METRIC_STALL_US, stalled);
	loop_timer_init(&vitals.timer, sample, NULL);
	loop_timer_start(&vitals.timer, 0, HISTORY_STEP_MS);
}

const struct history *vitals_history(void)
{
	return &vitals.history;
}

int64_t vitals_memory(void)
{
	char text[128], why[FILE_WHY_MAX];
	ssize_t length = file_read("/proc/self/statm", text, sizeof(text) - 1, why);
	long long size, resident;

	if (length < 0 || length >= (ssize_t)sizeof(text))
		return -1;
	text[length] = '\0';
	if (sscanf(text, "%lld %lld", &size, &resident) != 2)
		return -1;
	return resident * sysconf(_SC_PAGESIZE);
}

static int64_t count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int64_t count = -1; /* without the directory's own */

	if (!directory)
		return -1;
	while ((entry = readdir(directory)))
		count += *entry->d_name != '.';
	closedir(directory);
	return count;
}

int64_t vitals_descriptors(void)
{
	int64_t now_ms = clock_ms();

	if (vitals.counted_ms && now_ms - vitals.counted_ms < COUNT_MS)
		return vitals.descriptors;
	vitals.descriptors = count_descriptors();
	vitals.counted_ms = now_ms;
	return vitals.descriptors;
}

int64_t vitals_max_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return -1;
	return (int64_t)limit.rlim_cur;
}

/* SQLite keeps it beside the file itself, even if the path is a symbolic link. */
int64_t vitals_wal(const char *path)
{
	char real[PATH_MAX], wal[PATH_MAX + 8];
	struct stat st;

	snprintf(wal, sizeof(wal), "%s-wal", realpath(path, real) ? real : path);
	return stat(wal, &st) == 0 ? (int64_t)st.st_size : -1;
}
