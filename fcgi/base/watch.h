/*
 * watch: tells when named files of one directory change, are made, moved or deleted.
 *
 * Owns inotify(7) while rowtail serves. Of the files themselves it hears every change; of the directory only that
 * names come and go. So other files, however busy, cost nothing. Reads no file and opens none. Where the
 * system tells nothing (a network file system, no watches left), the caller has to poll.
 *
 * A struct of zero bytes is a watch that was not begun.
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
	/* name: one of the names. appeared: it came or went. NULL: anything may have happened. */
	void (*changed)(struct watch *w, const char *name, bool appeared);
	bool begun;
	int error; /* errno of why it could not begin */
};

/*
 * Begins to watch up to WATCH_FILES names in a directory, whether they are there or not; NULL stands for
 * none. Names and path are copied. False, and w->error, when the system does not watch them. Does nothing
 * when it has begun.
 */
bool watch_begin(struct watch *w, const char *directory, const char *const *names,
	void (*changed)(struct watch *w, const char *name, bool appeared));
void watch_end(struct watch *w);

#endif
