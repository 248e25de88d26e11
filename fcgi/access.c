#include "access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "database.h"

enum { RECHECK_MS = 5000 };

struct access {
	const struct config *config;
	struct eventlog *log;
	struct statement
		*grant; /* of one subject and channel: is there one, and is it valid now? */
	unsigned generation; /* of the log that it was prepared for */
};

struct access_session {
	int64_t checked_ms;
	char user[]; /* empty: everyone's grants alone */
};

enum found { FOUND_NONE, FOUND_EXPIRED, FOUND_VALID, FOUND_FAULT };

struct access *access_new(const struct config *config, struct eventlog *log, int *exit_status,
	char *sentence, size_t size)
{
	struct access *a = calloc(1, sizeof(*a));

	if (a) {
		a->config = config;
		a->log = log;
	}
	return a;
}

void access_free(struct access *a)
{
	if (a)
		database_finalize(a->grant);
	free(a);
}

/* Of a log that was closed meanwhile, the statement is gone with it. */
static struct statement *statement(struct access *a)
{
	struct database *db = eventlog_database(a->log);

	if (!db)
		return NULL;
	if (!a->grant || a->generation != eventlog_generation(a->log)) {
		database_finalize(a->grant);
		a->generation = eventlog_generation(a->log);
		database_prepare(db, &a->grant,
			"SELECT expires_at IS NULL OR julianday(expires_at) > julianday('now') "
			"FROM grants WHERE subject = ?1 AND channel = ?2 ORDER BY 1 DESC LIMIT 1");
	}
	return a->grant;
}

static enum found look_up(struct access *a, const char *subject, const struct channel_cover *c)
{
	struct statement *st = statement(a);
	char channel[CHANNEL_MAX + 2];
	enum database_status s;
	enum found found = FOUND_NONE;

	if (!st)
		return FOUND_FAULT;
	memcpy(channel, c->pattern, c->length);
	channel[c->length] = '*';
	database_bind_text(st, 1, subject, strlen(subject));
	database_bind_text(st, 2, channel, c->length + (c->wild ? 1 : 0));
	s = database_step(st);
	if (s == DATABASE_ROW)
		found = !database_is_null(st, 0) && database_int(st, 0) ? FOUND_VALID
									: FOUND_EXPIRED;
	database_reset(st);
	return s == DATABASE_ROW || s == DATABASE_DONE ? found : FOUND_FAULT;
}

/* Does one subject cover a pattern, by any of the grants that do? */
static enum found covered(struct access *a, const char *subject, const struct filter_text *pattern)
{
	struct channel_cover c;
	enum found best = FOUND_NONE, found;

	channel_cover_first(&c, pattern->text, pattern->length);
	do {
		found = look_up(a, subject, &c);
		if (found == FOUND_VALID || found == FOUND_FAULT)
			return found;
		if (found > best)
			best = found;
	} while (channel_cover_next(&c));
	return best;
}

static enum found covered_for(struct access *a, const char *user, const struct filter_text *pattern)
{
	char subject[512];
	enum found everyone = covered(a, "*", pattern), own;

	if (everyone == FOUND_VALID || everyone == FOUND_FAULT || !*user)
		return everyone;
	snprintf(subject, sizeof(subject), "user:%s", user);
	own = covered(a, subject, pattern);
	return own > everyone ? own : everyone;
}

enum access_verdict access_admit(struct access *a, const struct request *r,
	struct access_session **session, char *sentence, size_t size)
{
	const char *user = r->remote_user ? r->remote_user : "";
	enum found found;

	*session = NULL;
	if (a->config->public_)
		return ACCESS_GRANTED;
	for (size_t i = 0; i < r->channels.count; i++) {
		found = covered_for(
			a, user, &(struct filter_text){r->channels.text[i], r->channels.length[i]});
		if (found == FOUND_FAULT)
			return ACCESS_LATER;
		if (found == FOUND_VALID)
			continue;
		snprintf(sentence, size, "%s",
			*user ? "you are not granted all of the channels that you ask for"
			      : "log in, or show a token that is granted the channels you ask for");
		return *user ? ACCESS_FORBIDDEN : ACCESS_UNAUTHORIZED;
	}
	if (!(*session = calloc(1, sizeof(**session) + strlen(user) + 1)))
		return ACCESS_LATER;
	memcpy((*session)->user, user, strlen(user) + 1);
	return ACCESS_GRANTED;
}

const char *access_recheck(struct access *a, struct access_session *session, const struct filter *f,
	int64_t now_ms, enum leave_reason *reason)
{
	if (session->checked_ms == 0)
		session->checked_ms = now_ms - random() % RECHECK_MS;
	if (now_ms - session->checked_ms < RECHECK_MS)
		return NULL;
	session->checked_ms = now_ms;
	for (size_t i = 0; i < f->channel_count; i++) {
		enum found found = covered_for(a, session->user, &f->channels[i]);

		if (found == FOUND_VALID || found == FOUND_FAULT)
			continue;
		*reason = found == FOUND_EXPIRED ? LEAVE_EXPIRED : LEAVE_REVOKED;
		return leave_name(*reason);
	}
	return NULL;
}

const char *access_session_user(const struct access_session *session)
{
	return *session->user ? session->user : NULL;
}

void access_session_free(struct access_session *session)
{
	free(session);
}
