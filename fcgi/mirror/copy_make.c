/* A new file beside the old one, and its way into the old one's place. */
#include "mirror/copy_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mirror/schema.h"

/* The path of the file, or of one beside it. */
static const char *beside(const struct copy *c, const char *ending, char *path)
{
	snprintf(path, PATH_MAX + 16, "%s%s", c->real, ending);
	return path;
}

static void remove_files(const struct copy *c, const char *const *endings)
{
	char path[PATH_MAX + 16];

	for (; *endings; endings++)
		unlink(beside(c, *endings, path));
}

void copy_unmake(struct copy *c)
{
	static const char *const endings[] = {".new", ".new-wal", ".new-shm", ".new-journal", NULL};

	copy_file_close(&c->made);
	remove_files(c, endings);
}

enum copy_status copy_make(struct copy *c)
{
	/*
	 * If this is cut short, the file is made again. Without triggers and the index, rows go in
	 * five times as fast; rowtail.sql makes these again at the end.
	 */
	static const char fast[] =
		"PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -32000;"
		"DROP INDEX events_channel;"
		"CREATE TABLE rowtail_mirror_timelines(base INTEGER PRIMARY KEY, after INTEGER); "
		"BEGIN;";
	char path[PATH_MAX + 16];
	enum copy_status s;

	copy_unmake(c);
	if (sqlite3_open_v2(beside(c, ".new", path), &c->made.db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		    NULL) != SQLITE_OK) {
		s = copy_fail(c, c->made.db, "made");
		copy_unmake(c);
		return s == COPY_DAMAGED ? COPY_FAULT : s;
	}
	sqlite3_extended_result_codes(c->made.db, 1);
	s = copy_run(c, c->made.db, mirror_schema);
	copy_inherit(c, path);
	if (s == COPY_OK)
		s = copy_drop_triggers(c, c->made.db);
	if (s == COPY_OK)
		s = copy_run(c, c->made.db, fast);
	if (s == COPY_OK)
		s = copy_prepare(c, &c->made);
	if (s != COPY_OK)
		copy_unmake(c);
	c->rows_before = c->rows;
	c->rows = 0;
	return s;
}

enum copy_status copy_add(struct copy *c, const struct change *change)
{
	return copy_put(c, &c->made, change, &c->rows);
}

/* Ends what copy_make() began. The file is then whole, and closed. */
static enum copy_status finish(struct copy *c, const struct copy_state *state)
{
	enum copy_status s = copy_run(c, c->made.db, "COMMIT;");

	if (s == COPY_OK)
		s = copy_run(c, c->made.db, mirror_schema);
	if (s == COPY_OK)
		s = copy_set_up(c, c->made.db);
	/* An empty table has no row there yet. */
	if (s == COPY_OK)
		s = copy_run(c, c->made.db,
			"INSERT INTO sqlite_sequence(name, seq) SELECT 'events', 0 WHERE NOT "
			"EXISTS "
			"(SELECT 1 FROM sqlite_sequence WHERE name = 'events')");
	if (s == COPY_OK)
		s = copy_put_state(c, &c->made, state);
	copy_file_close(&c->made);
	return s;
}

static bool sync_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	bool synced = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return synced;
}

/*
 * Puts the new file in place. Whoever has the old one open keeps it, with its -wal and -shm, which
 * are no longer in the directory: the new file must not meet them. rowtail notices the new file by
 * its inode. The second removal is for somebody who opened the old file between the first one and
 * the rename.
 */
static bool put_in_place(struct copy *c)
{
	static const char *const endings[] = {"-wal", "-shm", "-journal", NULL};
	char path[PATH_MAX + 16], directory[PATH_MAX];

	if (!sync_path(beside(c, ".new", path), O_RDWR))
		return false;
	remove_files(c, endings);
	if (rename(path, c->real) < 0)
		return false;
	remove_files(c, endings);
	snprintf(directory, sizeof(directory), "%s", c->real);
	sync_path(dirname(directory), O_RDONLY | O_DIRECTORY);
	return true;
}

enum copy_status copy_replace(struct copy *c, const struct copy_state *state)
{
	enum copy_status s = finish(c, state);

	if (s != COPY_OK) {
		copy_unmake(c);
		return s == COPY_DAMAGED ? COPY_FAULT : s;
	}
	if (copy_is_open(c))
		sqlite3_wal_checkpoint_v2(c->file.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	copy_close(c);
	if (!put_in_place(c)) {
		s = errno == ENOSPC ? COPY_FULL : COPY_FAULT;
		snprintf(c->error, sizeof(c->error), "%.300s cannot be replaced: %s", c->path,
			strerror(errno));
		copy_unmake(c);
		return s;
	}
	return copy_open(c);
}
