#include "server/check_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "access/access.h"
#include "base/who.h"
#include "log/database.h"
#include "log/eventlog.h"
#include "log/place.h"
#include "log/trouble.h"
#include "protocol/http.h"
#include "server/accept.h"
#include "server/listen.h"

enum {
	LOCKED_MS = 3000, /* a commit in rollback mode, with its fsync, takes less */
	LOCKED_MOMENT_MS = 50,
	ROWS_READ = 256, /* of the oldest and of the newest ids */
	APART_MOMENT_MS = 200, /* opening a database takes less */
};

__attribute__((format(printf, 2, 0))) static void say(
	const char *mark, const char *format, va_list args)
{
	printf("%-6s", mark);
	vprintf(format, args);
	putchar('\n');
}

void check_good(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("ok", format, args);
	va_end(args);
}

void check_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("note", format, args);
	va_end(args);
}

void check_wrong(struct checking *c, int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("WRONG", format, args);
	va_end(args);
	if (!c->status)
		c->status = status;
}

/* Checks a file beside the database, which only exists while a program has the database open. */
static void check_beside(struct checking *c, const char *ending)
{
	struct who_user owner, us;
	char path[PATH_MAX];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s%s", c->real, ending) >= sizeof(path) ||
		stat(path, &st) < 0)
		return;
	if (access(path, R_OK) < 0)
		check_wrong(c, EX_NOINPUT,
			"%s belongs to %s, and %s cannot read it: give the writers and rowtail a "
			"common group, and the directory mode 2770",
			path, who_user(&owner, st.st_uid), who_user(&us, geteuid()));
	else if (access(path, W_OK) < 0 && !strcmp(ending, "-shm"))
		check_note("%s cannot be written by %s: rowtail reads only while a writer has the "
			   "database "
			   "open",
			path, who_user(&us, geteuid()));
}

/*
 * SQLite creates the -wal and -shm with the mode of the database. If rowtail creates them, its
 * group can write them only if the database's mode allows it.
 */
static void check_mode(const struct checking *c, const struct stat *st)
{
	struct who_user us;

	/* If root creates them, SQLite gives them the owner of the database. */
	if (geteuid() == 0 || st->st_uid == geteuid() || st->st_mode & (S_IWGRP | S_IWOTH))
		return;
	check_note("%s has mode %04o: if rowtail creates the -wal and -shm beside it, only %s can "
		   "write "
		   "them, and writers are locked out; chmod 660 fixes it",
		c->config->db, st->st_mode & 07777, who_user(&us, geteuid()));
}

static void check_directory(const struct checking *c)
{
	struct who_user us;
	char copy[PATH_MAX];
	const char *directory;

	snprintf(copy, sizeof(copy), "%s", c->real);
	directory = dirname(copy);
	if (access(directory, W_OK) < 0)
		check_note(
			"%s cannot be written by %s: in WAL mode rowtail then reads only while the "
			"-wal and -shm files exist, that is, while a writer has the database open; "
			"mode 2770 with a common group fixes it",
			directory, who_user(&us, geteuid()));
}

