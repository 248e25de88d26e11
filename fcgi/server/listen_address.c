#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/who.h"
#include "server/listen_impl.h"

#define HOSTS "/etc/hosts"

enum { HOST_MAX = 256, LINE_MAX_BYTES = 4096 };

socklen_t listen_address_size(const struct sockaddr *address)
{
	return address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

bool listen_is_loopback(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (address->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* Returns the port. */
static const char *split(const char *listen, char host[HOST_MAX])
{
	const char *colon = strrchr(listen, ':');
	size_t length = (size_t)(colon - listen);

	if (listen[0] == '[')
		snprintf(host, HOST_MAX, "%.*s", (int)length - 2, listen + 1);
	else
		snprintf(host, HOST_MAX, "%.*s", (int)length, listen);
	return colon + 1;
}

/* Adds an address, unless it is already there. */
static void add(struct listen_addresses *a, const void *address, socklen_t size)
{
	for (size_t i = 0; i < a->count; i++)
		if (listen_address_size((const void *)&a->list[i]) == size &&
			!memcmp(&a->list[i], address, size))
			return;
	if (a->count < LISTEN_MAX)
		memcpy(&a->list[a->count++], address, size);
}

/* Adds the address that this text is. False if it is not an address. */
static bool add_numeric(struct listen_addresses *a, const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

	if (inet_aton(text, &v4.sin_addr))
		add(a, &v4, sizeof(v4));
	else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		add(a, &v6, sizeof(v6));
	else
		return false;
	return true;
}

static void add_loopback(struct listen_addresses *a)
{
	add_numeric(a, "127.0.0.1");
	add_numeric(a, "::1");
}

/* hosts(5): an address, then its names. */
static void add_line(struct listen_addresses *a, char *line, const char *name)
{
	char *rest = line, *word;
	const char *address = NULL;

	line[strcspn(line, "#")] = '\0';
	while ((word = strsep(&rest, " \t\r\n")))
		if (*word && !address)
			address = word;
		else if (*word && !strcasecmp(word, name))
			add_numeric(a, address);
}

static void add_named(struct listen_addresses *a, const char *name)
{
	FILE *file = fopen(HOSTS, "re");
	char line[LINE_MAX_BYTES];

	while (file && fgets(line, sizeof(line), file))
		add_line(a, line, name);
	if (file)
		fclose(file);
	/* RFC 6761, section 6.3: this name needs no look-up. */
	if (a->count == 0 && !strcasecmp(name, "localhost"))
		add_loopback(a);
}

bool listen_may_lack(const struct listen_addresses *a, size_t i, int error)
{
	/* The machine does not have it. */
	if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT)
		return true;
	return a->first_suffices && i > 0;
}

bool listen_addresses(struct listen_addresses *a, const char *listen, char *sentence, size_t size)
{
	char host[HOST_MAX];

	memset(a, 0, sizeof(*a));
	a->port = (uint16_t)strtol(split(listen, host), NULL, 10);
	a->first_suffices = !*host;
	if (!*host)
		add_loopback(a);
	else if (!add_numeric(a, host))
		add_named(a, host);
	if (a->count == 0)
		snprintf(sentence, size,
			"listen: %s: %s is not an address, and not a name in " HOSTS
			"; give an address of this machine, or :%u",
			listen, host, a->port);
	return a->count > 0;
}

void listen_tell(const char *address, uint16_t port, int error, char *sentence, size_t size)
{
	struct who_process by;

	if (error == EADDRINUSE && who_listens(&by, port) && by.id == getpid())
		snprintf(sentence, size,
			"%s: this rowtail already listens on port %u; give each socket an address "
			"of its own",
			address, port);
	else if (error == EADDRINUSE)
		snprintf(sentence, size, "%s listens on %s; stop it first, or name another port",
			by.id ? by.name : "another process", address);
	else if (error == EACCES)
		snprintf(sentence, size,
			"%s: only root can use ports below 1024; give a higher port, such as :9000",
			address);
	else if (error == EADDRNOTAVAIL)
		snprintf(sentence, size,
			"%s: this machine does not have this address; give one that it has, or :%u",
			address, port);
	else
		snprintf(sentence, size, "%s: %s", address, strerror(error));
}
