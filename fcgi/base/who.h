/*
 * who: the users and processes that stand in the way, by name, for sentences.
 *
 * Reads /proc, /etc/passwd and /etc/group; opens nothing else, above all no file of a database. Where the
 * system does not tell (a sandbox without /proc/locks, a process in another container), it finds
 * nobody. Slow: for what is said once, not for every look at the log.
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
 * Returns u->name, so that a sentence may hold two of them. A service with PrivateUsers= sees all users
 * but root and its own as one: that is "another user".
 */
const char *who_user(struct who_user *u, uid_t id);

/* Writes the group's name, or its number where it has none. */
void who_group(char *name, size_t size, gid_t id);

/* The users that web servers run as, of those that this machine has, separated by ", ". */
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

/* Which process is this? Its name may not be readable. */
void who_process(struct who_process *p, pid_t id);

/*
 * Who holds a lock on a database that keeps readers out? real: the file's own path. Our own locks do
 * not count.
 */
bool who_locks(struct who_process *p, const char *real);

/*
 * Who has a database in WAL mode open and shares another -shm, and so another -wal, than the one that
 * stands beside this path? What such a process writes never arrives here. It may only just be about to
 * open the -shm: believe what is still so a moment later.
 */
bool who_is_apart(struct who_process *p, const char *real);

/* Who listens on this TCP port, on any address? */
bool who_listens(struct who_process *p, uint16_t port);

#endif
