/* links: base/origin config/setting base/network base/text base/utf8 config/setting_path */
/* What each setting accepts and refuses, its default, and suggestions for typos. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/setting.h"

static struct config config;
static const char *origins[SETTING_LIST_MAX + 1];
static const char *http[SETTING_LIST_MAX + 1], *proxies[SETTING_LIST_MAX + 1];

static int setup(void **state)
{
	memset(&config, 0, sizeof(config));
	memset(origins, 0, sizeof(origins));
	config.allow_origins = origins;
	config.http = http;
	config.trusted_proxies = proxies;
	return 0;
}

static const struct setting *find(const char *name)
{
	const struct setting *s = setting_find(name, strlen(name));

	assert_non_null(s);
	return s;
}

static void take(const char *name, const char *text)
{
	char advice[SETTING_ADVICE_MAX] = "";

	if (!setting_apply(find(name), &config, text, advice))
		fail_msg("%s refuses \"%s\": %s", name, text, advice);
}

/* It is refused, changes nothing, and the advice contains the word. */
static void refuse(const char *name, const char *text, const char *word)
{
	char advice[SETTING_ADVICE_MAX] = "";
	struct config before = config;

	if (setting_apply(find(name), &config, text, advice))
		fail_msg("%s takes \"%s\"", name, text);
	assert_memory_equal(&before, &config, sizeof(config));
	if (!strstr(advice, word))
		fail_msg("%s \"%s\": %s", name, text, advice);
}

static const struct {
	const char *name;
	size_t member;
	int64_t least, most, scale;
} numbers[] = {
	{"poll", offsetof(struct config, poll_ms), 1, 60000, 1},
	{"heartbeat", offsetof(struct config, heartbeat_ms), 1, 3600, 1000},
	{"retry", offsetof(struct config, retry_ms), 0, 3600000, 1},
	{"retry-jitter", offsetof(struct config, retry_jitter_ms), 0, 3600000, 1},
	{"max-stream-age", offsetof(struct config, max_stream_age_ms), 0, 31536000, 1000},
	{"processes", offsetof(struct config, processes), 1, 64, 1},
	{"max-streams", offsetof(struct config, max_streams), 1, 1000000, 1},
	{"max-streams-per-client", offsetof(struct config, max_streams_per_client), 0, 1000000, 1},
	{"stall-timeout", offsetof(struct config, stall_timeout_ms), 1, 86400, 1000},
	{"max-replay", offsetof(struct config, max_replay), 0, 1000000000, 1},
	{"jwt-leeway", offsetof(struct config, jwt_leeway_ms), 0, 300, 1000},
};

enum { NUMBERS = sizeof(numbers) / sizeof(*numbers) };

static void take_number(size_t i, int64_t number)
{
	int64_t *member = (void *)((char *)&config + numbers[i].member);
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	*member = -1;
	take(numbers[i].name, text);
	assert_int_equal(*member, number * numbers[i].scale);
}

static void test_numbers_have_their_range_and_are_kept_in_ms(void **state)
{
	char text[32];

	for (size_t i = 0; i < NUMBERS; i++) {
		take_number(i, numbers[i].least);
		take_number(i, numbers[i].least + 7);
		take_number(i, numbers[i].most);
		snprintf(text, sizeof(text), "%lld", (long long)numbers[i].most);
		refuse(numbers[i].name, "1000000001", text);
		snprintf(text, sizeof(text), "%lld", (long long)numbers[i].most + 1);
		refuse(numbers[i].name, text, "whole number");
		if (numbers[i].least > 0)
			refuse(numbers[i].name, "0", "from 1 to");
	}
}

