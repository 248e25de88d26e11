/* The settings of rowtail-mirror. */
#include "config/setting_impl.h"

static const struct setting table[] = {
	{"from", "CONNINFO", NULL,
		"the PostgreSQL database that has the log, as host=... dbname=..., a URI or "
		"service=...; several hosts are tried in turn; required",
		TEXT(from)},
	{"db", "PATH", NULL, "the copy, a SQLite database that rowtail follows; required",
		.parse = setting_parse_database, .member = AT(db)},
	{"notices", "CONNINFO", NULL,
		"a connection to the primary for notices of new rows, if --from is a standby or "
		"a connection pool",
		TEXT(notices)},
	{"poll", "MS", "100", "how often to ask PostgreSQL if no notice comes",
		NUMBER(poll_ms, 1, 60000, 1)},
	{"keep-rows", "N", "0", "keep only the newest N rows in the copy; 0: all",
		NUMBER(keep_rows, 0, INT64_C(1000000000000), 1)},
	{"keep-seconds", "N", "0", "keep rows in the copy for this long; 0: for ever",
		NUMBER(keep_ms, 0, INT64_C(36500) * DAY_SECONDS, 1000)},
	{"max-stale", "SECONDS", "0",
		"the health page answers 503 if the copy is older than this; 0: never",
		NUMBER(max_stale_ms, 0, INT64_C(365) * DAY_SECONDS, 1000)},
	{"pages", "ADDR", NULL, "serve /metrics, /status and /health by HTTP on this address",
		.parse = setting_parse_listen, .member = AT(pages)},
	{"once", NULL, NULL, "copy everything there is, and end", FLAG(once)},
	{"log-level", "LEVEL", "info", "log to standard error: error, warn, info or debug",
		.parse = setting_parse_level},
	{"check", NULL, NULL,
		"check configuration, PostgreSQL, permissions and the copy; print what is wrong "
		"and how to fix it; copy nothing",
		.parse = setting_parse_check},
	SETTING_LAST_ROWS,
};

enum { COUNT = sizeof(table) / sizeof(*table) };
_Static_assert((int)COUNT < (int)SETTING_COUNT_MAX, "config.c keeps an array of this size");

const struct setting_table setting_mirror = {"rowtail-mirror", table, COUNT};
