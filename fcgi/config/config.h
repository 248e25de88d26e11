/*
 * config: options, environment and CONFIG file, made into one constant struct.
 *
 * Owns every setting: its name, default, range and help text stand in one table, from which the
 * command line, the environment (ROWTAIL_MAX_STREAMS), the file (max-streams = 5000) and --help are
 * all served (setting.h). The command line wins over the environment, which wins over the file.
 * Opens nothing but the CONFIG file; whether the database can be read is not its question. Its
 * config_file.c is the only includer of inih's <ini.h>.
 */
#ifndef ROWTAIL_CONFIG_H
#define ROWTAIL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/logging.h"

enum config_action { CONFIG_SERVE, CONFIG_CHECK, CONFIG_HELP, CONFIG_VERSION };

struct config {
	enum config_action action;
	const char *file; /* the CONFIG file, or NULL */
	const char *db; /* required unless help or version is asked for */
	const char *table; /* "events" */
	const char *listen; /* PATH, HOST:PORT or :PORT; NULL when none */
	unsigned listen_mode; /* of a unix socket: 0660 */
	int64_t poll_ms; /* 100; 1 to 60000 */
	int64_t heartbeat_ms; /* 15 s; 1 to 3600 s */
	int64_t retry_ms; /* 2000; 0 to 3600000 */
	int64_t retry_jitter_ms; /* 1000; 0 to 3600000 */
	int64_t max_stream_age_ms; /* 0: no limit; up to 365 days, given in seconds */
	int64_t max_streams; /* 10000; 1 to 1000000 */
	int64_t max_streams_per_client; /* 0: no limit */
	int64_t stall_timeout_ms; /* 60 s; 1 to 86400 s */
	int64_t max_replay; /* 0: no limit */
	const char **allow_origins; /* never NULL; NULL at the end; "*" for any */
	bool public_; /* --public */
	bool allow_query_token;
	const char *jwt_key; /* a file's path; NULL: no JWTs */
	const char *jwt_algorithm; /* HS256, RS256, ES256, EdDSA…; both or neither */
	const char *jwt_audience; /* NULL: not looked at */
	const char *jwt_issuer;
	int64_t jwt_leeway_ms; /* clock skew, given in seconds: 0 to 300; default 0 */
	enum log_level log_level;

	void *memory; /* owned: what the pointers point to */
};

enum { CONFIG_SENTENCE_MAX = 600 };

struct config_error {
	/* EX_USAGE: the command line; EX_NOINPUT: the CONFIG file can't be read; EX_CONFIG: what
	 * stands in it or the environment; EX_OSERR: no memory. */
	int exit_status;
	char sentence[CONFIG_SENTENCE_MAX]; /* which, where (file, line), and what would be right */
};

/*
 * Reads argv, envp and the CONFIG file. Returns 0 and fills *c, to be given to config_free(); or
 * -1 and fills *error: *c is then empty and needs no freeing. The sentence has no full stop, no
 * newline and no control character. With --help or --version on the command line everything else is
 * ignored. Copies what it keeps of argv and envp.
 *
 * An empty variable in envp counts as none. Arguments that could be words of a client's query (see
 * arguments.h) never set anything: behind a CONFIG file they are passed over, elsewhere refused.
 */
int config_load(struct config *c, int argc, char *const *argv, char *const *envp,
	struct config_error *error);

void config_free(struct config *c);

/* The text of --help: usage, the three ways to be started, every option with its default. */
void config_print_help(FILE *out);

#endif