static void test_a_number_is_only_digits(void **state)
{
	static const char *const wrong[] = {"", " ", " 5", "5 ", "+5", "-1", "5s", "0x10", "1e3",
		"5.0", "5,000", "five", "99999999999999999999", "9223372036854775808"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		for (size_t n = 0; n < NUMBERS; n++)
			refuse(numbers[n].name, wrong[i], "whole number");
	take("poll", "0010");
	assert_int_equal(config.poll_ms, 10);
}

static void test_advice_names_the_unit(void **state)
{
	refuse("poll", "x", "whole number of milliseconds from 1 to 60000");
	refuse("heartbeat", "x", "whole number of seconds from 1 to 3600");
	refuse("max-streams", "x", "whole number from 1 to 1000000");
}

static void test_a_flag_is_yes_or_no(void **state)
{
	static const char *const yes[] = {"yes", "on", "true", "1"};
	static const char *const no[] = {"no", "off", "false", "0"};
	static const char *const neither[] = {"", "Yes", "y", "2", "yes ", "enabled"};

	for (size_t i = 0; i < 4; i++) {
		take("public", yes[i]);
		assert_true(config.public_);
		take("public", no[i]);
		assert_false(config.public_);
		take("allow-query-token", yes[i]);
		assert_true(config.allow_query_token);
		take("allow-query-token", no[i]);
		assert_false(config.allow_query_token);
		take("check", yes[i]);
		assert_int_equal(config.action, CONFIG_CHECK);
		take("check", no[i]);
		assert_int_equal(config.action, CONFIG_SERVE);
	}
	for (size_t i = 0; i < sizeof(neither) / sizeof(*neither); i++) {
		refuse("public", neither[i], "yes or no");
		refuse("check", neither[i], "yes or no");
	}
}

static void test_listen_accepts_a_path_or_a_port(void **state)
{
	static const char *const right[] = {"/run/rowtail.sock", "./rowtail.sock", "a/b:c", ":9000",
		"127.0.0.1:1", "localhost:65535", "my-host.example:80", "[::1]:9000", "[::]:9000",
		"[fe80::1]:9000"};

	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		take("listen", right[i]);
		assert_string_equal(config.listen, right[i]);
	}
}

static void test_listen_refuses_other_values_and_says_why(void **state)
{
	char path[120];

	refuse("listen", "", "'/'");
	refuse("listen", "rowtail.sock", "./rowtail.sock");
	refuse("listen", "9000", ":PORT");
	refuse("listen", ":", "port from 1 to 65535");
	refuse("listen", ":0", "port from 1 to 65535");
	refuse("listen", ":65536", "port from 1 to 65535");
	refuse("listen", ":http", "port from 1 to 65535");
	refuse("listen", "host:-1", "port from 1 to 65535");
	refuse("listen", "::1:9000", "[::1]:9000");
	refuse("listen", "[]:9000", "brackets");
	refuse("listen", "[:9000", "brackets");
	refuse("listen", "[::1x:9000", "brackets");
	refuse("listen", "[1.2.3.4]:9000", "brackets");
	refuse("listen", "[zz::1]:9000", "brackets");
	refuse("listen", "two words:9000", "name");
	refuse("listen", "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:1", "brackets");

	/* A unix socket's path has 108 bytes in the kernel, one of them a NUL. */
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[106] = '\0';
	take("listen", path);
	path[106] = 'a';
	path[107] = '\0';
	refuse("listen", path, "106 bytes");
}

/* The same addresses as nginx, Apache, php-fpm and Caddy write them. */
static void test_listen_accepts_the_syntax_of_other_servers(void **state)
{
	static const struct {
		const char *text, *address;
	} known[] = {{"unix:/run/x.sock", "/run/x.sock"}, {"unix:///run/x.sock", "/run/x.sock"},
		{"unix://run/x.sock", "/run/x.sock"}, {"unix//run/x.sock", "/run/x.sock"},
		{"unix:./x.sock", "./x.sock"}, {"tcp:127.0.0.1:9000", "127.0.0.1:9000"},
		{"tcp://[::1]:9000", "[::1]:9000"}, {"tcp/localhost:9000", "localhost:9000"},
		{"tcp::9000", ":9000"}};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		take("listen", known[i].text);
		assert_string_equal(config.listen, known[i].address);
	}
	refuse("listen", "unix:x.sock", "./rowtail.sock");
	refuse("listen", "unix:", "./rowtail.sock");
	refuse("listen", "@rowtail", "give a path");
	refuse("listen", "unix:@rowtail", "give a path");
	refuse("listen", "fcgi://127.0.0.1:9000", "not a URL");
	refuse("listen", "http://localhost:9000/", "not a URL");
	refuse("listen", "tcp://localhost", "HOST:PORT");
	refuse("listen", "/run/rowtail/", "a name");
	refuse("listen", "'127.0.0.1:9000'", "remove the quotes");
	refuse("listen", "\"/run/x.sock\"", "remove the quotes");
	refuse("listen", "~/x.sock", "whole path");
}

