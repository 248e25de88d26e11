/*
 * vfs: SQLite's file system with faults, for a program started with this object in LD_PRELOAD: a
 * shim over the default VFS, registered as the default.
 *
 * The file named by FAULT_PLAN, which may be rewritten at any time, has a number on its first line,
 * and then up to 8 lines; the first one that matches a call makes it fail:
 *
 *     SERIAL
 *     METHOD FILE ERROR TIMES
 *
 * METHOD  open, read, write, sync, size, lock, access, shmmap, shmlock; or any
 * FILE    db, wal, journal, shm, other; or any
 * ERROR   a name in `errors` below. Only for reads: `rot` (some bytes are changed) and `short` (the
 *         file ends before this)
 * TIMES   how many calls fail; -1: all
 *
 * A new SERIAL is a new plan: its calls count from 0. An empty file: no faults. Each failed call
 * adds the number of its line, '0' for the first, to the file named by FAULT_HITS.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>

#include "plan.h"

enum { FILE_ENDS = 1, FILE_ROTS }; /* besides SQLite's codes: faults in the data read */

struct file {
	sqlite3_file base; /* first: SQLite sees nothing else */
	const char *kind;
	sqlite3_file *real; /* behind this struct */
};

static const struct error {
	const char *name;
	int code;
	int content;
} errors[] = {
	{"ioerr_read", SQLITE_IOERR_READ, 0},
	{"ioerr_fstat", SQLITE_IOERR_FSTAT, 0},
	{"ioerr_access", SQLITE_IOERR_ACCESS, 0},
	{"ioerr_lock", SQLITE_IOERR_LOCK, 0},
	{"ioerr_shmmap", SQLITE_IOERR_SHMMAP, 0},
	{"corrupt", SQLITE_CORRUPT, 0},
	{"full", SQLITE_FULL, 0},
	{"busy", SQLITE_BUSY, 0},
	{"cantopen", SQLITE_CANTOPEN, 0},
	{"nomem", SQLITE_NOMEM, 0},
	{"short", SQLITE_IOERR_SHORT_READ, FILE_ENDS},
	{"rot", SQLITE_OK, FILE_ROTS},
};

static sqlite3_vfs shim, *below;
static sqlite3_io_methods methods;

static const struct error *error_named(const char *name)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(name, errors[i].name))
			return &errors[i];
	fprintf(stderr, "FAULT_PLAN: no error is called %s\n", name);
	abort();
}

static bool matches(const char *pattern, const char *name)
{
	return !strcmp(pattern, "any") || !strcmp(pattern, name);
}

/* The fault in one line of the plan for this call, or NULL. */
static const struct error *planned_by(
	const char *line, const char *method, const char *file, long *hits)
{
	char wanted_method[16], wanted_file[16], error[16], times[16];

	if (sscanf(line, "%15s %15s %15s %15s", wanted_method, wanted_file, error, times) != 4 ||
		!matches(wanted_method, method) || !matches(wanted_file, file))
		return NULL;
	if (*times != '-' && *hits >= strtol(times, NULL, 10))
		return NULL;
	++*hits;
	return error_named(error);
}

/* The fault planned for this call, or NULL. */
static const struct error *planned(const char *method, const char *file)
{
	static long serial, hits[PLAN_LINES];
	const struct error *error = NULL;
	char plan[PLAN_SIZE], *line = plan;

	if (!plan_read("FAULT_PLAN", plan))
		return NULL;
	if (strtol(plan, NULL, 10) != serial)
		memset(hits, 0, sizeof(hits));
	serial = strtol(plan, NULL, 10);
	for (int i = 0; i < PLAN_LINES && !error && (line = strchr(line, '\n')); i++) {
		error = planned_by(++line, method, file, &hits[i]);
		if (error)
			plan_hit("FAULT_HITS", (char)('0' + i));
	}
	return error;
}

/* SQLite's code for the fault; SQLITE_OK: no fault. */
static int fault(const char *method, const char *file)
{
	const struct error *error = planned(method, file);

	return error ? error->code : SQLITE_OK;
}

