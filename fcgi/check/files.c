/* The database file, those beside it, their directory; who may use them. */
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "base/who.h"
#include "check/query.h"

enum { WRITERS_MAX = 16, WAL_LARGE_MIB = 256 };

/*
 * Who writes to the database, as far as known: the owner of the file, and the users of programs
 * that have it open.
 */
struct writers {
	uid_t user[WRITERS_MAX];
	size_t count;
	size_t open; /* the first so many have it open now */
};

static void find_writers(struct writers *w, const struct checking *c, const struct stat *st)
{
	w->open = w->count = who_have_open(w->user, WRITERS_MAX - 1, c->real);
	for (size_t i = 0; i < w->count; i++)
		if (w->user[i] == st->st_uid)
			return;
	w->user[w->count++] = st->st_uid;
}

/* "ann:www-data, mode 0660" */
static const char *describe(char *out, size_t size, const struct stat *st)
{
	struct who_user owner;
	char group[64];

	who_group(group, sizeof(group), st->st_gid);
	snprintf(out, size, "%s:%s, mode %04o", who_user(&owner, st->st_uid), group,
		st->st_mode & 07777);
	return out;
}

/* The commands that give a file to the writers' and rowtail's common group. */
static const char *cure_group(char *cure, const char *path, const struct stat *like)
{
	char group[64], word[4096];

	who_group(group, sizeof(group), like->st_gid);
	text_shell(word, sizeof(word), path);
	snprintf(cure, REPORT_CURE_MAX, "chgrp %s %s && chmod 660 %s", group, word, word);
	return cure;
}

/*
 * The writers must be able to write what somebody else may have created: otherwise each of their
 * commits fails with "attempt to write a readonly database".
 */
static void check_writers(struct checking *c, const char *path, const struct stat *st,
	const struct stat *database, const struct writers *w)
{
	struct who_user user;
	char cure[REPORT_CURE_MAX];
	char owner[160];

	for (size_t i = 0; i < w->count; i++) {
		if (who_may(w->user[i], c->real, database, R_OK | W_OK) != WHO_MAY ||
			who_may(w->user[i], path, st, R_OK | W_OK) != WHO_MAY_NOT)
			continue;
		who_user(&user, w->user[i]);
		describe(owner, sizeof(owner), st);
		cure_group(cure, path, database);
		if (i < w->open)
			report_wrong(c->report, EX_CONFIG, cure,
				"%s belongs to %s, so %s, who has the database open, cannot write: "
				"each INSERT fails",
				path, owner, user.name);
		else
			report_note(c->report, cure,
				"%s belongs to %s, so %s, who owns the database, cannot write: "
				"each INSERT of that user fails",
				path, owner, user.name);
	}
}

static void check_size(struct checking *c, const char *path, const struct stat *st)
{
	char cure[REPORT_CURE_MAX];

	if (st->st_size < WAL_LARGE_MIB * INT64_C(1024) * 1024)
		return;
	report_note(c->report, cure_sql(cure, c, "PRAGMA wal_checkpoint(TRUNCATE)"),
		"%s has %lld MiB: a program that keeps a read transaction open prevents "
		"checkpoints; end that program first",
		path, (long long)st->st_size / 1024 / 1024);
}

/* Checks a file beside the database, which only exists while a program has the database open. */
static void check_beside(struct checking *c, const char *ending, const struct stat *database,
	const struct writers *w)
{
	struct who_user owner, us;
	char path[PATH_MAX], told[160];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s%s", c->real, ending) >= sizeof(path) ||
		stat(path, &st) < 0)
		return;
	if (access(path, R_OK) < 0)
		report_wrong(c->report, EX_NOINPUT, NULL,
			"%s belongs to %s, and %s cannot read it: give the writers and rowtail a "
			"common group, and the directory mode 2770",
			path, who_user(&owner, st.st_uid), who_user(&us, geteuid()));
	else if (access(path, W_OK) < 0 && !strcmp(ending, "-shm"))
		report_note(c->report, NULL,
			"%s cannot be written by %s: rowtail reads only while a writer has the "
			"database open",
			path, who_user(&us, geteuid()));
	else
		report_ok(c->report, "%s belongs to %s", path, describe(told, sizeof(told), &st));
	check_writers(c, path, &st, database, w);
	if (!strcmp(ending, "-wal"))
		check_size(c, path, &st);
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
	report_note(c->report, NULL,
		"%s has mode %04o: if rowtail creates the -wal and -shm beside it, only %s can "
		"write "
		"them, and writers are locked out; chmod 660 fixes it",
		c->config->db, st->st_mode & 07777, who_user(&us, geteuid()));
}

