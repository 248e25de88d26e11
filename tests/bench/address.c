/* address: see address.h. */
#include "address.h"

#include <err.h>
#include <string.h>
#include <sys/socket.h>

void address_unix(struct sockaddr_un *un, const char *path)
{
	if (strlen(path) >= sizeof un->sun_path)
		errx(64, "%s: too long for a unix socket", path);
	memset(un, 0, sizeof *un);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path));
}
