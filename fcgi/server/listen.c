#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/logging.h"
#include "protocol/http.h"
#include "server/listen_impl.h"

enum {
	FIRST_PASSED = 3,
	BACKLOG = 4096,
	LOCK_MOMENT_NS = 10 * 1000 * 1000,
	LOCK_TRIES = 200,
};

/* The kernel rounds it up to a tick. See listen_unblock(). */
static const struct timeval accept_most = {.tv_usec = 1};

static bool is_listening(int fd)
{
	int on = 0;
	socklen_t length = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &length) == 0 && on;
}

static struct listener *add(struct listeners *l, int fd, enum listen_protocol protocol, bool own)
{
	struct listener *new = &l->list[l->count++];

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	*new = (struct listener){.fd = fd, .protocol = protocol, .own = own};
	if (!own)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &accept_most, sizeof(accept_most));
	listen_unblock(new);
	return new;
}

void listen_unblock(const struct listener *l)
{
	int flags = fcntl(l->fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(l->fd, F_SETFL, flags | O_NONBLOCK);
}

/* What FileDescriptorName= of a socket unit asks for. Its default is the name of the unit. */
static enum listen_protocol protocol_of(const char *name, size_t length)
{
	if (length == strlen("http") && !strncasecmp(name, "http", length))
		return LISTEN_FOR_HTTP;
	if (length == strlen("pages") && !strncasecmp(name, "pages", length))
		return LISTEN_FOR_PAGES;
	return LISTEN_FOR_FASTCGI;
}

/* Warns if other machines can reach a socket that was passed for FastCGI. */
static void warn_if_passed_exposed(int fd, const char *name, size_t length)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
		(address.ss_family != AF_INET && address.ss_family != AF_INET6) ||
		listen_is_loopback((const void *)&address))
		return;
	log_warn("other machines can reach the socket \"%.*s\" that was passed for FastCGI, and "
		 "whoever can connect can claim to be anyone; for HTTP set FileDescriptorName=http "
		 "in its unit",
		(int)length, name);
}

/* Takes the sockets that systemd passed, as sd_listen_fds_with_names(3) describes. */
static void take_passed(struct listeners *l)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *name = getenv("LISTEN_FDNAMES");
	long passed =
		pid && count && strtol(pid, NULL, 10) == getpid() ? strtol(count, NULL, 10) : 0;

	if (!name)
		name = "";
	for (int fd = FIRST_PASSED; fd < FIRST_PASSED + passed && l->count < LISTEN_MAX; fd++) {
		size_t length = strcspn(name, ":");
		enum listen_protocol protocol = protocol_of(name, length);

		if (is_listening(fd)) {
			add(l, fd, protocol, false);
			if (protocol == LISTEN_FOR_FASTCGI)
				warn_if_passed_exposed(fd, name, length);
		}
		name += length + (name[length] == ':');
	}
}

int listen_try_path(const struct sockaddr_un *address, pid_t *listener)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	struct ucred peer = {0};
	socklen_t length = sizeof(peer);

	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		error = errno;
	else
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
	close(fd);
	*listener = peer.pid;
	return error;
}

bool listen_is_other_file(const char *path, char *sentence, size_t size)
{
	struct stat st;

	if (lstat(path, &st) < 0 || S_ISSOCK(st.st_mode))
		return false;
	snprintf(sentence, size, "listen: %s exists and is not a socket; name another path", path);
	return true;
}

static bool path_is_free(const struct sockaddr_un *address, char *sentence, size_t size)
{
	const char *path = address->sun_path;
	struct stat st;
	pid_t listener;

	if (lstat(path, &st) < 0)
		return true;
	if (listen_is_other_file(path, sentence, size))
		return false;
	switch (listen_try_path(address, &listener)) {
	case ECONNREFUSED:
	case ENOENT:
		return true;
	case EACCES:
	case EPERM:
		snprintf(sentence, size,
			"listen: %s is another user's socket, and this user cannot see whether a "
			"process listens on it; remove it if none does, or name another path",
			path);
		return false;
	default:
		snprintf(sentence, size,
			"listen: another process listens on %s; stop it first, or name another "
			"path",
			path);
		return false;
	}
}

/*
 * Creates the socket with the right mode from the first moment. A chmod by name afterwards could
 * follow a link that somebody put there. If the directory's default ACL gives another mode, the
 * file is opened before it is changed.
 */
