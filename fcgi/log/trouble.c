#include "log/trouble.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/who.h"
#include "log/place.h"

/* A sentence that is being built, and what is known of the database. */
struct telling {
	const char *path; /* as the user wrote it */
	char real[PATH_MAX]; /* symbolic links resolved: SQLite puts its other files beside it */
	char directory[PATH_MAX]; /* of `real` */
	const struct database_failure *why;
	char *sentence;
	size_t size;
};

/* Writes the sentence. Returns true, so that the caller can return the result. */
static bool tell(struct telling *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool tell(struct telling *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(t->sentence, t->size, format, args);
	va_end(args);
	return true;
}

static void begin(struct telling *t, const char *path, char *sentence, size_t size)
{
	char copy[PATH_MAX];

	t->path = path;
	t->sentence = sentence;
	t->size = size;
	snprintf(copy, sizeof(copy), "%s", place_real(path, t->real));
	snprintf(t->directory, sizeof(t->directory), "%s", dirname(copy));
}

/* A file beside the database: events.db + "-wal". False if the name does not fit. */
static bool beside(const struct telling *t, const char *ending, char *path)
{
	return (size_t)snprintf(path, PATH_MAX, "%s%s", t->real, ending) < PATH_MAX;
}

/* --- the file is missing, or not a plain file --- */

/* Finds the first directory on the way to a path that we may not enter; false if there is none. */
static bool find_closed(const char *path, char *directory)
{
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		if ((size_t)snprintf(directory, PATH_MAX, "%.*s", (int)(slash - path), path) >=
			PATH_MAX)
			return false;
		if (access(directory, X_OK) < 0 && errno == EACCES)
			return true;
	}
	return false;
}

/* A home directory that others could enter and write would be a hole in its user's security. */
static bool is_home(const char *directory)
{
	return !strncmp(directory, "/home/", strlen("/home/")) || !strcmp(directory, "/root");
}

/* The service manager hides the file; others see it. */
static bool tell_hidden(struct telling *t)
{
	char point[PATH_MAX];

	if (!place_is_hidden(t->path, point, sizeof(point)))
		return false;
	return tell(t,
		"%s cannot be opened: this service has its own %s (PrivateTmp= or ProtectHome= "
		"in its unit) and cannot see what others see there; put the database "
		"elsewhere, as in /var/lib/rowtail",
		t->path, point);
}

/* A symbolic link to something that is missing or that we may not reach. */
static bool tell_link(struct telling *t, int error)
{
	char target[PATH_MAX];
	ssize_t length = readlink(t->path, target, sizeof(target) - 1);

	if (length < 0)
		return false;
	target[length] = '\0';
	return tell(t,
		"%s cannot be opened: it is a symbolic link to %s, which cannot be reached: %s; "
		"fix the link, or create the database: sqlite3 %s < schema/rowtail.sql",
		t->path, target, strerror(error), t->path);
}

static bool has_name(const char *name)
{
	return !strchr(name, ' ') && (*name < '0' || *name > '9');
}

/* We may not enter a directory on the way. */
static void tell_closed(struct telling *t, const char *directory)
{
	struct who_user us;
	struct stat st;
	char group[64] = "";

	who_user(&us, geteuid());
	if (stat(directory, &st) == 0 && (st.st_mode & S_IXGRP) && st.st_gid)
		who_group(group, sizeof(group), st.st_gid);
	if (is_home(directory))
		tell(t,
			"%s cannot be reached: %s may not enter the home directory %s; put the "
			"database elsewhere, as in /var/lib/rowtail",
			t->path, us.name, directory);
	else if (*group && has_name(group) && has_name(us.name))
		tell(t,
			"%s cannot be reached: %s may not enter %s, but its group %s may; run "
			"\"adduser %s %s\" as root, and restart the service that runs rowtail",
			t->path, us.name, directory, group, us.name, group);
	else
		tell(t,
			"%s cannot be reached: %s may not enter %s (give the directory a group "
			"that %s is in, and mode 2770)",
			t->path, us.name, directory, us.name);
}

/* stat() has failed and set errno. */
static void tell_absent(struct telling *t)
{
	char place[PATH_MAX];
	int error = errno;

	if (tell_hidden(t) || tell_link(t, error))
		return;
	if (find_closed(t->path, place))
		tell_closed(t, place);
	else if (error == ENOENT && *t->path != '/' && getcwd(place, sizeof(place)))
		tell(t,
			"%s cannot be opened: %s; rowtail looked for it in %s (create it with: "
			"sqlite3 "
			"%s < schema/rowtail.sql, or give its whole path)",
			t->path, strerror(error), place, t->path);
	else if (error == ENOENT && access(t->directory, F_OK) < 0)
		tell(t,
			"%s cannot be opened: there is no directory %s; create it, or wait until "
			"it is mounted, then create the database: sqlite3 %s < schema/rowtail.sql",
			t->path, t->directory, t->path);
	else if (error == ENOENT)
		tell(t, "%s cannot be opened: %s (create it with: sqlite3 %s < schema/rowtail.sql)",
			t->path, strerror(error), t->path);
	else
		tell(t, "%s cannot be opened: %s; give the path of a SQLite database", t->path,
			strerror(error));
}

