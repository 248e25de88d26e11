#include "log/place.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* A line of /proc/self/mountinfo. */
struct mount {
	dev_t device;
	const char *root; /* the part of the file system that is mounted: "/" for all of it */
	const char *point;
	const char *type;
	bool read_only; /* the mount is, but not its file system */
};

/* Blanks and the like are written as \040, see proc(5). */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; out++)
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
			*out = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 4;
		} else {
			*out = *text++;
		}
	*out = '\0';
}

static bool is_read_only(const char *options)
{
	return options && !strncmp(options, "ro", 2) && (options[2] == ',' || !options[2]);
}

/* Splits a line, in place. */
static bool parse_mount(char *line, struct mount *m)
{
	char *rest = line, *behind = strstr(line, " - "), *fields[6];
	unsigned long major;

	if (!behind)
		return false;
	*behind = '\0';
	behind += 3;
	behind[strcspn(behind, "\n")] = '\0';
	for (int i = 0; i < 6; i++)
		if (!(fields[i] = strsep(&rest, " ")))
			return false;
	major = strtoul(fields[2], &fields[2], 10);
	if (*fields[2] != ':')
		return false;
	unescape(fields[3]);
	unescape(fields[4]);
	*m = (struct mount){.device = makedev(major, strtoul(fields[2] + 1, NULL, 10)),
		.root = fields[3],
		.point = fields[4],
		.type = strsep(&behind, " ")};
	strsep(&behind, " "); /* the source */
	m->read_only = is_read_only(fields[5]) && behind && !is_read_only(behind);
	return true;
}

/* Calls `take` with each mount until it returns true; returns whether it did. */
static bool find_mount(bool (*take)(void *context, const struct mount *m), void *context)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	struct mount m;
	bool found = false;

	while (file && !found && getline(&line, &size, file) > 0)
		found = parse_mount(line, &m) && take(context, &m);
	free(line);
	if (file)
		fclose(file);
	return found;
}

const char *place_real(const char *path, char *real)
{
	if (!realpath(path, real))
		snprintf(real, PATH_MAX, "%s", path);
	return real;
}

/* What we look for, and what we found. */
struct looking {
	const char *real;
	struct stat st;
	size_t longest; /* length of the longest mount point so far that leads to `real` */
	bool read_only;
	char *out;
	size_t size;
};

static bool leads_to(const char *point, const char *path, size_t *length)
{
	*length = strlen(point);
	if (*length == 1)
		return true;
	return !strncmp(point, path, *length) && (path[*length] == '/' || !path[*length]);
}

/* Of several mounts with the longest mount point, the last is on top. Never ends the search. */
static bool take_topmost(void *context, const struct mount *m)
{
	struct looking *l = context;
	size_t length;

	if (leads_to(m->point, l->real, &length) && length >= l->longest) {
		l->longest = length;
		l->read_only = m->read_only;
		snprintf(l->out, l->size, "%s", m->type);
	}
	return false;
}

/* A file system by its number, see statfs(2). */
struct known {
	uint32_t number;
	const char *type; /* "": only the mount table tells */
	bool local; /* the kernel here sees every change of its files */
};

/* NULL if it is not in the table. */
static const struct known *known_by_number(const char *path)
{
	static const struct known known[] = {{0x6969, "nfs", false}, {0x517b, "smbfs", false},
		{0xfe534d42, "smb3", false}, {0xff534d42, "cifs", false}, {0x01021997, "9p", false},
		{0x65735546, "fuse", false}, {0x794c7630, "overlay", false},
		{0x5346414f, "afs", false}, {0x6b414653, "afs", false}, {0x00c36400, "ceph", false},
		{0x0bd00bd0, "lustre", false}, {0x01161970, "gfs2", false},
		{0x7461636f, "ocfs2", false}, {0x19830326, "beegfs", false},
		{0x786f4256, "vboxsf", false}, {0xbacbacbc, "vmhgfs", false},
		{0x7c7c6673, "prl_fs", false}, {0x01021994, "tmpfs", true},
		{0x858458f6, "ramfs", false}, {0xef53, "", true} /* ext2, ext3, ext4 */,
		{0x58465342, "", true} /* xfs */, {0x9123683e, "", true} /* btrfs */,
		{0xf2f52010, "", true} /* f2fs */, {0x2fc12fc1, "", true} /* zfs */,
		{0xca451a4e, "", true} /* bcachefs */};
	struct statfs fs;

	if (statfs(path, &fs) == 0)
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			if ((uint32_t)fs.f_type == known[i].number)
				return &known[i];
	return NULL;
}

/* Without /proc, as in a chroot, nothing else tells the type. */
static const char *type_by_number(const char *path)
{
	const struct known *known = known_by_number(path);

	return known ? known->type : "";
}

void place_type(const char *path, char *type, size_t size)
{
	char real[PATH_MAX];
	struct looking l = {.real = place_real(path, real), .out = type, .size = size};

	*type = '\0';
	find_mount(take_topmost, &l);
	if (!*type)
		snprintf(type, size, "%s", type_by_number(l.real));
}

