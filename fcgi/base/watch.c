#include "base/watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static void watch_file(struct watch *w, int i)
{
	char path[PATH_MAX + NAME_MAX + 1];

	if (!*w->names[i])
		return;
	snprintf(path, sizeof(path), "%s%s", w->path, w->names[i]);
	w->files[i] = inotify_add_watch(w->fd, path, IN_MODIFY);
	if (w->files[i] < 0)
		w->files[i] = 0;
}

/* One of our names appeared or disappeared: it may now be another file. */
static void look_at_name(struct watch *w, const char *name)
{
	for (int i = 0; i < WATCH_FILES; i++) {
		int before = w->files[i];

		if (strcmp(name, w->names[i]) != 0)
			continue;
		w->files[i] = 0;
		watch_file(w, i);
		if (before && before != w->files[i])
			inotify_rm_watch(w->fd, before);
		w->changed(w, w->names[i], true);
	}
}

/* The kernel removed the watch: the directory is gone. Another one may come to its place. */
static void lose_directory(struct watch *w)
{
	w->directory = 0;
	watch_end(w);
}

static void take_event(struct watch *w, const struct inotify_event *e)
{
	if (e->wd < 0) {
		/* The kernel's queue overflowed. */
		w->changed(w, NULL, true);
	} else if (e->wd == w->directory) {
		if (e->mask & IN_IGNORED)
			lose_directory(w);
		if (e->len > 0)
			look_at_name(w, e->name);
		else
			w->changed(w, NULL, true);
	}
	for (int i = 0; i < WATCH_FILES && w->begun; i++) {
		if (e->wd != w->files[i] || !w->files[i])
			continue;
		/* The kernel removed the watch: the file is gone. */
		if (e->mask & IN_IGNORED)
			w->files[i] = 0;
		else
			w->changed(w, w->names[i], false);
	}
}

static void ready(struct loop_poll *p, int events, bool failed)
{
	struct watch *w = (struct watch *)(void *)p;
	_Alignas(struct inotify_event) char buffer[4096];
	ssize_t length = read(w->fd, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < length && w->begun;) {
		const struct inotify_event *e = (const void *)(buffer + at);

		take_event(w, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

/* The descriptor and its poll survive watch_end(), because a poll cannot begin again at once. */
static bool open_once(struct watch *w)
{
	if (w->fd > 0)
		return true;
	if ((w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) < 0) {
		w->error = errno;
		w->fd = 0;
		return false;
	}
	if (loop_poll_begin(&w->poll, w->fd, LOOP_READ, ready))
		return true;
	w->error = ENOMEM;
	close(w->fd);
	w->fd = 0;
	return false;
}

bool watch_begin(struct watch *w, const char *directory, const char *const *names,
	void (*changed)(struct watch *w, const char *name, bool appeared))
{
	if (w->begun || !open_once(w))
		return w->begun;
	snprintf(w->path, sizeof(w->path), "%s/", directory);
	w->directory = inotify_add_watch(w->fd, directory,
		IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |
			IN_MOVE_SELF | IN_ONLYDIR);
	if (w->directory < 0) {
		w->error = errno;
		w->directory = 0;
		return false;
	}
	w->error = 0;
	w->changed = changed;
	w->begun = true;
	/*
	 * The directory first, then the files: so a file that is created in between is not missed.
	 */
	for (int i = 0; i < WATCH_FILES; i++) {
		snprintf(w->names[i], sizeof(w->names[i]), "%s", names[i] ? names[i] : "");
		watch_file(w, i);
	}
	return true;
}

void watch_end(struct watch *w)
{
	if (!w->begun)
		return;
	w->begun = false;
	if (w->directory)
		inotify_rm_watch(w->fd, w->directory);
	w->directory = 0;
	for (int i = 0; i < WATCH_FILES; i++) {
		if (w->files[i])
			inotify_rm_watch(w->fd, w->files[i]);
		w->files[i] = 0;
	}
}

bool watch_sees(const struct watch *w, int file)
{
	return w->begun && w->files[file];
}
