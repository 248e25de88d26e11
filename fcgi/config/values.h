/*
 * values: what the settings hold, once config.c has read them.
 */
#ifndef ROWTAIL_VALUES_H
#define ROWTAIL_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/logging.h"

enum config_action {
	CONFIG_SERVE,
	CONFIG_CHECK,
	CONFIG_TRACK,
	CONFIG_UNTRACK,
	CONFIG_TRACKED,
	CONFIG_HELP,
	CONFIG_VERSION,
};

struct config {
	enum config_action action;
	const char *file; /* the CONFIG file, or NULL */
	const char *db; /* required, except for help and version */
	const char *table; /* "events" */
	const char *listen; /* PATH, HOST:PORT or :PORT; NULL if not given */
	unsigned listen_mode; /* of a unix socket: 0660 */
	const char **http; /* like listen; never NULL; ends with a NULL */
	const char *http_path; /* "/events": "/", or without a slash at its end */
	const char *pages; /* like listen; NULL if not given */
	const char **trusted_proxies; /* network_read() accepts each, or "unix"; ends with a NULL */
	int64_t poll_ms; /* 100; 1 to 60000 */
	int64_t heartbeat_ms; /* 15 s; 1 to 3600 s */
	int64_t retry_ms; /* 2000; 0 to 3600000 */
	int64_t retry_jitter_ms; /* 1000; 0 to 3600000 */
	int64_t max_stream_age_ms; /* 0: no limit; up to 365 days, given in seconds */
	int64_t processes; /* 1; 1 to 64 */
	int64_t max_streams; /* 10000; 1 to 1000000 */
	int64_t max_streams_per_client; /* 0: no limit */
	int64_t stall_timeout_ms; /* 60 s; 1 to 86400 s */
	int64_t max_replay; /* 0: no limit */
	const char **allow_origins; /* never NULL; ends with a NULL; "*" allows any */
	bool polls_always; /* --poll was given */
	bool public_; /* --public */
	bool allow_query_token;
	const char *jwt_key; /* a file's path; NULL: no JWTs */
	const char *jwt_algorithm; /* HS256, RS256, ES256, EdDSA…; set if and only if jwt_key is */
	const char *jwt_audience; /* NULL: not checked */
	const char *jwt_issuer;
	int64_t jwt_leeway_ms; /* clock skew, given in seconds: 0 to 300; default 0 */
	enum log_level log_level;
	enum log_format log_format;
	bool json; /* --check prints one JSON object */
	const char *follow; /* a query string: print its stream; NULL: serve */
	const char *track; /* the table of CONFIG_TRACK and CONFIG_UNTRACK */
	const char *track_channel; /* "shop/{customer_id}/orders"; NULL: TABLE/KEY */
	const char *track_columns, *track_except; /* names with commas between; NULL if not given */
	bool track_changes;
	bool track_json_functions; /* --track-json=functions */

	/* rowtail-mirror's. It also has action, file, db, pages, poll_ms, log_level and json. */
	const char *from; /* libpq's connection string; required */
	const char *notices; /* another one; NULL if not given */
	int64_t keep_rows; /* 0: all */
	int64_t keep_ms; /* 0: for ever; given in seconds */
	int64_t max_stale_ms; /* 0: no limit; given in seconds */
	bool once;

	/*
	 * rowtail-publish's. It also has action, file, db, listen, listen_mode, allow_origins,
	 * jwt_*, log_level and json.
	 */
	int64_t max_request; /* bytes: 65536 */
	int64_t wait_ms; /* 5 s; given in seconds */
	int64_t rate, rate_per_address; /* messages a minute; 0: no limit */

	void *memory; /* owned: what the pointers point to */
};

#endif
