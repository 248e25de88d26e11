/*
 * handles: makes libuv strict, for a program started with this object in LD_PRELOAD.
 *
 * Some versions of libuv crash if a handle is stopped that was never initialised, others do not.
 * Here every version ends the program, with a message on standard error, if it gets a handle that
 * has the wrong type, was never initialised, or is closing.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static void *original(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

static void check(const uv_handle_t *handle, uv_handle_type type, const char *function)
{
	const char *wrong = NULL;

	if (handle->type == UV_UNKNOWN_HANDLE)
		wrong = "was never initialised";
	else if (type != UV_UNKNOWN_HANDLE && handle->type != type)
		wrong = "is of another kind";
	else if (uv_is_closing(handle))
		wrong = "is closing";
	if (!wrong)
		return;
	fprintf(stderr, "%s: a handle that %s\n", function, wrong);
	abort();
}

#define CHECKED(name, type, parameters, arguments)                                                 \
	int name parameters                                                                        \
	{                                                                                          \
		int(*function) parameters;                                                         \
                                                                                                   \
		*(void **)&function = original(#name);                                             \
		check((const uv_handle_t *)h, type, #name);                                        \
		return function arguments;                                                         \
	}

CHECKED(uv_timer_start, UV_TIMER,
	(uv_timer_t * h, uv_timer_cb called, uint64_t after, uint64_t every),
	(h, called, after, every))
CHECKED(uv_timer_stop, UV_TIMER, (uv_timer_t * h), (h))
CHECKED(uv_poll_start, UV_POLL, (uv_poll_t * h, int events, uv_poll_cb called), (h, events, called))
CHECKED(uv_poll_stop, UV_POLL, (uv_poll_t * h), (h))
CHECKED(uv_idle_start, UV_IDLE, (uv_idle_t * h, uv_idle_cb called), (h, called))
CHECKED(uv_idle_stop, UV_IDLE, (uv_idle_t * h), (h))
CHECKED(uv_check_start, UV_CHECK, (uv_check_t * h, uv_check_cb called), (h, called))
CHECKED(uv_check_stop, UV_CHECK, (uv_check_t * h), (h))
CHECKED(uv_signal_start, UV_SIGNAL, (uv_signal_t * h, uv_signal_cb called, int number),
	(h, called, number))
CHECKED(uv_fs_event_start, UV_FS_EVENT,
	(uv_fs_event_t * h, uv_fs_event_cb called, const char *path, unsigned flags),
	(h, called, path, flags))
CHECKED(uv_fs_event_stop, UV_FS_EVENT, (uv_fs_event_t * h), (h))

void uv_close(uv_handle_t *h, uv_close_cb called)
{
	void (*function)(uv_handle_t *, uv_close_cb);

	*(void **)&function = original("uv_close");
	check(h, UV_UNKNOWN_HANDLE, "uv_close");
	function(h, called);
}