static void check_files(struct checking *c)
{
	struct who_user owner, us;
	struct stat st;

	/* If it can't even be examined, the log reports why. */
	if (stat(c->config->db, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (geteuid() == 0 && st.st_uid != 0)
		check_note("you are running this as root, who may do everything; to check as "
			   "rowtail's "
			   "own "
			   "user: runuser -u USER -- rowtail --check, with that user's name");
	if (access(c->config->db, R_OK) < 0)
		check_wrong(c, EX_NOINPUT,
			"%s belongs to %s, and %s cannot read it: chgrp it to a group of both, "
			"and chmod 660",
			c->config->db, who_user(&owner, st.st_uid), who_user(&us, geteuid()));
	else
		check_good(
			"the mode of %s lets %s read it", c->config->db, who_user(&us, geteuid()));
	check_mode(c, &st);
	check_directory(c);
	check_beside(c, "-wal");
	check_beside(c, "-shm");
}

/* Opens the log. Waits for a lock as long as a commit may take; a longer lock is wrong. */
static enum eventlog_status open_log(struct checking *c, struct eventlog *log)
{
	const struct timespec moment = {.tv_nsec = LOCKED_MOMENT_MS * 1000000L};
	char sentence[EVENTLOG_SENTENCE_MAX];
	enum eventlog_status e = eventlog_open(log);

	for (int ms = 0; e == EVENTLOG_BUSY && ms < LOCKED_MS; ms += LOCKED_MOMENT_MS) {
		nanosleep(&moment, NULL);
		e = eventlog_open(log);
	}
	if (e == EVENTLOG_BUSY) {
		trouble_locked(c->config->db, sentence, sizeof(sentence));
		check_wrong(c, EX_CONFIG, "%s", sentence);
	} else if (e == EVENTLOG_FAULT) {
		check_wrong(c, access(c->config->db, R_OK) < 0 ? EX_NOINPUT : EX_CONFIG, "%s",
			eventlog_error(log));
	}
	return e;
}

/* Does a process write with another -wal? Called while our own -wal and -shm exist. */
static void check_order(struct eventlog *log)
{
	char sentence[EVENTLOG_SENTENCE_MAX];

	if (eventlog_slow(log, sentence, sizeof(sentence)))
		check_note("%s", sentence);
}

static void check_others(struct checking *c, struct eventlog *log)
{
	const struct timespec moment = {.tv_nsec = APART_MOMENT_MS * 1000000L};
	char sentence[EVENTLOG_SENTENCE_MAX];
	pid_t suspect = 0;

	if (!eventlog_is_wal(log))
		return;
	trouble_is_apart(c->config->db, &suspect, sentence, sizeof(sentence));
	if (!suspect)
		return;
	nanosleep(&moment, NULL);
	if (trouble_is_apart(c->config->db, &suspect, sentence, sizeof(sentence)))
		check_wrong(c, EX_CONFIG, "%s", sentence);
}

/* The time of the last row shows whether a writer uses another file than intended. */
static void tell_bounds(
	const struct checking *c, struct database *db, const struct eventlog_bounds *bounds)
{
	char last[64] = "";

	if (!strcasecmp(c->config->table, "events"))
		check_query(db, "SELECT created_at FROM events ORDER BY id DESC LIMIT 1", NULL,
			last, sizeof(last));
	if (bounds->oldest > bounds->newest)
		check_good("%s can be followed: it has no rows yet, and the file is %s",
			c->config->table, c->real);
	else
		check_good("%s can be followed: oldest id %lld, newest %lld%s%s", c->config->table,
			(long long)bounds->oldest, (long long)bounds->newest, *last ? ", of " : "",
			last);
}

static bool pass_over(void *context, const struct row *row)
{
	return true;
}

/* A view or a damaged file can fail for some rows only, so this reads the oldest and the newest. */
static void check_rows(
	struct checking *c, struct eventlog *log, const struct eventlog_bounds *bounds)
{
	const int64_t after[] = {bounds->oldest - 1, bounds->newest - ROWS_READ};

	for (int i = 0; i < 2; i++) {
		struct eventlog_batch batch = {0};

		if (eventlog_read(log, NULL, after[i] > 0 ? after[i] : 0, EVENTLOG_TOLD_ALL,
			    ROWS_READ, pass_over, NULL, &batch) == EVENTLOG_FAULT) {
			check_wrong(c, EX_CONFIG, "%s", eventlog_error(log));
			return;
		}
	}
}

static void check_log(struct checking *c)
{
	struct eventlog *log = eventlog_new(c->config->db, c->config->table);
	struct eventlog_bounds bounds;

	if (!log) {
		check_wrong(c, EX_OSERR, "there is not enough memory");
		return;
	}
	if (open_log(c, log) == EVENTLOG_OK) {
		if (eventlog_bounds(log, &bounds) == EVENTLOG_OK)
			tell_bounds(c, eventlog_database(log), &bounds);
		check_journal(eventlog_database(log));
		check_schema(c, eventlog_database(log));
		check_form(c, eventlog_database(log));
		check_tracked(c, eventlog_database(log));
		check_order(log);
		check_grants(c, eventlog_database(log));
		check_others(c, log);
		if (eventlog_bounds(log, &bounds) == EVENTLOG_OK)
			check_rows(c, log, &bounds);
	}
	eventlog_free(log);
}

/* In some places, rows never arrive and no error is reported. */
static void check_place(struct checking *c)
{
	char sentence[EVENTLOG_SENTENCE_MAX];

	for (int i = 0; i < PLACE_DOUBTS; i++) {
		if (!place_doubts(i, c->config->db, sentence, sizeof(sentence)))
			continue;
		if (i < PLACE_SHARED)
			check_wrong(c, EX_CONFIG, "%s", sentence);
		else
			check_note("%s", sentence);
	}
}

/* Without notices rows arrive later, and nothing else tells why. */
static void check_watch(const struct checking *c)
{
	char copy[PATH_MAX];
	int fd = inotify_init1(IN_CLOEXEC);

	snprintf(copy, sizeof(copy), "%s", c->real);
	if ((fd < 0 || inotify_add_watch(fd, dirname(copy), IN_MODIFY) < 0) && errno != ENOENT)
		check_note("rowtail cannot watch the database's files for changes (%s), so it "
			   "finds each "
			   "row "
			   "up to %lld ms later (--poll): check the sysctls "
			   "fs.inotify.max_user_instances and max_user_watches, and let rowtail's "
			   "user "
			   "read the directory",
			strerror(errno), (long long)c->config->poll_ms);
	if (fd >= 0)
		close(fd);
}

static void check_socket(struct checking *c, const struct listen_wish *wish)
{
	char sentence[LISTEN_SENTENCE_MAX];

	switch (listen_check(wish, sentence, sizeof(sentence))) {
	case LISTEN_FREE:
		check_good("%s", sentence);
		break;
	case LISTEN_SERVED:
	case LISTEN_DOUBTFUL:
		check_note("%s", sentence);
		break;
	case LISTEN_IMPOSSIBLE:
		check_wrong(c, EX_CONFIG, "%s", sentence);
	}
}

static void check_listen(struct checking *c)
{
	struct listen_wish wish;

	for (size_t n = 0; listen_wish(c->config, n, &wish); n++)
		if (wish.protocol == LISTEN_FOR_FASTCGI || http_is_built())
			check_socket(c, &wish);
		else
			check_wrong(c, EX_CONFIG,
				"this rowtail was built without llhttp, so it has no --http and no "
				"--pages");
}

static void check_key(struct checking *c)
{
	struct eventlog *log = eventlog_new(c->config->db, c->config->table);
	struct access *a;
	char sentence[512];
	int status = EX_CONFIG;

	if (!c->config->jwt_key || !log) {
		eventlog_free(log);
		return;
	}
	if ((a = access_new(c->config, &access_reading, log, &status, sentence, sizeof(sentence))))
		check_good("the key in %s can verify %s", c->config->jwt_key,
			c->config->jwt_algorithm);
	else
		check_wrong(c, status, "%s", sentence);
	access_free(a);
	eventlog_free(log);
}

static void check_limits(const struct checking *c)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY &&
		accept_streams_fit((int64_t)limit.rlim_max) < c->config->max_streams)
		check_note(
			"the open-files limit is %lld: only %lld streams fit, not %lld; raise it "
			"(ulimit -n, LimitNOFILE=) or lower --max-streams",
			(long long)limit.rlim_max,
			(long long)accept_streams_fit((int64_t)limit.rlim_max),
			(long long)c->config->max_streams);
}

int check_run(const struct config *config)
{
	struct checking c = {.config = config};

	place_real(config->db, c.real);
	check_good("the configuration is valid");
	check_files(&c);
	if (!c.status)
		check_log(&c);
	check_place(&c);
	check_watch(&c);
	check_key(&c);
	check_listen(&c);
	check_limits(&c);
	printf("%s\n", c.status ? "rowtail would not serve correctly: fix what is WRONG."
				: "rowtail can serve.");
	return c.status;
}