static struct file *of(sqlite3_file *f)
{
	return (struct file *)(void *)f;
}

static sqlite3_file *real(sqlite3_file *f)
{
	return of(f)->real;
}

static int file_close(sqlite3_file *f)
{
	return real(f)->pMethods->xClose(real(f));
}

static int file_read(sqlite3_file *f, void *out, int amount, sqlite3_int64 at)
{
	int code = real(f)->pMethods->xRead(real(f), out, amount, at);
	const struct error *error = code ? NULL : planned("read", of(f)->kind);
	uint8_t *bytes = out;

	if (!error)
		return code;
	if (error->content == FILE_ENDS)
		memset(bytes, 0, (size_t)amount);
	for (int i = 0; error->content == FILE_ROTS && i < amount; i += 16)
		bytes[i] ^= 0x5a;
	return error->code;
}

static int file_write(sqlite3_file *f, const void *bytes, int amount, sqlite3_int64 at)
{
	int code = fault("write", of(f)->kind);

	return code ? code : real(f)->pMethods->xWrite(real(f), bytes, amount, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return real(f)->pMethods->xTruncate(real(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
	int code = fault("sync", of(f)->kind);

	return code ? code : real(f)->pMethods->xSync(real(f), flags);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	int code = fault("size", of(f)->kind);

	return code ? code : real(f)->pMethods->xFileSize(real(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
	int code = fault("lock", of(f)->kind);

	return code ? code : real(f)->pMethods->xLock(real(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xUnlock(real(f), level);
}

static int file_reserved(sqlite3_file *f, int *out)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int file_control(sqlite3_file *f, int what, void *argument)
{
	return real(f)->pMethods->xFileControl(real(f), what, argument);
}

static int file_sector(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int file_characteristics(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	int code = fault("shmmap", "shm");

	*out = NULL;
	return code ? code : real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	int code = flags & SQLITE_SHM_LOCK ? fault("shmlock", "shm") : SQLITE_OK;

	return code ? code : real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int file_shm_unmap(sqlite3_file *f, int delete)
{
	return real(f)->pMethods->xShmUnmap(real(f), delete);
}

static const char *kind_of(int flags)
{
	if (flags & SQLITE_OPEN_MAIN_DB)
		return "db";
	if (flags & SQLITE_OPEN_WAL)
		return "wal";
	return flags & SQLITE_OPEN_MAIN_JOURNAL ? "journal" : "other";
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out_flags)
{
	int code = fault("open", kind_of(flags));

	f->pMethods = NULL;
	of(f)->kind = kind_of(flags);
	of(f)->real = (sqlite3_file *)(void *)(of(f) + 1);
	if (code == SQLITE_OK)
		code = below->xOpen(below, path, real(f), flags, out_flags);
	/* An opened file must be closed: SQLite closes it only if it has methods. */
	if (code == SQLITE_OK)
		f->pMethods = &methods;
	return code;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	int code = fault("access", "other");

	return code ? code : below->xAccess(below, path, flags, out);
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
	return below->xDelete(below, path, sync_directory);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	return below->xFullPathname(below, path, size, out);
}

__attribute__((constructor)) static void register_shim(void)
{
	/* Version 2: no xFetch, so that every page goes through file_read(). */
	methods = (sqlite3_io_methods){2, file_close, file_read, file_write, file_truncate,
		file_sync, file_size, file_lock, file_unlock, file_reserved, file_control,
		file_sector, file_characteristics, file_shm_map, file_shm_lock, file_shm_barrier,
		file_shm_unmap, NULL, NULL};
	below = sqlite3_vfs_find(NULL);
	shim = *below;
	shim.zName = "faults";
	shim.pNext = NULL;
	shim.szOsFile = (int)sizeof(struct file) + below->szOsFile;
	shim.xOpen = vfs_open;
	shim.xDelete = vfs_delete;
	shim.xAccess = vfs_access;
	shim.xFullPathname = vfs_full_path;
	if (sqlite3_vfs_register(&shim, 1) != SQLITE_OK)
		abort();
}