static bool bind_with_mode(int fd, const struct sockaddr_un *address, unsigned mode)
{
	mode_t before = umask((mode_t)(~mode & 0777));
	bool bound = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
	char name[64];
	struct stat st;
	int made;

	umask(before);
	if (!bound)
		return false;
	if ((made = open(address->sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return false;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", made);
	if (fstat(made, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) != mode)
		chmod(name, (mode_t)mode);
	close(made);
	return true;
}

/* Binds under another name, and renames the socket when it is ready. */
static int bind_beside(
	const struct sockaddr_un *beside, const struct sockaddr_un *address, unsigned mode)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	if (fd < 0)
		return -1;
	unlink(beside->sun_path);
	if (bind_with_mode(fd, beside, mode) && listen(fd, BACKLOG) == 0 &&
		rename(beside->sun_path, address->sun_path) == 0)
		return fd;
	error = errno;
	unlink(beside->sun_path);
	close(fd);
	errno = error;
	return -1;
}

/*
 * Locks the directory, so that two processes that start together wait for each other. Otherwise
 * both would find the path free, and one of them would serve where nobody can reach it. Returns a
 * descriptor to close, or -1 without a lock.
 */
static int lock_directory(const struct sockaddr_un *address)
{
	const struct timespec moment = {.tv_nsec = LOCK_MOMENT_NS};
	struct sockaddr_un copy = *address;
	int fd = open(dirname(copy.sun_path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Not for ever: anyone can hold the lock of a directory that everyone can open. */
	for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		nanosleep(&moment, NULL);
	}
	return fd;
}

/* Returns a socket that listens on the path, or -1 and a sentence that says what to do. */
static int make_unix(const struct listen_wish *wish, char *sentence, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}, beside = address;
	int fd = -1, lock;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", wish->address);
	snprintf(beside.sun_path, sizeof(beside.sun_path), "%s~", wish->address);
	lock = lock_directory(&address);
	if (path_is_free(&address, sentence, size) &&
		!listen_is_other_file(beside.sun_path, sentence, size) &&
		(fd = bind_beside(&beside, &address, wish->mode)) < 0)
		snprintf(sentence, size,
			"listen: cannot create a socket at %s: %s; its directory must exist, and "
			"rowtail's user must be able to write to it",
			wish->address, strerror(errno));
	if (lock >= 0)
		close(lock);
	return fd;
}

static bool open_unix(
	struct listeners *l, const struct listen_wish *wish, char *sentence, size_t size)
{
	struct listener *new;
	struct stat st;
	int fd;

	if (strlen(wish->address) >= sizeof(new->path) - 1) {
		snprintf(sentence, size, "listen: the socket's path is longer than %zu bytes",
			sizeof(new->path) - 2);
		return false;
	}
	if ((fd = make_unix(wish, sentence, size)) < 0)
		return false;
	new = add(l, fd, wish->protocol, true);
	snprintf(new->path, sizeof(new->path), "%s", wish->address);
	if (lstat(new->path, &st) == 0)
		new->inode = st.st_ino;
	if (wish->mode & 07 && wish->protocol == LISTEN_FOR_FASTCGI)
		log_warn("every user of this machine can connect to the socket %s (--listen-mode "
			 "%04o), "
			 "and whoever can connect can claim to be anyone",
			new->path, wish->mode);
	return true;
}

static int bind_tcp(const struct sockaddr *address)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address, listen_address_size(address)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

/*
 * A web server may connect to any address of the name (localhost is ::1 and 127.0.0.1), so we
 * listen on all of them that this machine has. Returns 0, or the errno of what failed.
 */
static int bind_all(struct listeners *l, const struct listen_addresses *addresses,
	enum listen_protocol protocol)
{
	size_t before = l->count;
	int missing = 0, fd;

	for (size_t i = 0; i < addresses->count; i++) {
		if (l->count == LISTEN_MAX)
			return ENOBUFS;
		if ((fd = bind_tcp((const void *)&addresses->list[i])) >= 0)
			add(l, fd, protocol, true);
		else if (listen_may_lack(addresses, i, errno))
			missing = errno;
		else
			return errno;
	}
	return l->count > before ? 0 : missing;
}

/* No warning for HTTP: a client cannot claim there to be anyone. */
static void warn_if_exposed(
	const struct listen_addresses *addresses, const struct listen_wish *wish)
{
	for (size_t i = 0; i < addresses->count && wish->protocol != LISTEN_FOR_HTTP; i++)
		if (!listen_is_loopback((const void *)&addresses->list[i])) {
			log_warn("other machines can reach %s, and %s; use a unix socket or "
				 "127.0.0.1",
				wish->address,
				wish->protocol == LISTEN_FOR_PAGES
					? "whoever can connect can read the pages"
					: "whoever can connect can claim to be anyone");
			return;
		}
}

static bool open_tcp(
	struct listeners *l, const struct listen_wish *wish, char *sentence, size_t size)
{
	struct listen_addresses addresses;
	int error, prefix;

	if (!listen_addresses(&addresses, wish->address, sentence, size))
		return false;
	if ((error = bind_all(l, &addresses, wish->protocol))) {
		prefix = snprintf(sentence, size, "listen: ");
		listen_tell(wish->address, addresses.port, error, sentence + prefix,
			size - (size_t)prefix);
		return false;
	}
	warn_if_exposed(&addresses, wish);
	return true;
}

bool listen_wish(const struct config *config, size_t n, struct listen_wish *wish)
{
	*wish = (struct listen_wish){config->listen, LISTEN_FOR_FASTCGI, config->listen_mode};
	if (config->listen && n-- == 0)
		return true;
	wish->address = config->pages;
	wish->protocol = LISTEN_FOR_PAGES;
	if (config->pages && n-- == 0)
		return true;
	wish->protocol = LISTEN_FOR_HTTP;
	for (const char **http = config->http; *http; http++) {
		wish->address = *http;
		if (n-- == 0)
			return true;
	}
	return false;
}

bool listen_is_repeated(const struct config *config, size_t n)
{
	struct listen_wish wish, other;

	if (!listen_wish(config, n, &wish))
		return false;
	while (n-- > 0)
		if (listen_wish(config, n, &other) && !strcmp(other.address, wish.address))
			return true;
	return false;
}

/* False, with a sentence, if this program cannot speak a protocol that it should. */
static bool is_spoken(enum listen_protocol protocol, char *sentence, size_t size)
{
	if (protocol == LISTEN_FOR_FASTCGI || http_is_built())
		return true;
	snprintf(sentence, size,
		"listen: this rowtail was built without llhttp, so it has no --http and no "
		"--pages; build it where node-llhttp or libllhttp-dev is installed");
	return false;
}

/* Makes the sockets of our own. Inherited ones take the place of options for the same protocol. */
static bool open_own(struct listeners *l, const struct config *config, char *sentence, size_t size)
{
	bool inherited[LISTEN_FOR_PAGES + 1] = {false}, open;
	struct listen_wish wish;

	for (size_t i = 0; i < l->count; i++) {
		inherited[l->list[i].protocol] = true;
		if (!is_spoken(l->list[i].protocol, sentence, size))
			return false;
	}
	for (size_t n = 0; listen_wish(config, n, &wish); n++) {
		if (inherited[wish.protocol])
			continue;
		if (!is_spoken(wish.protocol, sentence, size))
			return false;
		if (listen_is_repeated(config, n)) {
			snprintf(sentence, size,
				"listen: %s is given twice; give each socket an address of its own",
				wish.address);
			return false;
		}
		if (l->count == LISTEN_MAX) {
			snprintf(sentence, size, "listen: there are more than %d sockets",
				LISTEN_MAX);
			return false;
		}
		open = strchr(wish.address, '/') ? open_unix(l, &wish, sentence, size)
						 : open_tcp(l, &wish, sentence, size);
		if (!open)
			return false;
	}
	return true;
}

bool listen_is_served(void)
{
	return is_listening(0) || getenv("LISTEN_FDS") || getenv("GATEWAY_INTERFACE");
}

bool listen_open(struct listeners *l, const struct config *config, char *sentence, size_t size)
{
	memset(l, 0, sizeof(*l));
	l->kind = LISTEN_SOCKETS;
	take_passed(l);
	if (l->count == 0 && is_listening(0))
		add(l, 0, LISTEN_FOR_FASTCGI, false);
	if (!open_own(l, config, sentence, size)) {
		listen_close(l);
		return false;
	}
	if (l->count == 0)
		l->kind = getenv("GATEWAY_INTERFACE") ? LISTEN_CGI : LISTEN_NOWHERE;
	return true;
}

const char *listen_path(const struct listeners *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (*l->list[i].path)
			return l->list[i].path;
	return "";
}

static void close_one(struct listener *l)
{
	struct stat st;

	if (*l->path && lstat(l->path, &st) == 0 && st.st_ino == l->inode)
		unlink(l->path);
	close(l->fd);
}

void listen_close_own(struct listeners *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++)
		if (l->list[i].own)
			close_one(&l->list[i]);
		else
			l->list[kept++] = l->list[i];
	l->count = kept;
}

void listen_close(struct listeners *l)
{
	listen_close_own(l);
	for (size_t i = 0; i < l->count; i++)
		close(l->list[i].fd);
	l->count = 0;
}
