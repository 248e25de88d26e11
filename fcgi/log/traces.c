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

static bool is_there(const struct traces *t, const char *ending, struct stat *st)
{
	char path[PATH_MAX];

	return beside(t, ending, path) && stat(path, st) == 0;
}

void traces_note(struct traces *t, const char *real)
{
	struct stat st;

	snprintf(t->real, sizeof(t->real), "%s", real);
	t->wal = is_there(t, "-wal", &st);
	t->shm = is_there(t, "-shm", &st);
}

bool traces_would_stay(const struct traces *t)
{
	char copy[PATH_MAX];

	if (t->wal && t->shm)
		return false;
	snprintf(copy, sizeof(copy), "%s", t->real);
	return access(t->real, W_OK) < 0 && access(dirname(copy), W_OK) == 0;
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

void traces_remove(const struct traces *t)
{
	struct stat wal, shm;
	bool has_wal = !t->wal && is_there(t, "-wal", &wal);
	bool has_shm = !t->shm && is_there(t, "-shm", &shm);
	int fd;

	if (!has_wal && !has_shm)
		return;
	if ((fd = open(t->real, O_RDWR | O_CLOEXEC)) < 0)
		return;
	/* A -wal with content was written by somebody, who may have ended by now. */
	if (lock(fd) && (!is_there(t, "-wal", &wal) || wal.st_size == 0 || t->wal)) {
		if (has_shm)
			remove_one(t, "-shm");
		if (has_wal)
			remove_one(t, "-wal");
	}
	close(fd);
}
