/*
 * watch: reports when named files of one directory change, appear, move or disappear.
 *
 * Owns inotify(7) while rowtail serves. Watches every change of the named files. In the directory
 * it watches only for names that appear or disappear, so changes of other files cost nothing. Reads
 * and opens no file. If the system reports nothing (network file systems, no watches left), the
 * caller has to poll.
 *
 * A struct of zero bytes is a watch that has not begun.
 */
#ifndef ROWTAIL_WATCH_H
#define ROWTAIL_WATCH_H

#include <limits.h>
#include <stdbool.h>

#include "base/loop.h"

enum { WATCH_FILES = 3 };

struct watch {
	struct loop_poll poll;
	int fd; /* of inotify; 0: none yet. It stays open until the process ends. */
	int directory; /* watch descriptors; 0: none, since inotify counts from 1 */
	int files[WATCH_FILES];
	char path[PATH_MAX]; /* of the directory, with a '/' at its end */
	char names[WATCH_FILES][NAME_MAX + 1]; /* "": none */
	/*
	 * name: one of the names; NULL: anything may have happened. appeared: it appeared or
	 * disappeared.
	 */
	void (*changed)(struct watch *w, const char *name, bool appeared);
	bool begun;
	int error; /* errno if it could not begin */
};

/*
 * Begins to watch up to WATCH_FILES names in a directory, whether they exist or not; NULL stands
 * for no name. Copies names and path. False, with w->error set, if the system does not watch them.
 * Does nothing if the watch has already begun. If the directory is removed, the watch ends by
 * itself, and then calls `changed`.
 */
bool watch_begin(struct watch *w, const char *directory, const char *const *names,
	void (*changed)(struct watch *w, const char *name, bool appeared));
void watch_end(struct watch *w);

/* Does the system report changes of this file (its index among the names), and its replacement? */
bool watch_sees(const struct watch *w, int file);

#endif
