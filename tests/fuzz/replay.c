/*
 * replay: runs a fuzz target over stored inputs, without a fuzzer.
 *
 *	replay FILE|DIRECTORY...
 *
 * Each regular file in a directory is an input; subdirectories are not allowed. The target aborts
 * if it finds a fault; an input that takes too long ends the program with its name. A missing or
 * empty directory is an error too, since nothing would be tested.
 */
#include <dirent.h>
#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { INPUT_SECONDS = 30, INPUT_MAX = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *current = "";

static void tell(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(EXIT_FAILURE);
}

/* Names the input on which a sanitizer or the target found a fault. */
static void tell_fault(void)
{
	tell("replay: fault in ");
	tell(current);
	tell("\n");
}

/* The same for signals: the target aborts, or takes too long. */
static void tell_signal(int signal_number)
{
	if (signal_number == SIGALRM)
		tell("replay: no end in sight\n");
	tell_fault();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* Reads a whole file into memory of exactly its size. */
static uint8_t *read_input(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	struct stat status;
	uint8_t *data;

	if (!file || fstat(fileno(file), &status) != 0)
		err(EXIT_FAILURE, "%s", path);
	if (!S_ISREG(status.st_mode) || status.st_size > INPUT_MAX)
		errx(EXIT_FAILURE, "%s: no input of at most %d bytes", path, INPUT_MAX);
	*size = (size_t)status.st_size;
	data = malloc(*size ? *size : 1);
	if (!data || fread(data, 1, *size, file) != *size)
		err(EXIT_FAILURE, "%s", path);
	fclose(file);
	return data;
}

static void run_file(const char *path)
{
	size_t size;
	uint8_t *data = read_input(path, &size);

	current = path;
	alarm(INPUT_SECONDS);
	LLVMFuzzerTestOneInput(data, size);
	alarm(0);
	free(data);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Runs every file in the directory, in order of name; returns their number. */
static int run_directory(const char *path)
{
	struct dirent **entries;
	char *name;
	int count = scandir(path, &entries, is_visible, alphasort);

	if (count < 0)
		err(EXIT_FAILURE, "%s", path);
	if (count == 0)
		errx(EXIT_FAILURE, "%s: there is no input in this directory", path);
	for (int i = 0; i < count; i++) {
		if (asprintf(&name, "%s/%s", path, entries[i]->d_name) < 0)
			err(EXIT_FAILURE, "%s", path);
		run_file(name);
		free(name);
		free(entries[i]);
	}
	free(entries);
	return count;
}

static int run(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		err(EXIT_FAILURE, "%s", path);
	if (S_ISDIR(status.st_mode))
		return run_directory(path);
	run_file(path);
	return 1;
}

int main(int argc, char **argv)
{
	int count = 0;

	if (argc < 2)
		errx(EXIT_FAILURE, "usage: replay FILE|DIRECTORY...");
	signal(SIGALRM, tell_signal);
	signal(SIGABRT, tell_signal);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_set_death_callback(tell_fault);
#endif
	for (int i = 1; i < argc; i++)
		count += run(argv[i]);
	printf("%s: %d inputs\n%d passed, 0 failed\n", argv[0], count, count);
	return EXIT_SUCCESS;
}