bool place_is_local(const char *path)
{
	const struct known *known = known_by_number(path);

	return known && known->local;
}

bool place_is_read_only_here(const char *path)
{
	char real[PATH_MAX], type[64];
	struct looking l = {.real = place_real(path, real), .out = type, .size = sizeof(type)};

	find_mount(take_topmost, &l);
	return l.read_only;
}

static bool take_hidden(void *context, const struct mount *m)
{
	struct looking *l = context;
	size_t length;

	if (!leads_to(m->point, l->real, &length) ||
		(!strstr(m->root, "/systemd-private-") && !strstr(m->root, "/inaccessible/")))
		return false;
	snprintf(l->out, l->size, "%s", m->point);
	return true;
}

bool place_is_hidden(const char *path, char *point, size_t size)
{
	struct looking l = {.real = path, .out = point, .size = size};

	*point = '\0';
	return find_mount(take_hidden, &l);
}

static bool take_alone(void *context, const struct mount *m)
{
	struct looking *l = context;

	if (strcmp(m->point, l->real))
		return false;
	snprintf(l->out, l->size, "%s", m->root);
	return true;
}

/*
 * Only mounts of the same device: stat(2) on others could block, on a server that does not answer.
 */
static bool take_elsewhere(void *context, const struct mount *m)
{
	struct looking *l = context;
	struct stat st;

	if (m->device != l->st.st_dev || !strcmp(m->point, l->real) || stat(m->point, &st) < 0 ||
		st.st_dev != l->st.st_dev || st.st_ino != l->st.st_ino)
		return false;
	snprintf(l->out, l->size, "%s", m->point);
	return true;
}

/* File systems on which another kernel may have the same file open. */
static bool is_shared(const char *type)
{
	static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p",
		"virtiofs", "fuse", "afs", "ceph", "glusterfs", "lustre", "gfs2", "ocfs2", "beegfs",
		"vboxsf", "vmhgfs", "prl_fs", "fakeowner", "drvfs"};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(type, types[i]))
			return true;
	return !strncmp(type, "fuse.", 5);
}

#define OTHERS(where)                                                                              \
	"programs that open it " where " use another -wal and -shm, so their rows "                \
	"never arrive here, and the database can be damaged"

static bool is_mounted(const char *path, bool alone, char *sentence, size_t size)
{
	char real[PATH_MAX], other[PATH_MAX] = "";
	struct looking l = {.real = place_real(path, real), .out = other, .size = sizeof(other)};

	if (stat(path, &l.st) < 0 || !find_mount(alone ? take_alone : take_elsewhere, &l))
		return false;
	if (alone)
		snprintf(sentence, size,
			"%s is a bind mount of one file (%s): " OTHERS(
				"there") "; mount the "
					 "file's directory instead",
			path, other);
	else
		snprintf(sentence, size,
			"%s is also mounted as one file at %s: " OTHERS(
				"there") "; mount its "
					 "directory there instead",
			path, other);
	return true;
}

static bool is_linked(const char *path, char *sentence, size_t size)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink < 2)
		return false;
	snprintf(sentence, size,
		"%s has %lu names (hard links): " OTHERS(
			"by another name") "; keep one name and "
					   "make the others symbolic links; to list them: find / "
					   "-xdev "
					   "-inum %lu",
		path, (unsigned long)st.st_nlink, (unsigned long)st.st_ino);
	return true;
}

static bool is_in_memory(const char *type)
{
	return !strcmp(type, "tmpfs") || !strcmp(type, "ramfs");
}

static bool is_on(const char *path, enum place_doubt doubt, char *sentence, size_t size)
{
	char type[64];

	place_type(path, type, sizeof(type));
	if (doubt == PLACE_SHARED && is_shared(type))
		snprintf(sentence, size,
			"%s is on a file system of type %s, which other machines may share. WAL "
			"mode works on one machine only: rows from another machine, or from a "
			"container's host, may never arrive, and can damage the database; "
			"put it on a local disk of the machine that writes",
			path, type);
	else if (doubt == PLACE_LAYER && !strcmp(type, "overlay"))
		snprintf(sentence, size,
			"%s is in a container's own layer (overlay): programs outside the "
			"container see another file, and the database is deleted with the "
			"container; keep its directory on a volume",
			path);
	else if (doubt == PLACE_IN_MEMORY && is_in_memory(type))
		snprintf(sentence, size,
			"%s is in memory (%s): a restart of the machine deletes all rows; if they "
			"matter, keep it on a disk, as in /var/lib/rowtail",
			path, type);
	else
		return false;
	return true;
}

bool place_doubts(enum place_doubt doubt, const char *path, char *sentence, size_t size)
{
	switch (doubt) {
	case PLACE_MOUNTED_ALONE:
	case PLACE_MOUNTED_ELSEWHERE:
		return is_mounted(path, doubt == PLACE_MOUNTED_ALONE, sentence, size);
	case PLACE_LINKED:
		return is_linked(path, sentence, size);
	case PLACE_SHARED:
	case PLACE_LAYER:
	case PLACE_IN_MEMORY:
		return is_on(path, doubt, sentence, size);
	default:
		return false;
	}
}
