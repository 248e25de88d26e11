/* Who may read and publish: does each grant cover something? The same for both tables. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check/query.h"
#include "log/channel.h"

enum { ROWS_MAX = 100000 };

/* Why a grant covers nothing. */
enum fault {
	FAULT_SUBJECT,
	FAULT_CHANNEL,
	FAULT_TIME,
	FAULT_EXPIRED,
	FAULT_ENDED,
	FAULT_NO_USERS,
	FAULT_NO_CHANNELS,
	FAULTS
};

/* What is wrong with such grants, and the condition that finds them. "%s" stands for the table. */
static const struct {
	const char *what, *cure;
} faults[FAULTS] = {
	[FAULT_SUBJECT] = {"the subject is none of *, user:NAME and token:HEX, with the 64 "
			   "lower-case "
			   "digits of the token's SHA-256",
		"DELETE FROM %s WHERE NOT (subject = '*' OR subject GLOB 'user:?*' OR subject GLOB "
		"'token:*' AND length(subject) = 70 AND substr(subject, 7) NOT GLOB "
		"'*[^0-9a-f]*')"},
	[FAULT_CHANNEL] =
		{"the channel is neither a name, nor a pattern such as orders/*, nor * alone",
			NULL},
	[FAULT_TIME] = {"expires_at is not a time, so it never holds; write it in UTC, as in "
			"2026-01-31 23:59:59",
		"DELETE FROM %s WHERE julianday(expires_at) IS NULL AND expires_at IS NOT NULL"},
	[FAULT_EXPIRED] = {"it has expired",
		"DELETE FROM %s WHERE julianday(expires_at) <= julianday('now')"},
	[FAULT_ENDED] = {"the channel has ended", NULL},
	[FAULT_NO_USERS] =
		{"--http knows no user names, and there is no --jwt-key, so nobody is a user",
			NULL},
	[FAULT_NO_CHANNELS] =
		{"the followed table has no column channel, so all rows are in default", NULL},
};

struct scan {
	struct checking *c;
	const char *table;
	bool users; /* can a client be a user? */
	bool channels; /* has the followed table channels? */
	bool ends; /* is there a table events_ended? */
	bool publishes;
	int64_t count[FAULTS], good;
	bool more; /* than ROWS_MAX: the rest was not looked at */
	char channel[FAULTS][CHANNEL_MAX + 1]; /* of the first with this fault */
};

