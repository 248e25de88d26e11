/*
 * place: where a database is in the file system: mounts, links, kinds of file systems.
 *
 * SQLite finds the -wal, -shm and -journal by the database's path. If programs reach one file by
 * two paths or from two machines, they do not share these files. What one program writes then never
 * reaches the other, and no error is reported. Uses stat(2), statfs(2) and /proc/self/mountinfo;
 * opens no file of the database.
 */
#ifndef ROWTAIL_PLACE_H
#define ROWTAIL_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* What may be wrong with a place even though the database can be read. */
enum place_doubt {
	PLACE_MOUNTED_ALONE, /* a bind mount of the file without its directory */
	PLACE_MOUNTED_ELSEWHERE, /* the same, seen from the file's own directory */
	PLACE_LINKED, /* it has another name: a hard link */
	PLACE_SHARED, /* a network file system, or one that another kernel serves */
	PLACE_IN_MEMORY, /* tmpfs: deleted at a restart */
	PLACE_LAYER, /* a container's own layer, which is deleted with the container */
	PLACE_DOUBTS,
};

/*
 * Does this doubt apply? Then the sentence says what is wrong and what to do. path: as the user
 * wrote it.
 */
bool place_doubts(enum place_doubt doubt, const char *path, char *sentence, size_t size);

/*
 * Writes the file's own path, with symbolic links resolved, to real[PATH_MAX]; `path` if that
 * fails.
 */
const char *place_real(const char *path, char *real);

/*
 * Writes the type of the file system, such as "ext4" or "fuse.sshfs", to type[size]; "" if unknown.
 */
void place_type(const char *path, char *type, size_t size);

/*
 * Is the path on a file system that only this machine's kernel changes, so that inotify(7) reports
 * every change? False for a type that is not known to be one.
 */
bool place_is_local(const char *path);

/*
 * Is the path mounted read-only although its file system is not? A service's sandbox and a
 * container's read-only volume are made this way.
 */
bool place_is_read_only_here(const char *path);

/*
 * Does systemd hide the path from this process, so that it sees something else there than others
 * do? PrivateTmp= does that for /tmp and /var/tmp, ProtectHome= for /home, InaccessiblePaths= for
 * others. Writes the mount point to point[size].
 */
bool place_is_hidden(const char *path, char *point, size_t size);

#endif