bool trouble_is_odd(const char *path, char *sentence, size_t size)
{
	static const char *const endings[] = {"-journal", "-wal", "-shm"};
	struct telling t;
	char other[PATH_MAX];
	struct stat st;

	begin(&t, path, sentence, size);
	if (stat(path, &st) < 0)
		return false;
	if (S_ISDIR(st.st_mode))
		return tell(&t, "%s is a directory: give the path of the database in it", path);
	if (file_kind(st.st_mode))
		return tell(&t, "%s is %s, not a file: give the path of a SQLite database", path,
			file_kind(st.st_mode));
	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
		if (beside(&t, endings[i], other) && stat(other, &st) == 0 && file_kind(st.st_mode))
			return tell(&t,
				"%s cannot be read: %s is %s, but SQLite keeps a file of its own "
				"there; remove it",
				path, other, file_kind(st.st_mode));
	return false;
}

/* --- the file is there but cannot be opened --- */

/*
 * A file beside the database exists but we may not read it, whatever the reason. access(2) checks
 * the real user, which is the effective user here.
 */
static bool tell_unreadable(struct telling *t, const char *ending)
{
	struct who_user owner, us;
	char path[PATH_MAX];
	struct stat st;

	if (!beside(t, ending, path) || stat(path, &st) < 0 || access(path, R_OK) == 0)
		return false;
	return tell(t,
		"%s cannot be read: %s belongs to %s, and %s cannot read and write it: give "
		"the writers and rowtail a common group, chmod 660 %s, and mode 2770 for its "
		"directory",
		t->path, path, who_user(&owner, st.st_uid), who_user(&us, geteuid()), t->real);
}

/*
 * After a crash in rollback mode the database holds half a transaction, and the journal holds the
 * old content. The next program that opens the database for writing rolls it back. A reader may
 * not.
 */
static void tell_hot_journal(struct telling *t)
{
	struct who_user owner;
	char journal[PATH_MAX];
	struct stat st;

	if (tell_unreadable(t, "-journal"))
		return;
	if (!beside(t, "-journal", journal) || stat(t->real, &st) < 0 ||
		access(journal, F_OK) < 0) {
		tell(t, "%s cannot be read: a journal was being rolled back; try again soon",
			t->path);
		return;
	}
	tell(t,
		"%s cannot be read: a program ended in the middle of a write and left its "
		"journal, %s. Only a writer can roll it back: open the database for writing with "
		"any program, such as sqlite3 %s .tables, run as %s (but if the journal belongs to "
		"an older file, because a backup was put in its place, remove the journal)",
		t->path, journal, t->path, who_user(&owner, st.st_uid));
}

/* A read-only mount, which overrides the file modes. */
static bool tell_read_only(struct telling *t)
{
	if (access(t->directory, W_OK) == 0 || errno != EROFS)
		return false;
	if (place_is_read_only_here(t->real))
		return tell(t,
			"%s cannot be read: %s is mounted read-only for this process, and in WAL "
			"mode a reader must be able to write the -wal and -shm there: add it to "
			"ReadWritePaths= of the systemd unit, or remove :ro from the container's "
			"volume",
			t->path, t->directory);
	return tell(t,
		"%s cannot be read: %s is on a file system that is mounted read-only, and in WAL "
		"mode a reader must be able to write the -wal and -shm there; mount it "
		"read-write, or take a copy out of WAL mode (PRAGMA journal_mode=DELETE)",
		t->path, t->directory);
}

static bool tell_directory(struct telling *t)
{
	struct who_user us;
	char shm[PATH_MAX], wal[PATH_MAX];

	if (!beside(t, "-shm", shm) || !beside(t, "-wal", wal))
		return false;
	if (access(t->directory, W_OK | X_OK) == 0 ||
		(access(shm, F_OK) == 0 && access(wal, F_OK) == 0))
		return false;
	return tell(t,
		"%s cannot be read: in WAL mode a reader must be able to write %s-wal and -shm, "
		"and %s may not create them in %s: give the directory a group of the writers and "
		"rowtail, and mode 2770",
		t->path, t->real, who_user(&us, geteuid()), t->directory);
}

/* The system refuses although the file modes allow it. */
static bool tell_forbidden(struct telling *t)
{
	if (t->why->error != EACCES && t->why->error != EPERM)
		return false;
	return tell(t,
		"%s cannot be read: the system refuses to open it or its -wal and -shm (%s) "
		"although "
		"their modes allow it: check SELinux (ausearch -m avc), AppArmor (journalctl -k) "
		"and the sandbox of the service",
		t->path, strerror(t->why->error));
}