/* SQLite opens with O_CREAT. For another user's file in /tmp, the kernel may refuse that. */
static void check_sticky(const struct checking *c, const char *directory, const struct stat *st)
{
	FILE *file;
	int level = 0;

	if (!(st->st_mode & S_ISVTX) || !(st->st_mode & (S_IWGRP | S_IWOTH)))
		return;
	if ((file = fopen("/proc/sys/fs/protected_regular", "re"))) {
		if (fscanf(file, "%d", &level) != 1)
			level = 0;
		fclose(file);
	}
	if (level >= (st->st_mode & S_IWOTH ? 1 : 2))
		report_note(c->report, NULL,
			"%s is sticky, and the sysctl fs.protected_regular is %d: while the -wal "
			"and "
			"-shm are those of one user, no other can write the database, not even "
			"root; "
			"put it into a directory of its own, as in /var/lib/rowtail",
			directory, level);
}

static void check_directory(
	const struct checking *c, const struct stat *database, const struct writers *w)
{
	struct who_user us;
	char copy[PATH_MAX], told[160];
	const char *directory;
	struct stat st;

	snprintf(copy, sizeof(copy), "%s", c->real);
	directory = dirname(copy);
	if (stat(directory, &st) < 0)
		return;
	if (access(directory, W_OK) < 0)
		report_note(c->report, NULL,
			"%s cannot be written by %s: in WAL mode rowtail then reads only while the "
			"-wal and -shm files exist, that is, while a writer has the database open; "
			"mode 2770 with a common group fixes it",
			directory, who_user(&us, geteuid()));
	else
		report_ok(c->report, "the directory %s belongs to %s", directory,
			describe(told, sizeof(told), &st));
	check_sticky(c, directory, &st);
	for (size_t i = 0; i < w->count; i++)
		if (who_may(w->user[i], c->real, database, R_OK | W_OK) == WHO_MAY &&
			who_may(w->user[i], directory, &st, W_OK | X_OK) == WHO_MAY_NOT)
			report_note(c->report, NULL,
				"%s may write %s, but not create its -wal or -journal in %s: an "
				"INSERT of that user fails; mode 2770 with a common group fixes it",
				who_user(&us, w->user[i]), c->config->db, directory);
}

/* A file time in the future shows that a clock was set back. */
static void check_time(struct checking *c, const struct stat *st)
{
	enum { TOLERATED_S = 120 };
	time_t ahead = st->st_mtime - time(NULL);

	if (ahead > TOLERATED_S)
		report_note(c->report, NULL,
			"%s was last changed %lld seconds from now: this machine's clock was set "
			"back, or is wrong; check it with: timedatectl",
			c->config->db, (long long)ahead);
}

void section_files(struct checking *c)
{
	struct who_user owner, us;
	struct writers w;
	struct stat st;
	char told[160];

	/* If it can't even be examined, the log reports why. */
	if (stat(c->config->db, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (geteuid() == 0 && st.st_uid != 0)
		report_note(c->report, NULL,
			"you are running this as root, who may do everything; to check as "
			"rowtail's "
			"own user: runuser -u USER -- rowtail --check, with that user's name");
	if (access(c->config->db, R_OK) < 0)
		report_wrong(c->report, EX_NOINPUT, NULL,
			"%s belongs to %s, and %s cannot read it: chgrp it to a group of both, "
			"and chmod 660",
			c->config->db, who_user(&owner, st.st_uid), who_user(&us, geteuid()));
	else
		report_ok(c->report, "%s belongs to %s; its mode lets the user %s read it",
			c->config->db, describe(told, sizeof(told), &st), who_user(&us, geteuid()));
	find_writers(&w, c, &st);
	check_mode(c, &st);
	check_time(c, &st);
	check_directory(c, &st, &w);
	check_beside(c, "-wal", &st, &w);
	check_beside(c, "-shm", &st, &w);
}
