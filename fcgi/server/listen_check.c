/* Checks --listen, --http and --pages for --check. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/who.h"
#include "server/listen_impl.h"

/* What is being checked, and the sentence about it. */
struct looking {
	const struct listen_wish *wish;
	char *sentence;
	size_t size;
};

#define SAY(l, ...) snprintf((l)->sentence, (l)->size, __VA_ARGS__)

/* A process already listens there. */
static enum listen_finding tell_served(struct looking *l, const struct who_process *by)
{
	const char *what = l->wish->address;

	if (by->id && !by->is_rowtail && by->id != 1) {
		SAY(l, "%s listens on %s; stop it first, or name another %s", by->name, what,
			strchr(what, '/') ? "path" : "port");
		return LISTEN_IMPOSSIBLE;
	}
	SAY(l,
		"%s listens on %s now. That is right if it is this service, which is left running; "
		"a second one could not start there",
		by->id ? by->name : "somebody", what);
	return LISTEN_SERVED;
}

/* Can files be created in the directory? */
static bool check_directory(struct looking *l, const char *directory)
{
	struct who_user us;
	struct stat st;

	who_user(&us, geteuid());
	if (stat(directory, &st) < 0)
		SAY(l,
			"%s cannot be made in the directory %s: %s; create it for rowtail's user "
			"(in a systemd unit, RuntimeDirectory= does)",
			l->wish->address, directory, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		SAY(l, "%s is not a directory; name another path", directory);
	else if (access(directory, W_OK | X_OK) < 0)
		SAY(l,
			"%s cannot be made, because %s may not write to the directory %s: %s; give "
			"rowtail's user a directory of its own, such as /run/rowtail",
			l->wish->address, us.name, directory, strerror(errno));
	else
		return true;
	return false;
}

/* In a sticky directory such as /tmp, only the owner of a file can remove or replace it. */
static bool may_replace(struct looking *l, const char *directory)
{
	struct who_user owner;
	struct stat st, in;

	if (lstat(l->wish->address, &st) < 0 || stat(directory, &in) < 0 ||
		!(in.st_mode & S_ISVTX) || geteuid() == 0 || geteuid() == st.st_uid ||
		geteuid() == in.st_uid)
		return true;
	SAY(l,
		"%s was left by %s, and in %s only that user can remove it; remove it, or name "
		"another path",
		l->wish->address, who_user(&owner, st.st_uid), directory);
	return false;
}

/* The group of the socket: the directory's if the directory passes its group on. */
static gid_t group_of(const char *directory, char *name, size_t size)
{
	struct stat st = {0};
	gid_t id = stat(directory, &st) == 0 && st.st_mode & S_ISGID ? st.st_gid : getegid();

	who_group(name, size, id);
	return id;
}

/*
 * Who can connect by the group. A web server that cannot gets "permission denied" and reports
 * rowtail as down.
 */
static enum listen_finding tell_group(struct looking *l, const char *directory)
{
	struct who_web_servers servers;
	unsigned mode = l->wish->mode;
	char group[64];

	who_web_servers(&servers, group_of(directory, group, sizeof(group)));
	if (!*servers.members && *servers.others) {
		SAY(l,
			"%s can be made, with mode %04o and group %s, but no web server's user of "
			"this "
			"machine is in that group (%s). A web server that may not connect reports "
			"rowtail as down; name a path in a directory of its own, with the web "
			"server's group and mode 2770",
			l->wish->address, mode, group, servers.others);
		return LISTEN_DOUBTFUL;
	}
	SAY(l, "%s can be made, with mode %04o and group %s, %s%s", l->wish->address, mode, group,
		*servers.members ? "which lets in " : "in which the web server's user must be",
		servers.members);
	return LISTEN_FREE;
}

/* Tells who will be able to connect. */
static enum listen_finding tell_unix(struct looking *l, const char *directory)
{
	unsigned mode = l->wish->mode;
	struct who_user us;

	if (mode & 07 && l->wish->protocol == LISTEN_FOR_FASTCGI) {
		SAY(l,
			"every user of this machine will be able to connect to %s, and to claim to "
			"be "
			"anyone (--listen-mode %04o); 0660 with the web server's group is enough",
			l->wish->address, mode);
		return LISTEN_DOUBTFUL;
	}
	if (mode & 020)
		return tell_group(l, directory);
	SAY(l,
		"%s can be made, with mode %04o: only %s can connect; 0660 also lets the web "
		"server's group connect",
		l->wish->address, mode, who_user(&us, geteuid()));
	return LISTEN_DOUBTFUL;
}

static enum listen_finding check_unix(struct looking *l)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}, beside = address, copy;
	struct who_process by = {0};
	const char *directory;
	struct stat st;
	pid_t listener;
	int error;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", l->wish->address);
	snprintf(beside.sun_path, sizeof(beside.sun_path), "%s~", l->wish->address);
	copy = address;
	directory = dirname(copy.sun_path);
	if (!check_directory(l, directory) ||
		listen_is_other_file(address.sun_path, l->sentence, l->size) ||
		listen_is_other_file(beside.sun_path, l->sentence, l->size))
		return LISTEN_IMPOSSIBLE;
	if (lstat(address.sun_path, &st) < 0)
		return tell_unix(l, directory);
	error = listen_try_path(&address, &listener);
	if (error == 0 || error == EAGAIN) {
		if (listener)
			who_process(&by, listener);
		return tell_served(l, &by);
	}
	if (error == EACCES || error == EPERM) {
		SAY(l,
			"%s exists, and this user cannot see whether a process listens on it; "
			"remove it if none does, or name another path",
			l->wish->address);
		return LISTEN_IMPOSSIBLE;
	}
	return may_replace(l, directory) ? tell_unix(l, directory) : LISTEN_IMPOSSIBLE;
}

