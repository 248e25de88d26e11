/* What the system gives: the file system, file watches, descriptors. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "check/query.h"
#include "log/place.h"
#include "server/accept.h"

/* In some places, rows never arrive and no error is reported. */
void section_place(struct checking *c)
{
	char sentence[EVENTLOG_SENTENCE_MAX], type[64];
	bool any = false;

	for (int i = 0; i < PLACE_DOUBTS; i++) {
		if (!place_doubts(i, c->config->db, sentence, sizeof(sentence)))
			continue;
		any = true;
		if (i < PLACE_SHARED)
			report_wrong(c->report, EX_CONFIG, NULL, "%s", sentence);
		else
			report_note(c->report, NULL, "%s", sentence);
	}
	place_type(c->config->db, type, sizeof(type));
	if (!any && *type && access(c->real, F_OK) == 0)
		report_ok(c->report, "the file system is %s", type);
}

/* A limit of the kernel; -1: unknown. */
static long long read_limit(const char *name)
{
	char path[128];
	long long limit = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", name);
	if ((file = fopen(path, "re"))) {
		if (fscanf(file, "%lld", &limit) != 1)
			limit = -1;
		fclose(file);
	}
	return limit;
}

/* Why the files cannot be watched; the sysctl that helps, or NULL. */
static const char *cure_watch(char *cure, int error)
{
	const char *name = error == EMFILE ? "max_user_instances" : "max_user_watches";
	long long limit = read_limit(name);

	if (error != EMFILE && error != ENOSPC)
		return NULL;
	snprintf(cure, REPORT_CURE_MAX, "sysctl -w fs.inotify.%s=%lld", name,
		limit > 0 ? 2 * limit : 1024);
	return cure;
}

/* Without notices rows arrive later, and nothing else tells why. */
void section_watch(struct checking *c)
{
	char cure[REPORT_CURE_MAX];
	char copy[PATH_MAX];
	int fd = inotify_init1(IN_CLOEXEC);
	long long instances = read_limit("max_user_instances");

	snprintf(copy, sizeof(copy), "%s", c->real);
	if (fd >= 0 && inotify_add_watch(fd, dirname(copy), IN_MODIFY) >= 0)
		report_ok(c->report,
			"the database's files can be watched: each user of this machine has %lld "
			"instances, and %lld watches",
			instances, read_limit("max_user_watches"));
	else if (errno != ENOENT)
		report_note(c->report, cure_watch(cure, errno),
			"rowtail cannot watch the database's files for changes (%s), so it finds "
			"each "
			"row up to %lld ms later (--poll): check the sysctls "
			"fs.inotify.max_user_instances and max_user_watches, and let rowtail's "
			"user "
			"read the directory",
			strerror(errno), (long long)c->config->poll_ms);
	if (instances >= 0 && c->config->processes > instances)
		report_note(c->report, NULL,
			"--processes %lld needs as many inotify instances, and fs.inotify."
			"max_user_instances is %lld",
			(long long)c->config->processes, instances);
	if (fd >= 0)
		close(fd);
}

/* How many streams fit under a limit, in all processes. */
static long long fits(const struct checking *c, rlim_t files)
{
	return (long long)(accept_streams_fit((int64_t)files) * c->config->processes);
}

void section_limits(struct checking *c)
{
	long long wanted = (long long)c->config->max_streams;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max == RLIM_INFINITY || fits(c, limit.rlim_max) >= wanted)
		report_ok(c->report,
			"the open-files limit allows the %lld streams of --max-streams", wanted);
	else
		report_note(c->report, NULL,
			"the open-files limit is %lld: only %lld streams fit, not %lld; raise it "
			"(ulimit -n, LimitNOFILE=) or lower --max-streams",
			(long long)limit.rlim_max, fits(c, limit.rlim_max), wanted);
}
