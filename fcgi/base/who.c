#include "base/who.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	LOCKS_MAX = 4096, /* lines of /proc/locks to examine */
	LOCKS_READ = 5, /* how often to read it */
	/* Bytes that SQLite locks in the database, and in the -shm: its file format, section 4. */
	DATABASE_FIRST = 0x40000000,
	DATABASE_LAST = DATABASE_FIRST + 511,
	SHARED_FIRST = DATABASE_FIRST + 2,
	SHM_FIRST = 120,
	SHM_LAST = 127,
	SHM_USED = 128, /* every process that has the -shm open holds a read lock on it */
	TCP_LISTENING = 0x0a,
	UNSEEN_USER = 65534, /* stands for users outside the user map, see user_namespaces(7) */
};

/* Cuts off the next word of a line, in place; "" if there is none. */
static char *next_word(char **rest)
{
	static char none[32];
	char *word = none;

	while (*rest && !*word)
		word = strsep(rest, " \t\n");
	return word;
}

/* Does this process see all users, or only those in a user map? */
static bool sees_users(void)
{
	FILE *file = fopen("/proc/self/uid_map", "re");
	char line[64] = "", *rest = line;
	unsigned long count = 0;

	if (file && fgets(line, sizeof(line), file)) {
		next_word(&rest);
		next_word(&rest);
		count = strtoul(next_word(&rest), NULL, 10);
	}
	if (file)
		fclose(file);
	return !file || count >= UNSEEN_USER;
}

/*
 * getpwuid() and the like load libraries of the same glibc version at run time. A static program
 * cannot rely on them, so we read the files.
 */
static bool find_user(FILE *file, uid_t id, char *name, size_t size)
{
	const struct passwd *entry;

	while (file && (entry = fgetpwent(file)))
		if (entry->pw_uid == id) {
			snprintf(name, size, "%s", entry->pw_name);
			return true;
		}
	return false;
}

const char *who_user(struct who_user *u, uid_t id)
{
	FILE *file = fopen("/etc/passwd", "re");

	if (id == UNSEEN_USER && !sees_users())
		snprintf(u->name, sizeof(u->name), "another user");
	else if (!find_user(file, id, u->name, sizeof(u->name)))
		snprintf(u->name, sizeof(u->name), "user %u", (unsigned)id);
	if (file)
		fclose(file);
	return u->name;
}

/* The group with this number; valid until the next call. */
static const struct group *find_group(FILE *file, gid_t id)
{
	const struct group *entry = NULL;

	while (file && (entry = fgetgrent(file)) && entry->gr_gid != id)
		;
	return entry;
}

void who_group(char *name, size_t size, gid_t id)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *entry = find_group(file, id);

	if (entry)
		snprintf(name, size, "%s", entry->gr_name);
	else
		snprintf(name, size, "%u", (unsigned)id);
	if (file)
		fclose(file);
}

static bool has_member(const struct group *group, const char *name)
{
	for (char **member = group ? group->gr_mem : NULL; member && *member; member++)
		if (!strcmp(*member, name))
			return true;
	return false;
}

/* Adds a name to one of the two lists. */
static void list_user(struct who_web_servers *w, const char *name, bool is_member)
{
	char *list = is_member ? w->members : w->others;
	size_t length = strlen(list);

	snprintf(list + length, sizeof(w->members) - length, "%s%s", length ? ", " : "", name);
}

void who_web_servers(struct who_web_servers *w, gid_t group)
{
	static const char *const names[] = {"www-data", "nginx", "apache", "http", "lighttpd",
		"caddy", "haproxy", "wwwrun", "www"};
	FILE *users = fopen("/etc/passwd", "re"), *groups = fopen("/etc/group", "re");
	const struct group *entry = find_group(groups, group);
	const struct passwd *user;

	memset(w, 0, sizeof(*w));
	while (users && (user = fgetpwent(users)))
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (!strcmp(user->pw_name, names[i]))
				list_user(w, names[i],
					user->pw_gid == group || has_member(entry, names[i]));
	if (users)
		fclose(users);
	if (groups)
		fclose(groups);
}

/* True also for a CONFIG file that is itself the program: the process then has the file's name. */
static bool runs_rowtail(pid_t id)
{
	char path[64], program[PATH_MAX];
	const char *name;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%ld/exe", (long)id);
	length = readlink(path, program, sizeof(program) - 1);
	program[length > 0 ? length : 0] = '\0';
	name = strrchr(program, '/');
	return name && !strncmp(name, "/rowtail", 8);
}

