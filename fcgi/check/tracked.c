/* Tables whose changes become events (--track): do the triggers fit the tables? */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "check/query.h"
#include "track/track.h"

enum { WORD_MAX = 4 * TRACK_NAME_MAX + 300 };

/*
 * The names in `"note" "total"` become note,total. False if a name has a comma or a quote, which no
 * option can name.
 */
static bool list_names(char *out, size_t size, const char *quoted)
{
	size_t at = 0;

	for (; *quoted; quoted++) {
		if (*quoted == ',' || (quoted[0] == '"' && quoted[1] == '"') || at + 2 > size)
			return false;
		if (quoted[0] == '"' && quoted[1] == ' ' && quoted[2] == '"') {
			out[at++] = ',';
			quoted += 2;
		} else if (*quoted != '"') {
			out[at++] = *quoted;
		}
	}
	out[at] = '\0';
	return true;
}

/* The command that tracks the table again, with what is known of its options. */
static const char *cure_track(char *cure, const struct checking *c, const struct tracked *t)
{
	char table[WORD_MAX], channel[4096] = "", names[1000], except[4096] = "";
	char word[WORD_MAX];

	text_shell(table, sizeof(table), t->table);
	if (!t->lost && strcmp(t->channel, "TABLE/KEY") != 0)
		snprintf(channel, sizeof(channel), " --track-channel %s",
			text_shell(word, sizeof(word), t->channel));
	if (*t->untracked && list_names(names, sizeof(names), t->untracked))
		snprintf(except, sizeof(except), " --track-except %s",
			text_shell(word, sizeof(word), names));
	snprintf(cure, REPORT_CURE_MAX, "rowtail --db %s --track %s%s%s | sqlite3 %s", c->word,
		table, channel, except, c->word);
	return cure;
}

static void take(void *context, const struct tracked *t)
{
	struct checking *c = context;
	char cure[REPORT_CURE_MAX];

	if (t->lost) {
		report_wrong(c->report, EX_CONFIG, cure_track(cure, c, t),
			"%s was tracked, but its triggers are gone, since the table was recreated "
			"or dropped; add the other --track options that were used",
			t->table);
		return;
	}
	if (!t->changed) {
		report_ok(c->report, "%s is tracked", t->table);
		return;
	}
	report_wrong(c->report, EX_CONFIG, cure_track(cure, c, t),
		"the columns of %s have changed since --track, so its events lack the new ones, "
		"and a "
		"dropped one makes its writers fail; add the other --track options that were used",
		t->table);
}

void section_tracked(struct checking *c)
{
	if (c->ours)
		track_each(c->db, c, take);
}
