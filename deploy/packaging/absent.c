/*
 * absent: makes functions that would load libraries at run time fail in the static program.
 *
 * glibc's getpwuid_r(), getaddrinfo() and dlopen() load libraries of exactly the glibc version that
 * the program was linked with. Another host has another version. rowtail does not call them, but
 * SQLite (extensions), libuv (home directory) and libfcgi (its own sockets) refer to them. If the
 * linker warns of another such function, make portable fails.
 */
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stddef.h>

/* ld's --wrap (see kit.mk) links __wrap_NAME in place of NAME. */
__typeof__(dlopen) __wrap_dlopen;
__typeof__(dlsym) __wrap_dlsym;
__typeof__(dlclose) __wrap_dlclose;
__typeof__(dlerror) __wrap_dlerror;
__typeof__(getpwuid_r) __wrap_getpwuid_r;
__typeof__(getgrgid_r) __wrap_getgrgid_r;
__typeof__(gethostbyname) __wrap_gethostbyname;
__typeof__(getaddrinfo) __wrap_getaddrinfo;
__typeof__(freeaddrinfo) __wrap_freeaddrinfo;

void *__wrap_dlopen(const char *file, int mode)
{
	return NULL;
}

void *__wrap_dlsym(void *restrict handle, const char *restrict name)
{
	return NULL;
}

int __wrap_dlclose(void *handle)
{
	return -1;
}

char *__wrap_dlerror(void)
{
	static char sentence[] = "this is a static program, which loads no libraries";

	return sentence;
}

int __wrap_getpwuid_r(
	uid_t id, struct passwd *entry, char *memory, size_t size, struct passwd **found)
{
	*found = NULL;
	return ENOENT;
}

int __wrap_getgrgid_r(
	gid_t id, struct group *entry, char *memory, size_t size, struct group **found)
{
	*found = NULL;
	return ENOENT;
}

struct hostent *__wrap_gethostbyname(const char *name)
{
	return NULL;
}

int __wrap_getaddrinfo(const char *restrict name, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	return EAI_NONAME;
}

void __wrap_freeaddrinfo(struct addrinfo *found)
{
}
