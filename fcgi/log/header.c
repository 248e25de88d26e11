#include "log/header.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BYTES = 100,
	READ_VERSION = 19, /* the offset of a byte: 2 in WAL mode */
	WAL = 2,
	WRITER = 96, /* of a number: SQLITE_VERSION_NUMBER */
};

void header_read(struct header *h, const char *path)
{
	static const char magic[16] = "SQLite format 3";
	unsigned char bytes[BYTES];
	struct stat st;
	int fd = -1;

	*h = (struct header){.size = -1};
	/* Opening a FIFO or a device could wait for ever. */
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	h->size = (int64_t)st.st_size;
	if (read(fd, bytes, BYTES) == BYTES && !memcmp(bytes, magic, sizeof(magic))) {
		h->is_database = true;
		h->is_wal = bytes[READ_VERSION] == WAL;
		h->version = bytes[WRITER] << 24 | bytes[WRITER + 1] << 16 |
			     bytes[WRITER + 2] << 8 | bytes[WRITER + 3];
	}
	close(fd);
}

const char *header_version(char *text, int version)
{
	snprintf(text, 16, "%d.%d.%d", version / 1000000 % 100, version / 1000 % 1000,
		version % 1000);
	return text;
}