void who_process(struct who_process *p, pid_t id)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)id);
	if ((file = fopen(path, "re"))) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	p->id = id;
	p->is_rowtail = !strncmp(name, "rowtail", 7) || runs_rowtail(id);
	if (*name)
		snprintf(p->name, sizeof(p->name), "process %ld (%s)", (long)id, name);
	else
		snprintf(p->name, sizeof(p->name), "process %ld", (long)id);
}

/* A line of /proc/locks. */
struct lock {
	dev_t device;
	ino_t inode;
	pid_t process;
	bool write;
	unsigned long long first, last;
};

/*
 * "1: POSIX ADVISORY WRITE 812 fe:00:1234 0 EOF". False if the line is not a lock held by another
 * process, but a waiting process ("1: -> POSIX") or a lease.
 */
static bool parse_lock(char *line, struct lock *l)
{
	unsigned long major, minor;
	char *at;

	next_word(&line);
	if (strcmp(next_word(&line), "POSIX") != 0)
		return false;
	next_word(&line);
	l->write = !strcmp(next_word(&line), "WRITE");
	l->process = (pid_t)strtol(next_word(&line), NULL, 10);
	at = next_word(&line);
	major = strtoul(at, &at, 16);
	minor = strtoul(*at ? at + 1 : at, &at, 16);
	l->device = makedev(major, minor);
	l->inode = strtoul(*at ? at + 1 : at, NULL, 10);
	l->first = strtoull(next_word(&line), NULL, 10);
	at = next_word(&line);
	l->last = strcmp(at, "EOF") ? strtoull(at, NULL, 10) : ULLONG_MAX;
	return *at && l->process > 0 && l->process != getpid();
}

static bool overlaps(const struct lock *l, unsigned long long first, unsigned long long last)
{
	return l->first <= last && l->last >= first;
}

static bool find_lock_once(bool (*take)(void *context, const struct lock *l), void *context)
{
	FILE *file = fopen("/proc/locks", "re");
	char line[256];
	struct lock l;
	bool found = false;

	for (int i = 0; file && !found && i < LOCKS_MAX && fgets(line, sizeof(line), file); i++)
		found = parse_lock(line, &l) && take(context, &l);
	if (file)
		fclose(file);
	return found;
}

/*
 * Calls `take` with each lock until it returns true; returns whether it did. The kernel delivers
 * the list in pieces. When other processes lock and unlock meanwhile, a lock can be missed between
 * two pieces. So the list is read several times before a lock counts as absent.
 */
static bool find_lock(bool (*take)(void *context, const struct lock *l), void *context)
{
	bool found = false;

	for (int i = 0; !found && i < LOCKS_READ; i++)
		found = find_lock_once(take, context);
	return found;
}

/* The two files whose locks we look for. */
struct locked {
	struct stat database, shm;
	bool has_shm;
	bool is_anywhere; /* stat() gives another device than /proc/locks: ignore the device */
	pid_t process;
};

static bool is_of(const struct lock *l, const struct locked *files, const struct stat *st)
{
	return l->inode == st->st_ino && (l->device == st->st_dev || files->is_anywhere);
}

static bool look(struct locked *files, const char *real)
{
	char path[PATH_MAX];
	struct statfs fs;

	memset(files, 0, sizeof(*files));
	if (stat(real, &files->database) < 0)
		return false;
	files->is_anywhere = statfs(real, &fs) == 0 &&
			     (fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC);
	files->has_shm = (size_t)snprintf(path, sizeof(path), "%s-shm", real) < sizeof(path) &&
			 stat(path, &files->shm) == 0;
	return true;
}

static bool keeps_out(void *context, const struct lock *l)
{
	struct locked *files = context;

	if (!l->write || !((is_of(l, files, &files->database) &&
				   overlaps(l, DATABASE_FIRST, DATABASE_LAST)) ||
				 (files->has_shm && is_of(l, files, &files->shm) &&
					 overlaps(l, SHM_FIRST, SHM_LAST))))
		return false;
	files->process = l->process;
	return true;
}

bool who_locks(struct who_process *p, const char *real)
{
	struct locked files;

	p->id = 0;
	if (!look(&files, real) || !find_lock(keeps_out, &files))
		return false;
	who_process(p, files.process);
	return true;
}

/* Does the process files->process have the -shm open? */
static bool takes_part(void *context, const struct lock *l)
{
	const struct locked *files = context;

	return l->process == files->process && is_of(l, files, &files->shm) &&
	       overlaps(l, SHM_FIRST, SHM_USED);
}

static bool is_apart(void *context, const struct lock *l)
{
	struct locked *files = context;

	if (!is_of(l, files, &files->database) || l->write ||
		!overlaps(l, SHARED_FIRST, DATABASE_LAST))
		return false;
	files->process = l->process;
	return !files->has_shm || !find_lock(takes_part, files);
}

