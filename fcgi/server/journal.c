#include "server/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/logging.h"
#include "stream/groups.h"

enum {
	ENDS_MOST = 100, /* lines in one second; each takes about 5 µs, in which all streams wait */
	CHANNELS_MAX = 300, /* bytes of a line for channels */
};

/* The ends of this second. */
static struct {
	int64_t since_ms;
	unsigned lines;
	int64_t left_out;
} ends;

static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS"};
static const char *const pages[] = {"stream", "metrics", "status", "status.json", "health"};

char *journal_who(const char *address, const char *user)
{
	size_t address_size = strlen(address) + 1, user_size = user ? strlen(user) + 1 : 1;
	char *who = log_enabled(LOG_LEVEL_INFO) ? malloc(address_size + user_size) : NULL;

	if (!who)
		return NULL;
	memcpy(who, address, address_size);
	memcpy(who + address_size, user ? user : "", user_size);
	return who;
}

/* Appends a name to a list with commas. Returns false if it does not fit. */
static bool add_name(char *list, const char *name, size_t length)
{
	size_t used = strlen(list);

	if (used + length + 2 > CHANNELS_MAX)
		return false;
	snprintf(list + used, CHANNELS_MAX - used, "%s%.*s", used ? "," : "", (int)length, name);
	return true;
}

/* Says how many channels the list lacks. */
static void add_rest(char *list, size_t size, size_t count)
{
	size_t used = strlen(list);

	if (count > 0)
		snprintf(list + used, size - used, "%s+%zu more", used ? "," : "", count);
}

static struct log_field text_field(const char *key, const char *text)
{
	return (struct log_field){.key = text && *text ? key : NULL, .text = text};
}

void journal_asked(const struct request *q)
{
	char list[CHANNELS_MAX + 32] = "";
	size_t i = 0;

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	if (q->page == REQUEST_STREAM && q->method != REQUEST_OPTIONS) {
		while (i < q->channels.count &&
			add_name(list, q->channels.text[i], q->channels.length[i]))
			i++;
		add_rest(list, sizeof(list), q->channels.count - i);
	}
	const struct log_field fields[] = {
		text_field("client", q->remote_addr),
		text_field("user", q->remote_user),
		text_field("method", methods[q->method]),
		text_field("page", q->json ? "json" : pages[q->page]),
		text_field("channels", list),
		text_field("origin", q->origin),
		{.key = q->position.kind == POSITION_AT ? "after" : NULL, .number = q->position.id},
		{.key = q->position.tail >= 0 ? "tail" : NULL, .number = q->position.tail},
	};
	log_fields(LOG_LEVEL_DEBUG, "request", fields, sizeof(fields) / sizeof(fields[0]));
}

void journal_refused(enum refusal reason, int status, const char *sentence)
{
	const struct log_field fields[] = {
		text_field("reason", refusal_names[reason]),
		{.key = "status", .number = status},
		text_field("sentence", sentence),
	};

	log_fields(LOG_LEVEL_DEBUG, "refused", fields, sizeof(fields) / sizeof(fields[0]));
}

/* Has this second had enough lines? Counts the end. */
static bool is_crowd(void)
{
	int64_t now_ms = clock_ms();

	if (now_ms - ends.since_ms >= 1000) {
		journal_settle();
		ends.since_ms = now_ms;
		ends.lines = 0;
	}
	if (ends.lines < ENDS_MOST) {
		ends.lines++;
		return false;
	}
	ends.left_out++;
	return true;
}

void journal_settle(void)
{
	const struct log_field more = {.key = "streams", .number = ends.left_out};

	if (ends.left_out > 0)
		log_fields(LOG_LEVEL_INFO, "more streams ended", &more, 1);
	ends.left_out = 0;
}

static void list_channels(char *list, size_t size, const struct filter *f)
{
	size_t i = 0;

	while (i < f->channel_count && add_name(list, f->channels[i].text, f->channels[i].length))
		i++;
	add_rest(list, size, f->channel_count - i);
}

void journal_ended(const struct subscriber *s)
{
	enum log_level level = s->poll ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	char list[CHANNELS_MAX + 32] = "", address[ADDRESS_NAME] = "";
	const char *user = s->who ? s->who + strlen(s->who) + 1 : NULL;

	if (!log_enabled(level) || (!s->poll && is_crowd()))
		return;
	if (s->who)
		snprintf(address, sizeof(address), "%s", s->who);
	list_channels(list, sizeof(list), s->group->filter);
	const struct log_field fields[] = {
		text_field("client", address),
		text_field("user", user),
		text_field("channels", list),
		{.key = "seconds", .number = (clock_ms() - s->opened_ms) / 100, .tenths = true},
		{.key = "records", .number = (int64_t)s->records},
		{.key = "bytes", .number = (int64_t)s->bytes},
		{.key = "id", .number = s->told},
		text_field("reason", leave_names[s->reason]),
	};
	log_fields(level, s->poll ? "rows answered" : "stream ended", fields,
		sizeof(fields) / sizeof(fields[0]));
}
