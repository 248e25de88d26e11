#include "log/traces.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCKS = 0x40000000, LOCKS_LENGTH = 512 }; /* the bytes of the database that SQLite locks */

/* A file beside the database. False if the name does not fit. */
static bool beside(const struct traces *t, const char *ending, char *path)
{
	return (size_t)snprintf(path, PATH_MAX, "%s%s", t->real, ending) < PATH_MAX;
}

/* Examines a file beside the database; st_ino is 0 if it is not there. */
static void look(const struct traces *t, const char *ending, struct stat *st)
{
	char path[PATH_MAX];

	if (!beside(t, ending, path) || stat(path, st) < 0)
		st->st_ino = 0;
}

void traces_note(struct traces *t, const char *real)
{
	snprintf(t->real, sizeof(t->real), "%s", real);
	look(t, "-wal", &t->wal);
	look(t, "-shm", &t->shm);
}

bool traces_would_stay(const struct traces *t)
{
	char copy[PATH_MAX];

	if (t->wal.st_ino && t->shm.st_ino)
		return false;
	snprintf(copy, sizeof(copy), "%s", t->real);
	return access(t->real, W_OK) < 0 && access(dirname(copy), W_OK) == 0;
}

static void restore_owner(const struct traces *t, const char *ending, const struct stat *before)
{
	char path[PATH_MAX];
	struct stat now;

	look(t, ending, &now);
	if (!before->st_ino || now.st_ino != before->st_ino ||
		(now.st_uid == before->st_uid && now.st_gid == before->st_gid) ||
		!beside(t, ending, path))
		return;
	/* Only root can have changed it, so only root comes here. */
	if (lchown(path, before->st_uid, before->st_gid) == 0)
		chmod(path, before->st_mode & 07777);
}

/* With this lock nobody else has the database open, and nobody can open it. */
static bool lock(int fd)
{
	struct flock all = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS, .l_len = LOCKS_LENGTH};

	return fcntl(fd, F_SETLK, &all) == 0;
}

static void remove_one(const struct traces *t, const char *ending)
{
	char path[PATH_MAX];

	if (beside(t, ending, path))
		unlink(path);
}

static void remove_new(const struct traces *t)
{
	struct stat wal, shm;
	int fd;

	look(t, "-wal", &wal);
	look(t, "-shm", &shm);
	if ((t->wal.st_ino || !wal.st_ino) && (t->shm.st_ino || !shm.st_ino))
		return;
	if ((fd = open(t->real, O_RDWR | O_CLOEXEC)) < 0)
		return;
	if (!lock(fd)) {
		close(fd);
		return;
	}
	/* A new -wal with content was written by somebody, who may have ended by now. */
	look(t, "-wal", &wal);
	if (t->wal.st_ino || !wal.st_ino || wal.st_size == 0) {
		if (!t->shm.st_ino)
			remove_one(t, "-shm");
		if (!t->wal.st_ino)
			remove_one(t, "-wal");
	}
	close(fd);
}

void traces_undo(const struct traces *t)
{
	restore_owner(t, "-wal", &t->wal);
	restore_owner(t, "-shm", &t->shm);
	remove_new(t);
}
