/*
 * plan: the control file of the faults. It says what fails now, and is read at every call, so that
 * a test can switch faults on and off while rowtail runs.
 */
#ifndef FAULTS_PLAN_H
#define FAULTS_PLAN_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAN_SIZE = 512, PLAN_LINES = 8 };

/*
 * Reads the file named by an environment variable, without allocating or changing errno. False if
 * there is none. It keeps no descriptor open, since the program may close any.
 */
static inline bool plan_read(const char *variable, char plan[PLAN_SIZE])
{
	const char *path = getenv(variable);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t length;

	if (fd < 0)
		return false;
	length = read(fd, plan, PLAN_SIZE - 1);
	close(fd);
	plan[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/* Tells the test about a failure: adds a byte to a file. */
static inline void plan_hit(const char *variable, char mark)
{
	const char *path = getenv(variable);
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	if (write(fd, &mark, 1) != 1)
		abort();
	close(fd);
}

#endif
