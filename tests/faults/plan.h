/*
 * plan: the control file of the faults: says what is to fail now, and is read anew at every call, so
 * that a test switches faults on and off while rowtail runs.
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
 * Reads the file that an environment variable names, with no allocation and no errno of its own.
 * False when there is none. An open file's number is not kept: the program closes what it likes.
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

/* Tells the test that something was made to fail: a byte more in a file. */
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