/* Binds without listening, which disturbs nobody. Returns 0 or the errno. */
static int try_port(const struct sockaddr *address)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, error = 0;

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address, listen_address_size(address)) < 0)
		error = errno;
	close(fd);
	return error;
}

/* Like listen.c, ignores addresses that this machine does not have, if it has others. */
static int try_ports(const struct listen_addresses *addresses, bool *exposed)
{
	int missing = 0, error;
	bool any = false;

	*exposed = false;
	for (size_t i = 0; i < addresses->count; i++) {
		const struct sockaddr *address = (const void *)&addresses->list[i];

		*exposed |= !listen_is_loopback(address);
		error = try_port(address);
		if (!error)
			any = true;
		else if (listen_may_lack(addresses, i, error))
			missing = error;
		else
			return error;
	}
	return any ? 0 : missing;
}

static enum listen_finding tell_port(struct looking *l, int error, uint16_t port, bool exposed)
{
	const char *what = l->wish->address;
	struct who_process by;

	switch (error) {
	case 0:
		if (exposed && l->wish->protocol == LISTEN_FOR_HTTP) {
			SAY(l, "%s is free; other machines can reach it", what);
			return LISTEN_FREE;
		}
		if (exposed && l->wish->protocol == LISTEN_FOR_PAGES) {
			SAY(l,
				"other machines can reach %s, and whoever can connect can read the "
				"pages; use a unix socket or 127.0.0.1",
				what);
			return LISTEN_DOUBTFUL;
		}
		if (!exposed) {
			SAY(l, "%s is free; every user of this machine can reach it", what);
			return LISTEN_FREE;
		}
		SAY(l,
			"other machines can reach %s, and whoever can connect can claim to be "
			"anyone; use a unix socket or 127.0.0.1",
			what);
		return LISTEN_DOUBTFUL;
	case EADDRINUSE:
		who_listens(&by, port);
		return tell_served(l, &by);
	default:
		listen_tell(what, port, error, l->sentence, l->size);
		return LISTEN_IMPOSSIBLE;
	}
}

static enum listen_finding check_tcp(struct looking *l)
{
	struct listen_addresses addresses;
	bool exposed;
	int error;

	if (!listen_addresses(&addresses, l->wish->address, l->sentence, l->size))
		return LISTEN_IMPOSSIBLE;
	error = try_ports(&addresses, &exposed);
	return tell_port(l, error, addresses.port, exposed);
}

enum listen_finding listen_check(const struct listen_wish *wish, char *sentence, size_t size)
{
	struct looking l = {wish, sentence, size};

	return strchr(wish->address, '/') ? check_unix(&l) : check_tcp(&l);
}