static bool is_hash(const char *text, size_t length)
{
	return length == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool is_subject(const char *text, size_t length)
{
	static const char user[] = "user:", token[] = "token:";

	if (!strncmp(text, user, strlen(user)))
		return length > strlen(user);
	if (!strncmp(text, token, strlen(token)))
		return is_hash(text + strlen(token), length - strlen(token));
	return length == 1 && *text == '*';
}

/* Has the channel ended? For a reader, it must also have no rows left. */
static bool is_over(const struct scan *s, const char *channel)
{
	return s->ends &&
	       query_any(s->c,
		       s->publishes ? "SELECT 1 FROM events_ended WHERE channel = ?1"
				    : "SELECT 1 FROM events_ended WHERE channel = ?1 AND "
				      "NOT EXISTS (SELECT 1 FROM events WHERE channel = ?1)",
		       channel);
}

/* Columns: subject, channel, is the time unreadable, is it over. FAULTS: nothing is wrong. */
static enum fault judge(const struct scan *s, struct statement *st)
{
	size_t subject_length = 0, length = 0;
	const char *subject = database_text(st, 0, &subject_length);
	const char *channel = database_text(st, 1, &length);

	if (!subject || !is_subject(subject, subject_length))
		return FAULT_SUBJECT;
	if (!channel || !channel_is_pattern(channel, length))
		return FAULT_CHANNEL;
	if (database_int(st, 2))
		return FAULT_TIME;
	if (database_int(st, 3))
		return FAULT_EXPIRED;
	if (!s->users && !strncmp(subject, "user:", 5))
		return FAULT_NO_USERS;
	if (!s->channels && !channel_covers(channel, length, "default", strlen("default")))
		return FAULT_NO_CHANNELS;
	return is_over(s, channel) ? FAULT_ENDED : FAULTS;
}

static void count(struct scan *s, struct statement *st)
{
	enum fault fault = judge(s, st);
	const char *channel;
	size_t length = 0;

	if (fault == FAULTS) {
		s->good++;
		return;
	}
	channel = database_text(st, 1, &length);
	if (!s->count[fault]++ && channel)
		text_harmless(s->channel[fault], CHANNEL_MAX, channel, length, false);
}

static bool scan(struct scan *s)
{
	struct statement *st;
	char sql[400];
	int64_t rows = 0;

	snprintf(sql, sizeof(sql),
		"SELECT subject, channel, expires_at IS NOT NULL AND julianday(expires_at) IS "
		"NULL, "
		"ifnull(julianday(expires_at) <= julianday('now'), 0) FROM %s LIMIT %d",
		s->table, ROWS_MAX);
	if (database_prepare(s->c->db, &st, sql) != DATABASE_OK)
		return false;
	while (rows < ROWS_MAX && query_next(s->c, st)) {
		count(s, st);
		rows++;
	}
	s->more = rows == ROWS_MAX;
	database_finalize(st);
	return true;
}

static void tell(const struct scan *s, enum fault fault)
{
	char sql[512], channels[CHANNEL_MAX + 64];
	char cure[REPORT_CURE_MAX];
	const char *fix = NULL;
	bool is_one = s->count[fault] == 1;

	if (faults[fault].cure) {
		const char *at = strstr(faults[fault].cure, "%s");

		snprintf(sql, sizeof(sql), "%.*s%s%s", (int)(at - faults[fault].cure),
			faults[fault].cure, s->table, at + 2);
		fix = cure_sql(cure, s->c, sql);
	}
	snprintf(channels, sizeof(channels), s->count[fault] > 1 ? "%s and others" : "%s",
		s->channel[fault]);
	report_note(s->c->report, fix, "%lld row%s in %s %s%s nothing (channel %s): %s",
		(long long)s->count[fault], is_one ? "" : "s", s->table,
		s->publishes ? "allow" : "cover", is_one ? "s" : "", channels, faults[fault].what);
}

static void tell_faults(const struct scan *s)
{
	for (int fault = 0; fault < FAULTS; fault++)
		if (s->count[fault])
			tell(s, (enum fault)fault);
}

/* Does the configuration let a client be a user: by a web server's login, or by a JWT's sub? */
static bool has_users(const struct config *config)
{
	return config->jwt_key || config->listen || !*config->http;
}

static bool begin(struct scan *s, struct checking *c)
{
	char sql[128];

	s->c = c;
	s->ends = c->ours &&
		  query_any(c, "SELECT 1 FROM sqlite_master WHERE name = 'events_ended'", NULL);
	s->channels = c->ours || query_any(c,
					 "SELECT 1 FROM pragma_table_xinfo(?1) WHERE lower(name) = "
					 "'channel'",
					 c->config->table);
	snprintf(sql, sizeof(sql), "SELECT 1 FROM pragma_table_info('%s') WHERE name = 'subject'",
		s->table);
	return query_any(c, sql, NULL) && scan(s);
}

void section_grants(struct checking *c)
{
	struct scan s = {.table = "grants", .users = has_users(c->config)};
	char cure[REPORT_CURE_MAX];

	if (c->config->public_) {
		report_note(c->report, NULL,
			"--public: everyone whom the web server lets through can read every "
			"channel");
		return;
	}
	/* section_schema() reports a missing table. */
	if (!begin(&s, c))
		return;
	if (s.good)
		report_ok(c->report, "%lld grant%s now%s", (long long)s.good,
			s.good == 1 ? " is valid" : "s are valid",
			s.more ? ", of the first that were examined" : "");
	else if (c->config->jwt_key)
		report_note(
			c->report, NULL, "no grant is valid now: only clients with a JWT can read");
	else
		report_note(c->report,
			cure_sql(cure, c, "INSERT INTO grants(subject, channel) VALUES ('*', '*')"),
			"no grant is valid now, so nobody can read anything yet; the next command "
			"lets everyone read everything");
	tell_faults(&s);
}

void section_publishers(struct checking *c)
{
	/* rowtail-publish has a web server in front, and perhaps a key of its own. */
	struct scan s = {.table = "publishers", .users = true, .publishes = true};

	if (!c->ours || !begin(&s, c))
		return;
	if (s.good)
		report_ok(c->report, "%lld row%s valid now", (long long)s.good,
			s.good == 1 ? " is" : "s are");
	tell_faults(&s);
}
