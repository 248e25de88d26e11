/*
 * header: the first 100 bytes of a database file, which tell what kind of file it is.
 *
 * Reads the file itself. Call it only while no connection of this process has the database open:
 * closing the descriptor would drop SQLite's locks. Source:
 * https://www.sqlite.org/fileformat2.html, section 1.3.
 */
#ifndef ROWTAIL_HEADER_H
#define ROWTAIL_HEADER_H

#include <stdbool.h>
#include <stdint.h>

struct header {
	int64_t size; /* of the file, in bytes; -1: it cannot be read */
	bool is_database; /* if not, what follows is 0 */
	bool is_wal;
	/*
	 * The version of the SQLite that last wrote the file's first page, such as 3040001; 0:
	 * older than 3.7.0. In WAL mode a commit that leaves this page alone does not change it.
	 */
	int version;
};

/* Reads the header of the file at this path. */
void header_read(struct header *h, const char *path);

/* Writes "3.40.1" for 3040001 to text[16]. */
const char *header_version(char *text, int version);

#endif
