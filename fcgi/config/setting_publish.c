/* The settings of rowtail-publish. */
#include "config/setting_impl.h"

#include "base/origin.h"

static const struct setting table[] = {
	{"db", "PATH", NULL, "the SQLite database with the event log; required",
		.parse = setting_parse_database, .member = AT(db)},
	{"listen", "ADDR", NULL, "serve FastCGI on PATH, HOST:PORT, or :PORT (loopback)",
		.parse = setting_parse_listen, .member = AT(listen)},
	{"listen-mode", "MODE", "0660", "permissions of the unix socket that --listen makes",
		.parse = setting_parse_mode},
	{"max-request", "BYTES", "65536", "the largest request: headers, parameters and body",
		NUMBER(max_request, 4096, 16 << 20, 1)},
	{"wait", "SECONDS", "5", "how long to wait for a locked database; then the answer is 503",
		NUMBER(wait_ms, 0, 60, 1000)},
	{"rate", "N", "0", "the most messages a minute from each user or token; 0: no limit",
		NUMBER(rate, 0, 1000000000, 1)},
	{"rate-per-address", "N", "0",
		"the most messages a minute from each REMOTE_ADDR; 0: no limit",
		NUMBER(rate_per_address, 0, 1000000000, 1)},
	{"allow-origin", "ORIGIN", NULL,
		"allow pages of this origin to publish (CORS); repeatable; * allows any, without "
		"credentials",
		.parse = setting_parse_origin, .usual = origin_read, .is_list = true,
		.member = AT(allow_origins)},
	SETTING_JWT_ROWS,
	{"log-level", "LEVEL", "info", "log to standard error: error, warn, info or debug",
		.parse = setting_parse_level},
	{"check", NULL, NULL,
		"say whether the database can be written, and if not, why; serve nothing",
		.parse = setting_parse_check},
	SETTING_LAST_ROWS,
};

enum { COUNT = sizeof(table) / sizeof(*table) };
_Static_assert((int)COUNT < (int)SETTING_COUNT_MAX, "config.c keeps an array of this size");

const struct setting_table setting_publish = {"rowtail-publish", table, COUNT};
