/* links: config/config config/config_file config/arguments base/origin config/setting base/network base/text base/utf8 base/clock base/file config/setting_path config/setting_mirror config/setting_publish */
/* libs: -linih */
/*
 * Any CONFIG file, environment and command line gives either a configuration with every member in
 * range, or one harmless message.
 *
 * The command line overrides the environment, which overrides the file, whatever else they contain.
 *
 * An input is a CONFIG file up to its first NUL byte. Then come NUL-terminated strings: those that
 * begin with a capital are the environment, the others are arguments.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/utf8.h"
#include "config/config.h"
#include "require.h"

enum { LIST_MAX = 32 };

struct input {
	char file[40];
	int argc, envc;
	char *argv[LIST_MAX + 1];
	char *envp[LIST_MAX + 1];
};

static void check_range(int64_t number, int64_t least, int64_t most)
{
	require(number >= least && number <= most, "a number is in its range");
}

static void check_config(const struct config *c)
{
	size_t origins = 0;

	if (c->action == CONFIG_HELP || c->action == CONFIG_VERSION)
		return;
	require(c->db && *c->db && c->table && *c->table, "there is a database and a table");
	require(!c->listen || *c->listen, "an address is none or says something");
	require(c->listen_mode <= 0777, "a mode is of permissions alone");
	check_range(c->poll_ms, 1, 60000);
	check_range(c->heartbeat_ms, 1000, 3600 * 1000);
	check_range(c->retry_ms, 0, 3600 * 1000);
	check_range(c->retry_jitter_ms, 0, 3600 * 1000);
	check_range(c->max_stream_age_ms, 0, INT64_C(365) * 86400 * 1000);
	check_range(c->max_streams, 1, 1000000);
	check_range(c->max_streams_per_client, 0, 1000000);
	check_range(c->stall_timeout_ms, 1000, 86400 * 1000);
	check_range(c->max_replay, 0, 1000000000);
	check_range(c->jwt_leeway_ms, 0, 300 * 1000);
	require(!c->jwt_key == !c->jwt_algorithm, "key and algorithm come together");
	while (c->allow_origins[origins])
		require(*c->allow_origins[origins++], "an origin is not empty");
	require(origins <= 100, "there are at most 100 origins");
}

static void check_error(const struct config_error *e)
{
	size_t length = strlen(e->sentence);

	require(e->exit_status == EX_USAGE || e->exit_status == EX_NOINPUT ||
			e->exit_status == EX_CONFIG,
		"the exit status is one of three");
	require(length > 0 && length < CONFIG_SENTENCE_MAX, "there is a sentence");
	require(utf8_valid_prefix((const uint8_t *)e->sentence, length) == length,
		"the sentence is UTF-8");
	for (size_t i = 0; i < length; i++)
		require((unsigned char)e->sentence[i] >= 0x20 && e->sentence[i] != 0x7f,
			"the sentence has no control characters");
}

/*
 * Sorts the NUL-terminated strings in text into arguments and environment. None may be a path to
 * another CONFIG file, since opening a device could block for ever.
 */
static void cut(struct input *in, char *text, char *end)
{
	for (; text < end; text += strlen(text) + 1) {
		if (*text != '-' && strchr(text, '/') && !(*text >= 'A' && *text <= 'Z'))
			continue;
		if (*text >= 'A' && *text <= 'Z') {
			if (in->envc < LIST_MAX)
				in->envp[in->envc++] = text;
		} else if (in->argc < LIST_MAX)
			in->argv[in->argc++] = text;
	}
}

static void run(struct input *in)
{
	struct config_error error;
	struct config c;

	if (config_load(&c, in->argc, in->argv, in->envp, &error)) {
		check_error(&error);
		return;
	}
	check_config(&c);
	config_free(&c);
}

/* Whether the configured heartbeat is the one in argv, envp or the file. */
static void expect_heartbeat(int argc, char **argv, char **envp, int64_t ms)
{
	struct config_error error;
	struct config c;

	if (config_load(&c, argc, argv, envp, &error))
		return;
	require(c.action == CONFIG_HELP || c.action == CONFIG_VERSION || c.heartbeat_ms == ms,
		"a better place wins");
	config_free(&c);
}

/* The same file with other arguments, and the same file and environment. */
static void run_below(const struct input *in)
{
	static char name[] = "rowtail", db[] = "--db=x", option[] = "--heartbeat=77";
	static char variable[] = "ROWTAIL_HEARTBEAT=78";
	char file[sizeof(in->file)];
	char *above[] = {name, db, option, file, NULL}, *plain[] = {name, db, file, NULL};
	char *alone[] = {variable, NULL};

	snprintf(file, sizeof(file), "%s", in->file);
	expect_heartbeat(4, above, (char **)(uintptr_t)in->envp, 77000);
	expect_heartbeat(4, above, alone, 77000);
	expect_heartbeat(3, plain, alone, 78000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "rowtail", option[] = "--db", path[] = "x";
	struct input in = {.argv = {name, option, path}, .argc = 3};
	char *text = require_memory(size + 1);
	size_t length;
	int fd = memfd_create("config", MFD_CLOEXEC);

	require(fd >= 0, "there is a file in memory");
	text[size] = '\0';
	if (size)
		memcpy(text, data, size);
	length = strlen(text);
	require(write(fd, text, length) == (ssize_t)length, "the file takes it");
	snprintf(in.file, sizeof(in.file), "/proc/self/fd/%d", fd);
	if (length > 0)
		in.argv[in.argc++] = in.file;
	if (length < size)
		cut(&in, text + length + 1, text + size);
	run(&in);
	if (length > 0)
		run_below(&in);
	close(fd);
	free(text);
	return 0;
}