static void test_a_database_is_a_plain_path(void **state)
{
	static const char *const right[] = {"/var/lib/events.db", "events.db", "./file:x.db", "\"",
		"a~/b", "files:x", ":memory"};

	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		take("db", right[i]);
		assert_string_equal(config.db, right[i]);
	}
	refuse("db", "file:/var/lib/events.db?mode=ro", "as in /var/lib/events.db;");
	refuse("db", "file:///var/lib/events.db?mode=ro&cache=shared", "as in /var/lib/events.db;");
	refuse("db", "file://localhost/var/lib/events.db#x", "as in /var/lib/events.db;");
	refuse("db", "file:events.db", "as in events.db;");
	refuse("db", "file:", "plain path");
	refuse("db", "sqlite:/var/lib/events.db", "plain path");
	refuse("db", "sqlite:///var/lib/events.db", "plain path");
	refuse("db", ":memory:", "path of a file");
	refuse("db", "\"/var/lib/events.db\"", "remove the quotes");
	refuse("db", "~/events.db", "whole path");
	refuse("jwt-key", "'/etc/key'", "remove the quotes");
	refuse("jwt-key", "~/key", "whole path");
}

static void test_listen_mode_is_octal(void **state)
{
	static const struct {
		const char *text;
		unsigned mode;
	} right[] = {{"0660", 0660}, {"660", 0660}, {"0", 0}, {"0777", 0777}, {"0007", 07}};
	static const char *const wrong[] = {
		"", "0999", "1000", "1777", "00660", "-660", "0x1", "u+rw", " 660", "rw-rw----"};

	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		take("listen-mode", right[i].text);
		assert_int_equal(config.listen_mode, right[i].mode);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		refuse("listen-mode", wrong[i], "0660");
}

static void test_origins_must_be_as_browsers_send_them(void **state)
{
	static const char *const right[] = {
		"*", "null", "https://a.example", "http://localhost:8080", "https://[2001:db8::1]"};

	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		take("allow-origin", right[i]);
		assert_string_equal(origins[i], right[i]);
		assert_null(origins[i + 1]);
	}
	refuse("allow-origin", "example.com", "scheme://host");
	/* config converts it to the usual form. */
	refuse("allow-origin", "https://A.example:443/", "give https://a.example");
}

static void test_there_is_room_for_a_hundred_origins(void **state)
{
	for (size_t i = 0; i < 100; i++)
		take("allow-origin", "https://a.example");
	assert_string_equal(origins[99], "https://a.example");
	refuse("allow-origin", "https://a.example", "100");
	assert_null(origins[100]);
}

static void test_jwt_algorithm_names_a_signature(void **state)
{
	static const char *const right[] = {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
		"ES256", "ES384", "ES512", "EdDSA"};

	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		take("jwt-algorithm", right[i]);
		assert_string_equal(config.jwt_algorithm, right[i]);
	}
	refuse("jwt-algorithm", "none", "proves nothing");
	refuse("jwt-algorithm", "None", "proves nothing");
	refuse("jwt-algorithm", "hs256", "HS256");
	refuse("jwt-algorithm", "HS256 ", "HS256");
	refuse("jwt-algorithm", "", "EdDSA");
}

static void test_log_levels(void **state)
{
	take("log-level", "error");
	assert_int_equal(config.log_level, LOG_LEVEL_ERROR);
	take("log-level", "debug");
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	take("log-level", "warn");
	assert_int_equal(config.log_level, LOG_LEVEL_WARN);
	take("log-level", "info");
	assert_int_equal(config.log_level, LOG_LEVEL_INFO);
	refuse("log-level", "loud", "error, warn, info or debug");
	refuse("log-level", "", "error, warn, info or debug");
	take("log-format", "json");
	assert_int_equal(config.log_format, LOG_JSON);
	take("log-format", "text");
	assert_int_equal(config.log_format, LOG_TEXT);
	refuse("log-format", "xml", "text or json");
}

static void test_texts_are_kept_unchanged(void **state)
{
	static const struct {
		const char *name;
		size_t member;
	} texts[] = {
		{"db", offsetof(struct config, db)},
		{"table", offsetof(struct config, table)},
		{"jwt-key", offsetof(struct config, jwt_key)},
		{"jwt-audience", offsetof(struct config, jwt_audience)},
		{"jwt-issuer", offsetof(struct config, jwt_issuer)},
	};
	static const char text[] = "../b\303\274cher; # 100 %s";

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		take(texts[i].name, text);
		assert_ptr_equal(*(const char **)(void *)((char *)&config + texts[i].member), text);
		refuse(texts[i].name, "", "give a value");
	}
}

