#include "stream/fanout_impl.h"

static void note_group(void *context, struct group *group)
{
	struct fanout *f = context;

	if (group->ends || group->filter->wild)
		return;
	group->ends = true;
	group->next_ending = f->ending;
	f->ending = group;
}

void fanout_note_end(struct fanout *f, const struct row *row)
{
	if (row->event && row_type_is_end(row->event, row->event_length) &&
		eventlog_has_ends(f->log))
		groups_of_channel(f->groups, row->channel, row->channel_length, note_group, f);
}

static void look_up(struct fanout *f, struct group *group)
{
	int64_t id;

	if (eventlog_ended(f->log, group->filter, &id) == EVENTLOG_OK)
		group->ended = id;
	else
		f->ends_doubted = true;
	if (group->ended)
		for (struct subscriber *s = group->idle.head; s; s = s->next)
			fanout_sweep_in(f, s, 1);
}

void fanout_look_up_ends(struct fanout *f)
{
	struct group *group;

	while ((group = f->ending)) {
		f->ending = group->next_ending;
		group->ends = false;
		look_up(f, group);
	}
}

void fanout_look_up_all_ends(struct fanout *f)
{
	f->ends_doubted = false;
	for (int lane = LANE_NONE; lane < f->lane_count; lane++)
		for (struct group *g = groups_of_lane(f->groups, lane); g && !f->ends_doubted;
			g = g->next)
			look_up(f, g);
}

bool fanout_has_ended(const struct fanout *f, const struct subscriber *s)
{
	return s->group->ended && fanout_position(f, s) >= s->group->ended;
}