bool who_is_apart(struct who_process *p, const char *real)
{
	struct locked files;

	p->id = 0;
	/* Once is enough: a process that is apart now will still be apart at the next call. */
	if (!look(&files, real) || !find_lock_once(is_apart, &files))
		return false;
	who_process(p, files.process);
	return true;
}

/* Who has the database open. */
struct openers {
	struct locked files;
	uid_t *users;
	size_t count, most;
};

/* Never ends the search. */
static bool take_opener(void *context, const struct lock *l)
{
	struct openers *o = context;
	struct stat process;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld", (long)l->process);
	if (!is_of(l, &o->files, &o->files.database) ||
		!overlaps(l, DATABASE_FIRST, DATABASE_LAST) || stat(path, &process) < 0)
		return false;
	for (size_t i = 0; i < o->count; i++)
		if (o->users[i] == process.st_uid)
			return false;
	if (o->count < o->most)
		o->users[o->count++] = process.st_uid;
	return false;
}

size_t who_have_open(uid_t *users, size_t most, const char *real)
{
	struct openers o = {.users = users, .most = most};

	if (look(&o.files, real))
		find_lock_once(take_opener, &o);
	return o.count;
}

/* Is the user in the group? *known: this machine lists the user. */
static bool is_in_group(uid_t user, gid_t group, bool *known)
{
	FILE *users = fopen("/etc/passwd", "re"), *groups = fopen("/etc/group", "re");
	const struct passwd *entry = NULL;
	bool is_in = false;

	while (users && (entry = fgetpwent(users)) && entry->pw_uid != user)
		;
	*known = entry != NULL;
	if (entry)
		is_in = entry->pw_gid == group ||
			has_member(find_group(groups, group), entry->pw_name);
	if (users)
		fclose(users);
	if (groups)
		fclose(groups);
	return is_in;
}

enum who_may who_may(uid_t user, const char *path, const struct stat *st, int what)
{
	unsigned want = (unsigned)what, mode = st->st_mode;
	bool known, is_in;

	if (user == 0)
		return WHO_MAY;
	if (user == st->st_uid)
		return (mode >> 6 & want) == want ? WHO_MAY : WHO_MAY_NOT;
	if (getxattr(path, "system.posix_acl_access", NULL, 0) > 0)
		return WHO_UNKNOWN;
	if ((mode >> 3 & want) == want && (mode & want) == want)
		return WHO_MAY;
	is_in = is_in_group(user, st->st_gid, &known);
	if (!known && (mode >> 3 & want) != (mode & want))
		return WHO_UNKNOWN;
	return ((is_in ? mode >> 3 : mode) & want) == want ? WHO_MAY : WHO_MAY_NOT;
}

/*
 * "0: 0100007F:2328 00000000:0000 0A … INODE …". Returns the inode if the socket listens on the
 * port; else 0.
 */
static unsigned long parse_socket(char *line, uint16_t port)
{
	char *colon;

	next_word(&line);
	colon = strchr(next_word(&line), ':');
	next_word(&line);
	if (!colon || strtoul(colon + 1, NULL, 16) != port ||
		strtoul(next_word(&line), NULL, 16) != TCP_LISTENING)
		return 0;
	for (int i = 0; i < 5; i++)
		next_word(&line);
	return strtoul(next_word(&line), NULL, 10);
}

/* The inode of the socket that listens on the port, from one of the two kernel tables; 0: none. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
	FILE *file = fopen(table, "re");
	char line[512];
	unsigned long found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
		found = parse_socket(line, port);
	if (file)
		fclose(file);
	return found;
}

/* Is this one of a process's descriptors? */
static bool has_socket(const char *process, const char *socket)
{
	char path[320], target[64];
	struct dirent *entry;
	bool found = false;
	ssize_t length;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%.32s/fd", process);
	if (!(fds = opendir(path)))
		return false;
	while (!found && (entry = readdir(fds))) {
		snprintf(path, sizeof(path), "/proc/%.32s/fd/%s", process, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		found = !strcmp(target, socket);
	}
	closedir(fds);
	return found;
}

bool who_listens(struct who_process *p, uint16_t port)
{
	unsigned long inode = listening_inode("/proc/self/net/tcp", port);
	struct dirent *entry;
	char socket[64];
	DIR *processes;

	p->id = 0;
	if (!inode && !(inode = listening_inode("/proc/self/net/tcp6", port)))
		return false;
	snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
	if (!(processes = opendir("/proc")))
		return false;
	while (!p->id && (entry = readdir(processes)))
		if (strtol(entry->d_name, NULL, 10) > 0 && has_socket(entry->d_name, socket))
			who_process(p, (pid_t)strtol(entry->d_name, NULL, 10));
	closedir(processes);
	return p->id != 0;
}
