/*
 * who: names the users and processes that cause a problem, for messages.
 *
 * Reads /proc, /etc/passwd and /etc/group. Opens nothing else, in particular no file of a database.
 * Finds nobody where the system does not tell (a sandbox without /proc/locks, a process in another
 * container). Slow: for messages that are logged once, not for every look at the log.
 */
#ifndef ROWTAIL_WHO_H
#define ROWTAIL_WHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct who_user {
	char name[64]; /* "www-data", or "user 1234" */
};

/*
 * Returns u->name, so that one sentence can name two users. In a service with PrivateUsers=, all
 * users except root and the service's own appear as one, which is named "another user".
 */
const char *who_user(struct who_user *u, uid_t id);

/* Writes the group's name, or its number if it has no name. */
void who_group(char *name, size_t size, gid_t id);

/* The users that web servers usually run as, if this machine has them, separated by ", ". */
struct who_web_servers {
	char members[128]; /* those in the group */
	char others[128];
};

void who_web_servers(struct who_web_servers *w, gid_t group);

struct who_process {
	pid_t id; /* 0: nobody was found */
	char name[64]; /* "process 812 (php-fpm8.2)" */
	bool is_rowtail;
};

/* Names a process. The kernel may hide its command name. */
void who_process(struct who_process *p, pid_t id);

/*
 * Finds a process that holds a lock on a database that keeps readers out. real: the file's resolved
 * path. Our own locks do not count.
 */
bool who_locks(struct who_process *p, const char *real);

/*
 * Finds a process that has this WAL-mode database open but uses another -shm, and so another -wal,
 * than the one beside this path. What that process writes never arrives here. The process may also
 * just be about to open the -shm, so check again a moment later before believing it.
 */
bool who_is_apart(struct who_process *p, const char *real);

/*
 * The users of the processes that have the database open now, as far as their locks tell: in
 * rollback mode only those that read or write at this moment. Each user once; at most `most`.
 * Returns how many.
 */
size_t who_have_open(uid_t *users, size_t most, const char *real);

/* May somebody use a file? */
enum who_may {
	WHO_MAY_NOT,
	WHO_MAY,
	WHO_UNKNOWN, /* the file has an access control list, or the user is not in /etc/passwd */
};

struct stat;

/*
 * May this user read (R_OK), write (W_OK) or enter (X_OK) a file, by its mode, its group and the
 * user's groups in /etc/passwd and /etc/group? st: of the path.
 */
enum who_may who_may(uid_t user, const char *path, const struct stat *st, int what);

/* Finds the process that listens on this TCP port, on any address. */
bool who_listens(struct who_process *p, uint16_t port);

#endif
