/*
 * memory: makes malloc, calloc and realloc fail, for a program started with this object in
 * LD_PRELOAD.
 *
 * The file named by FAULT_PLAN contains one line, which may be rewritten at any time:
 *
 *     SERIAL FIRST LAST EVERY
 *
 * Allocations count from 1 since this plan was first seen; every EVERYth of those from FIRST to
 * LAST fails; LAST -1: no end. An empty file: none fails. Each failed allocation adds a byte to the
 * file named by FAULT_HITS. With EVERY 0 none fails and each one adds a byte, so a test can count
 * them: their number depends on the libraries' versions.
 *
 * Allocations before main(), by the linker and constructors, do not count. Nor do those in
 * getpwuid(), FCGX_Accept_r(), uv_loop_init() and uv_poll_start(), which abort without memory:
 * their callers can only check beforehand that there is some.
 *
 * For programs with one thread, on glibc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#include "plan.h"

/* glibc's own functions, under names that nothing overrides. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

typedef int main_fn(int, char **, char **);
typedef int start_fn(
	main_fn *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

int __libc_start_main(main_fn *program, int argc, char **argv, void (*init)(void),
	void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int FCGX_Accept_r(void *request);
int uv_loop_init(void *loop);
int uv_poll_start(void *handle, int events, void *callback);

static bool counts;

/* Reads one number of a line, and moves past it. */
static long number(char **at)
{
	return strtol(*at, at, 10);
}

static bool is_planned(void)
{
	static long last_serial, count;
	char line[PLAN_SIZE], *at = line;
	long serial, first, last, every;

	if (!counts || !plan_read("FAULT_PLAN", line))
		return false;
	serial = number(&at);
	first = number(&at);
	last = number(&at);
	every = number(&at);
	if (serial != last_serial) {
		last_serial = serial;
		count = 0;
	}
	count++;
	if (every == 0)
		plan_hit("FAULT_HITS", '0');
	return every > 0 && count >= first && (last < 0 || count <= last) &&
	       (count - first) % every == 0;
}

static bool fails(void)
{
	int saved_errno = errno;
	bool failing = is_planned();

	if (failing)
		plan_hit("FAULT_HITS", '0');
	errno = failing ? ENOMEM : saved_errno;
	return failing;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

struct passwd *getpwuid(uid_t id)
{
	struct passwd *(*get)(uid_t), *entry;

	*(void **)&get = dlsym(RTLD_NEXT, "getpwuid");
	counts = false;
	entry = get(id);
	counts = true;
	return entry;
}

int FCGX_Accept_r(void *request)
{
	int (*accept_request)(void *), status;

	*(void **)&accept_request = dlsym(RTLD_NEXT, "FCGX_Accept_r");
	counts = false;
	status = accept_request(request);
	counts = true;
	return status;
}

int uv_loop_init(void *loop)
{
	int (*init)(void *), status;

	*(void **)&init = dlsym(RTLD_NEXT, "uv_loop_init");
	counts = false;
	status = init(loop);
	counts = true;
	return status;
}

int uv_poll_start(void *handle, int events, void *callback)
{
	int (*start)(void *, int, void *), status;

	*(void **)&start = dlsym(RTLD_NEXT, "uv_poll_start");
	counts = false;
	status = start(handle, events, callback);
	counts = true;
	return status;
}

int __libc_start_main(main_fn *program, int argc, char **argv, void (*init)(void),
	void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	start_fn *start;

	*(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
	counts = true;
	return start(program, argc, argv, init, fini, rtld_fini, stack_end);
}
