/*
 * place: where a database stands, as the file system has it: mounts, links, kinds of file systems.
 *
 * SQLite finds the -wal, -shm and -journal by the path of the database. Where one file can be reached
 * by two paths, or on two machines, its users do not share them, and what one writes never reaches the
 * other, without an error. Looks at stat(2) and /proc/self/mountinfo; opens no file of the database.
 */
#ifndef ROWTAIL_PLACE_H
#define ROWTAIL_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* What may be wrong with a place though the database can be read. */
enum place_doubt {
	PLACE_MOUNTED_ALONE, /* a bind mount of the file without its directory */
	PLACE_MOUNTED_ELSEWHERE, /* the same, seen from the other side */
	PLACE_LINKED, /* it has another name: a hard link */
	PLACE_SHARED, /* a network file system, or one that another kernel serves */
	PLACE_LAYER, /* a container's own layer, which goes with the container */
	PLACE_DOUBTS,
};

/* Is this a doubt here? Then the sentence says what is wrong and what to do. path: as the user wrote it. */
bool place_doubts(enum place_doubt doubt, const char *path, char *sentence, size_t size);

/* The path of the file itself, symbolic links followed, in real[PATH_MAX]; the path where it is none. */
const char *place_real(const char *path, char *real);

/* The kind of file system, such as "ext4" or "fuse.sshfs", in type[size]; empty when not known. */
void place_type(const char *path, char *type, size_t size);

/*
 * Is the path mounted read-only while its file system is not? That is how the sandbox of a service and
 * a container's volume are made read-only.
 */
bool place_is_read_only_here(const char *path);

/*
 * Has systemd put something of its own in the way, so that this process sees at the path what others do
 * not: PrivateTmp= for /tmp and /var/tmp, ProtectHome= for /home, InaccessiblePaths=? Then *point has
 * the mount point, in point[size].
 */
bool place_is_hidden(const char *path, char *point, size_t size);

#endif
