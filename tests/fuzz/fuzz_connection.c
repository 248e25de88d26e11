/* links: everything */
/* libs: -lfcgi -lsqlite3 -luv -linih -lsodium -lhogweed -lnettle -lgmp -ljansson -lpthread */
/*
 * The input is the bytes of one connection to the whole program, libfcgi included. Its first byte
 * says into how many pieces the rest is split; the rest is sent, and the sending side closed. The
 * program runs in a thread, so that the fuzzer sees its coverage. It must close the connection too,
 * and send only complete FastCGI records of a responder's types. Some channels are open to
 * everyone; the others need the user ann, the token "good", or a JWT signed with SECRET.
 */
int rowtail_main(int argc, char **argv);
#define main rowtail_main
#include "../../fcgi/main.c"
#undef main

#include <errno.h>
#include <fastcgi.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "require.h"

enum { ANSWER_MAX = 4 << 20, HANG_MS = 5000, PIECES_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "thirty-two or more bytes, which nobody would guess"

static char directory[] = "/tmp/rt-fuzz-XXXXXX", database[64], listening[64], key[64];

static const char rows[] =
	"CREATE TABLE events(id INTEGER PRIMARY KEY, channel TEXT, event TEXT, data TEXT);"
	"INSERT INTO events VALUES (1, 'default', NULL, 'hello'), (2, 'a/b', 'x', 'two' || "
	"char(10)),"
	"(3, 'default', 'y', hex(zeroblob(50000))), (4, 'c', NULL, 'of few');"
	"CREATE TABLE grants(subject TEXT, channel TEXT, expires_at TEXT);"
	"INSERT INTO grants VALUES ('*', 'default', NULL), ('*', 'a/*', '2999-01-01T00:00:00Z'),"
	"('user:ann', '*', NULL), ('user:bob', 'c', '2001-01-01T00:00:00Z'), "
	"('token:770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c', '*', NULL)";

static void clean_up(void)
{
	unlink(database);
	unlink(listening);
	unlink(key);
	rmdir(directory);
}

static void make_database(void)
{
	FILE *file;
	sqlite3 *db;

	require(mkdtemp(directory) != NULL, "there is a directory");
	snprintf(database, sizeof(database), "%s/db", directory);
	snprintf(listening, sizeof(listening), "%s/socket", directory);
	snprintf(key, sizeof(key), "%s/key", directory);
	atexit(clean_up);
	file = fopen(key, "w");
	require(file && fputs(SECRET, file) >= 0 && fclose(file) == 0, "there is a key");
	require(sqlite3_open(database, &db) == SQLITE_OK &&
			sqlite3_exec(db, rows, NULL, NULL, NULL) == SQLITE_OK,
		"there is a database");
	sqlite3_close(db);
}

static pid_t server;

static void *serve(void *unused)
{
	static const char *const arguments[] = {"rowtail", "--db", database, "--listen", listening,
		"--log-level", "error", "--allow-origin", "https://example.org",
		"--allow-query-token", "--jwt-key", key, "--jwt-algorithm", "HS256",
		"--max-streams-per-client", "3", NULL};

	server = gettid();
	rowtail_main(sizeof(arguments) / sizeof(*arguments) - 1, (char **)(uintptr_t)arguments);
	require(false, "the program goes on");
	return unused;
}

static int try_to_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", listening);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connection(void)
{
	static bool begun;
	pthread_t thread;
	int fd;

	if (begun) {
		fd = try_to_connect();
		require(fd >= 0, "the program accepts");
		return fd;
	}
	begun = true;
	make_database();
	require(pthread_create(&thread, NULL, serve, NULL) == 0, "there is a thread");
	for (int i = 0; i < 1000; i++) {
		if ((fd = try_to_connect()) >= 0)
			return fd;
		usleep(10000);
	}
	require(false, "the program starts");
	return -1;
}

/*
 * Whether the program sleeps. On a busy machine it may have work but no processor for a long time.
 */
static bool sleeps(void)
{
	char path[64], state = '\0';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)server);
	file = fopen(path, "r");
	require(file != NULL && fscanf(file, "%*d (%*[^)]) %c", &state) == 1, "it has a state");
	fclose(file);
	return state == 'S';
}

/* Waits until there is something to read. The fuzzer itself notices an endless loop. */
static void wait_for_more(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, HANG_MS) == 0)
		require(!sleeps() || poll(&p, 1, 0) == 1, "the program closes in time");
}

/* Reads what has arrived; false if the program has closed. */
static bool take(int fd, uint8_t *answer, size_t *length)
{
	ssize_t n;

	wait_for_more(fd);
	n = recv(fd, answer + *length, ANSWER_MAX - *length, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN;
	*length += (size_t)n;
	require(*length < ANSWER_MAX, "an answer has an end");
	return n > 0;
}

/* Sends all pieces, unless the program closes first. */
static void send_all(int fd, const uint8_t *data, size_t size, size_t piece)
{
	for (size_t at = 0; at < size;) {
		size_t length = size - at < piece ? size - at : piece;
		ssize_t n = send(fd, data + at, length, MSG_NOSIGNAL);

		if (n < 0)
			return;
		at += (size_t)n;
	}
}

static void require_records(const uint8_t *answer, size_t length)
{
	size_t at = 0;

	while (length - at >= FCGI_HEADER_LEN) {
		const uint8_t *header = answer + at;
		size_t size = (size_t)header[4] << 8 | header[5];

		require(header[0] == FCGI_VERSION_1, "a record is of version 1");
		require(header[1] == FCGI_STDOUT || header[1] == FCGI_STDERR ||
				header[1] == FCGI_END_REQUEST ||
				header[1] == FCGI_GET_VALUES_RESULT ||
				header[1] == FCGI_UNKNOWN_TYPE,
			"a record is of a kind that a responder sends");
		size += FCGI_HEADER_LEN + header[6];
		if (size > length - at)
			return; /* the peer had closed and did not want the rest */
		at += size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t answer[ANSWER_MAX];
	size_t length = 0, pieces;
	int fd;

	if (size == 0)
		return 0;
	pieces = 1 + data[0] % PIECES_MAX;
	fd = connection();
	send_all(fd, data + 1, size - 1, 1 + (size - 1) / pieces);
	shutdown(fd, SHUT_WR);
	while (take(fd, answer, &length))
		;
	close(fd);
	require_records(answer, length);
	return 0;
}