/* As rowtail(8) says, in Options. */
static void test_defaults(void **state)
{
	static const struct {
		const char *name, *standard;
	} standards[] = {{"db", NULL}, {"table", "events"}, {"listen", NULL},
		{"listen-mode", "0660"}, {"http", NULL}, {"http-path", "/events"},
		{"trusted-proxy", NULL}, {"pages", NULL}, {"poll", "100"}, {"heartbeat", "15"},
		{"retry", "2000"}, {"retry-jitter", "1000"}, {"max-stream-age", "0"},
		{"processes", "1"}, {"max-streams", "10000"}, {"max-streams-per-client", "0"},
		{"stall-timeout", "60"}, {"max-replay", "0"}, {"allow-origin", NULL},
		{"public", NULL}, {"allow-query-token", NULL}, {"jwt-key", NULL},
		{"jwt-algorithm", NULL}, {"jwt-audience", NULL}, {"jwt-issuer", NULL},
		{"jwt-leeway", "0"}, {"log-level", "info"}, {"log-format", "text"},
		{"follow", NULL}, {"track", NULL}, {"track-channel", NULL}, {"track-columns", NULL},
		{"track-except", NULL}, {"track-changes", NULL}, {"track-json", "plain"},
		{"untrack", NULL}, {"tracked", NULL}, {"check", NULL}, {"json", NULL},
		{"version", NULL}, {"help", NULL}};
	const struct setting *s;

	assert_int_equal(setting_count(), sizeof(standards) / sizeof(*standards));
	for (size_t i = 0; i < setting_count(); i++) {
		s = find(standards[i].name);
		if (standards[i].standard)
			assert_string_equal(s->standard, standards[i].standard);
		else
			assert_null(s->standard);
		if (s->standard)
			take(s->name, s->standard);
	}
}

static void test_every_name_is_found(void **state)
{
	char variable[SETTING_NAME_MAX];

	for (size_t i = 0; i < setting_count(); i++) {
		assert_ptr_equal(find(setting_at(i)->name), setting_at(i));
		assert_int_equal(setting_index(setting_at(i)), i);
		setting_variable(setting_at(i), variable);
		assert_int_equal(
			strlen(variable), strlen("ROWTAIL_") + strlen(setting_at(i)->name));
	}
	setting_variable(find("max-streams-per-client"), variable);
	assert_string_equal(variable, "ROWTAIL_MAX_STREAMS_PER_CLIENT");
	assert_null(setting_find("max-stream", 10));
	assert_null(setting_find("db", 1));
	assert_null(setting_find("", 0));
}

static void test_a_typo_suggests_the_right_name(void **state)
{
	static const struct {
		const char *slip, *meant;
	} slips[] = {{"tabel", "table"}, {"max-stream", "max-streams"},
		{"maxstreams", "max-streams"}, {"max_streams", "max-streams"},
		{"ROWTAIL_MAX_STREAM", "max-streams"}, {"--Db", "db"}, {"-public", "public"},
		{"dbs", "db"}, {"hartbeat", "heartbeat"}, {"pol", "poll"}, {"pool", "poll"},
		{"retry-jiter", "retry-jitter"}, {"lsiten", "listen"}, {"jwt-alg", "jwt-algorithm"},
		{"origin", "allow-origin"}, {"loglevel", "log-level"}};
	const struct setting *s;

	for (size_t i = 0; i < sizeof(slips) / sizeof(*slips); i++) {
		s = setting_nearest(slips[i].slip, strlen(slips[i].slip));
		if (!s || strcmp(s->name, slips[i].meant))
			fail_msg("%s finds %s", slips[i].slip, s ? s->name : "nothing");
	}
}

static void test_unrelated_names_get_no_suggestion(void **state)
{
	static const char *const far[] = {"", "-", "--", "x", "xy", "h", "foo", "colour",
		"ROWTAIL_", "a-name-that-is-longer-than-any-name-is", "\377\377"};
	char length_31[] = "max-streams-per-clientxxxxxxxxx";

	for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++)
		assert_null(setting_nearest(far[i], strlen(far[i])));
	assert_int_equal(strlen(length_31), SETTING_NAME_MAX - 1);
	assert_null(setting_nearest(length_31, strlen(length_31)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(test_##name, setup)
		TEST(numbers_have_their_range_and_are_kept_in_ms),
		TEST(a_number_is_only_digits),
		TEST(advice_names_the_unit),
		TEST(a_flag_is_yes_or_no),
		TEST(listen_accepts_a_path_or_a_port),
		TEST(listen_refuses_other_values_and_says_why),
		TEST(listen_accepts_the_syntax_of_other_servers),
		TEST(a_database_is_a_plain_path),
		TEST(listen_mode_is_octal),
		TEST(origins_must_be_as_browsers_send_them),
		TEST(there_is_room_for_a_hundred_origins),
		TEST(jwt_algorithm_names_a_signature),
		TEST(log_levels),
		TEST(texts_are_kept_unchanged),
		TEST(defaults),
		TEST(every_name_is_found),
		TEST(a_typo_suggests_the_right_name),
		TEST(unrelated_names_get_no_suggestion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