/* The system or this process has run out of something. */
static bool tell_exhausted(struct telling *t)
{
	switch (t->why->error) {
	case EMFILE:
	case ENFILE:
		return tell(t,
			"%s cannot be read: no more files can be opened (%s): raise %s, or lower "
			"--max-streams",
			t->path, strerror(t->why->error),
			t->why->error == EMFILE ? "ulimit -n or LimitNOFILE="
						: "the sysctl fs.file-max");
	case ENOSPC:
	case EDQUOT:
		return tell(t,
			"%s cannot be read: %s has no space for the -shm that every reader "
			"in WAL mode needs (%s): free some space",
			t->path, t->directory, strerror(t->why->error));
	default:
		return false;
	}
}

static void tell_not_opened(struct telling *t)
{
	struct who_user owner, us;
	struct stat st;

	if (tell_exhausted(t))
		return;
	if (stat(t->real, &st) == 0 && access(t->real, R_OK) < 0) {
		tell(t,
			"%s cannot be read: it belongs to %s, and %s cannot read it: chgrp it to "
			"a group of both, and chmod 660",
			t->path, who_user(&owner, st.st_uid), who_user(&us, geteuid()));
		return;
	}
	if (tell_unreadable(t, "-wal") || tell_unreadable(t, "-shm") || tell_read_only(t) ||
		tell_directory(t) || tell_forbidden(t))
		return;
	tell(t,
		"%s cannot be read: %s (rowtail's user must be able to read the file, and in WAL "
		"mode to write its -wal and -shm or create them in its directory; rowtail "
		"--check says what is wrong)",
		t->path, t->why->message);
}

/* --- the file can be opened but not read --- */

static void tell_damaged(struct telling *t)
{
	/* SQLite also calls it damage if the schema has syntax that this version does not know. */
	if (strstr(t->why->message, "malformed database schema"))
		tell(t,
			"%s cannot be read: %s (perhaps a newer SQLite made it; rowtail uses "
			"version %s)",
			t->path, t->why->message, database_version());
	else
		tell(t,
			"%s cannot be read: %s; restore a backup, or save what is left: "
			"sqlite3 %s .recover",
			t->path, t->why->message, t->path);
}

static void tell_io(struct telling *t)
{
	char type[64];

	if (tell_exhausted(t))
		return;
	place_type(t->path, type, sizeof(type));
	tell(t,
		"%s cannot be read: %s%s%s; its file system (%s) fails, or lacks the locks or "
		"shared memory that SQLite needs: check the system's log, and put the database "
		"on a local disk",
		t->path, t->why->message, t->why->error ? ": " : "",
		t->why->error ? strerror(t->why->error) : "", *type ? type : "of unknown type");
}

void trouble_explain(
	const char *path, const struct database_failure *why, char *sentence, size_t size)
{
	struct telling t = {.why = why};
	struct stat st;

	begin(&t, path, sentence, size);
	if (stat(path, &st) < 0) {
		tell_absent(&t);
		return;
	}
	switch (why->cause) {
	case DATABASE_CAUSE_HOT_JOURNAL:
		tell_hot_journal(&t);
		break;
	case DATABASE_CAUSE_NOT_OPENED:
		tell_not_opened(&t);
		break;
	case DATABASE_CAUSE_NO_DATABASE:
		tell(&t,
			"%s cannot be read: %s (is it the right file? rowtail cannot read an "
			"encrypted database)",
			path, why->message);
		break;
	case DATABASE_CAUSE_DAMAGED:
		tell_damaged(&t);
		break;
	case DATABASE_CAUSE_IO:
		tell_io(&t);
		break;
	default:
		tell(&t, "%s cannot be read: %s", path, why->message);
	}
}

void trouble_locked(const char *path, char *sentence, size_t size)
{
	struct who_process holder;
	struct telling t;

	begin(&t, path, sentence, size);
	if (!who_locks(&holder, t.real))
		snprintf(holder.name, sizeof(holder.name), "another program");
	tell(&t,
		"%s is locked by %s and cannot be read meanwhile: a program that uses PRAGMA "
		"locking_mode=EXCLUSIVE locks it until the program ends; change or stop that "
		"program%s (a long transaction in rollback mode, or a VACUUM, ends by itself; "
		"with PRAGMA journal_mode=WAL others can read meanwhile)",
		path, holder.name, holder.id ? "" : " (fuser -v on the file names it)");
}

bool trouble_is_apart(const char *path, pid_t *suspect, char *sentence, size_t size)
{
	struct who_process other;
	struct telling t;
	bool again;

	begin(&t, path, sentence, size);
	who_is_apart(&other, t.real);
	again = other.id && other.id == *suspect;
	*suspect = other.id;
	return again &&
	       tell(&t,
		       "%s has %s open with another -wal and -shm than those beside it: what it "
		       "writes never arrives here, and the database can be damaged; let it open "
		       "the "
		       "same path in the same directory (no bind mount or hard link of the file "
		       "alone); if somebody removed these two files, restart it",
		       other.name, path);
}
