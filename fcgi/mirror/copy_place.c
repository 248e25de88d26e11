/* Where the copy is: symbolic links, the lock beside it, its owner and permissions. */
#include "mirror/copy_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	LINKS_MAX = 40, /* as in Linux */
	SIGNATURE_MAX = 160,
};

/* Makes a path from a directory and a name; false if it is too long. */
static bool join(char *path, const char *directory, size_t length, const char *name)
{
	int written = snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, directory,
		length && directory[length - 1] != '/' ? "/" : "", name);

	return written > 0 && written < PATH_MAX;
}

/* The length of the path's directory with its '/'; 0: the working directory. */
static size_t directory_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Replaces a path that is a symbolic link by what it leads to. False: it is none. */
static bool follow(char *path)
{
	char target[PATH_MAX], before[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length <= 0)
		return false;
	target[length] = '\0';
	snprintf(before, sizeof(before), "%s", path);
	return join(path, before, *target == '/' ? 0 : directory_length(before), target);
}

void copy_resolve(const char *path, char *real)
{
	char at[PATH_MAX], directory[PATH_MAX], resolved[PATH_MAX];
	size_t length;

	snprintf(at, sizeof(at), "%s", path);
	for (int i = 0; i < LINKS_MAX && follow(at); i++)
		;
	length = directory_length(at);
	snprintf(directory, sizeof(directory), "%.*s", length ? (int)length : 1, length ? at : ".");
	if (!realpath(directory, resolved) || !join(real, resolved, strlen(resolved), at + length))
		snprintf(real, PATH_MAX, "%s", at);
}

/* --- the lock --- */

/* The file beside PATH that is locked; -1 with a sentence. */
static int open_lock(const struct copy *c, bool *taken, char *sentence, size_t size)
{
	char path[PATH_MAX + 8];
	int fd;

	*taken = false;
	if (readlink(c->real, path, 1) > 0) {
		snprintf(sentence, size, "%s cannot be made: too many symbolic links", c->path);
		return -1;
	}
	snprintf(path, sizeof(path), "%s.lock", c->real);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		snprintf(sentence, size, "%s cannot be made: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	*taken = errno == EWOULDBLOCK;
	if (*taken)
		snprintf(sentence, size,
			"another rowtail-mirror keeps %s already; stop it, or name another --db",
			c->path);
	else
		snprintf(sentence, size, "%s cannot be locked: %s", path, strerror(errno));
	close(fd);
	return -1;
}

bool copy_lock(struct copy *c, char *sentence, size_t size)
{
	bool taken;

	c->lock = open_lock(c, &taken, sentence, size);
	return c->lock >= 0;
}

/* Is what we have locked still beside PATH? */
static bool is_lock_in_place(const struct copy *c)
{
	char path[PATH_MAX + 8];
	struct stat ours, there;

	snprintf(path, sizeof(path), "%s.lock", c->real);
	return fstat(c->lock, &ours) == 0 && lstat(path, &there) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

enum copy_status copy_settle(struct copy *c)
{
	bool taken, moved;
	char real[PATH_MAX];
	int fd;

	copy_resolve(c->path, real);
	moved = strcmp(real, c->real) != 0;
	if (!moved && is_lock_in_place(c))
		return COPY_OK;
	if (moved) {
		copy_close(c);
		memcpy(c->real, real, sizeof(c->real));
	}
	if ((fd = open_lock(c, &taken, c->error, sizeof(c->error))) < 0)
		return taken ? COPY_TAKEN : COPY_FAULT;
	close(c->lock);
	c->lock = fd;
	if (copy_is_open(c))
		copy_sign(c);
	return moved ? COPY_ABSENT : COPY_OK;
}

/* What is written into the lock; returns its length. */
static size_t signature(const struct stat *file, char *text, size_t size)
{
	return (size_t)snprintf(text, size,
		"rowtail-mirror keeps the database of this name.\nfile %ju on device %ju\n",
		(uintmax_t)file->st_ino, (uintmax_t)file->st_dev);
}

bool copy_is_signed(const struct copy *c)
{
	char expected[SIGNATURE_MAX], found[SIGNATURE_MAX];
	struct stat st;
	size_t length;

	if (c->lock < 0 || stat(c->real, &st) < 0)
		return false;
	length = signature(&st, expected, sizeof(expected));
	return pread(c->lock, found, sizeof(found), 0) == (ssize_t)length &&
	       !memcmp(found, expected, length);
}

void copy_sign(struct copy *c)
{
	char text[SIGNATURE_MAX];
	size_t length = signature(&c->is, text, sizeof(text));

	if (!copy_is_signed(c) &&
		(ftruncate(c->lock, 0) < 0 || pwrite(c->lock, text, length, 0) < 0))
		snprintf(c->error, sizeof(c->error), "%s", strerror(errno));
}

/* --- the file --- */

bool copy_is_in_place(const struct copy *c)
{
	struct stat st;

	return stat(c->real, &st) == 0 && st.st_dev == c->is.st_dev && st.st_ino == c->is.st_ino;
}

void copy_inherit(const struct copy *c, const char *path)
{
	struct stat old, new;

	if (stat(c->real, &old) < 0)
		old = c->is;
	if (old.st_nlink == 0 || stat(path, &new) < 0)
		return;
	/* If the group cannot be the same, another one must not get what it had. */
	if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
		chown(path, old.st_uid, old.st_gid) < 0 && chown(path, (uid_t)-1, old.st_gid) < 0)
		old.st_mode &= ~(mode_t)S_IRWXG;
	chmod(path, old.st_mode & 0777);
}
