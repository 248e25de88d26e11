/* links: stream/groups log/filter log/row log/channel base/utf8 */
/* libs: --for-linker --wrap --for-linker malloc --for-linker --wrap --for-linker calloc --for-linker --wrap --for-linker realloc */
/*
 * Which groups follow a channel, against a model that asks every group's filter; joining, leaving,
 * and every allocation that fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "no_memory.h"
#include "stream/groups.h"

enum { MEMBERS = 40, LISTS = 16, CHANNELS = 10, CROWD = 400 };

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

/* These fail whenever malloc() fails. */
void *__wrap_calloc(size_t count, size_t size)
{
	return allocations_left-- > 0 ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return allocations_left-- > 0 ? __real_realloc(old, size) : NULL;
}

/* Possible requests: sorted, without duplicates. */
static const char *const lists[LISTS][4] = {{"a"}, {"b"}, {"a", "b"}, {"*"}, {"a/*"}, {"a", "a/*"},
	{"a/b"}, {"a/b/*"}, {"a/*", "a/b/*"}, {"*", "a"}, {"a/", "a/*"}, {"a//*"}, {"b/*", "c"},
	{"/"}, {"a/b", "a/b/c"}, {"*", "a/*", "a/b"}};
static const char *const channels[CHANNELS] = {
	"a", "b", "a/", "a/b", "a/b/", "a/b/c", "a//c", "/", "/a", "c"};

static struct groups *groups;
static struct {
	struct group *group; /* NULL: nobody */
	int list, type;
	int lane;
} members[MEMBERS];

static int set_up(void **state)
{
	srandom(13);
	memset(members, 0, sizeof(members));
	assert_non_null(groups = groups_new());
	return 0;
}

static struct filter *make_filter(int list, int type)
{
	static const char *const types[] = {"message", "paid"};
	size_t lengths[4], count = 0, type_length = strlen(types[type == 2]);

	for (; count < 4 && lists[list][count]; count++)
		lengths[count] = strlen(lists[list][count]);
	return filter_new(
		lists[list], lengths, count, &types[type == 2], &type_length, type ? 1 : 0);
}

static bool is_same(int i, int j)
{
	return members[i].list == members[j].list && members[i].type == members[j].type &&
	       members[i].lane == members[j].lane;
}

static void join(int i)
{
	members[i].list = (int)(random() % LISTS);
	members[i].type = (int)(random() % 3);
	members[i].lane = (int)(random() % 3) + LANE_NONE;
	members[i].group =
		groups_join(groups, make_filter(members[i].list, members[i].type), members[i].lane);
	assert_non_null(members[i].group);
	assert_int_equal(members[i].group->lane, members[i].lane);
	/* Streams that follow the same channels form one group, and no others. */
	for (int j = 0; j < MEMBERS; j++)
		if (members[j].group)
			assert_int_equal(members[j].group == members[i].group, is_same(i, j));
}

static void leave(int i)
{
	groups_release(groups, members[i].group);
	members[i].group = NULL;
}

struct told {
	struct group *group[4 * MEMBERS];
	size_t count;
};

static void tell(void *context, struct group *group)
{
	struct told *told = context;

	assert_true(told->count < 4 * MEMBERS);
	told->group[told->count++] = group;
}

static size_t times_told(const struct told *told, const struct group *group)
{
	size_t times = 0;

	for (size_t i = 0; i < told->count; i++)
		times += told->group[i] == group;
	return times;
}

/* In how many ways the filter matches the channel. */
static size_t ways(const struct filter *f, const char *channel)
{
	size_t count = 0;

	for (size_t i = 0; i < f->channel_count; i++) {
		const struct filter_text *c = &f->channels[i];

		if (c->text[c->length - 1] == '*')
			count += !strncmp(c->text, channel, c->length - 1);
		else
			count += c->length == strlen(channel) &&
				 !memcmp(c->text, channel, c->length);
	}
	return count;
}

static void expect_followers(const char *channel)
{
	struct told told = {.count = 0};

	groups_of_channel(groups, channel, strlen(channel), tell, &told);
	for (size_t i = 0; i < told.count; i++) {
		bool known = false;

		for (int j = 0; j < MEMBERS && !known; j++)
			known = members[j].group == told.group[i];
		assert_true(known);
	}
	for (int j = 0; j < MEMBERS; j++)
		if (members[j].group)
			assert_int_equal(times_told(&told, members[j].group),
				ways(members[j].group->filter, channel));
}

static void expect_all(void)
{
	struct told told = {.count = 0};

	for (int lane = LANE_NONE; lane < GROUPS_LANES; lane++)
		for (struct group *g = groups_of_lane(groups, lane); g; g = g->next) {
			assert_int_equal(g->lane, lane);
			tell(&told, g);
		}
	for (int j = 0; j < MEMBERS; j++)
		if (members[j].group)
			assert_int_equal(times_told(&told, members[j].group), 1);
	for (size_t i = 0; i < told.count; i++) {
		bool known = false;

		for (int j = 0; j < MEMBERS && !known; j++)
			known = members[j].group == told.group[i];
		assert_true(known);
	}
}

static int tear_down(void **state)
{
	allow_all_allocations();
	for (int i = 0; i < MEMBERS; i++)
		if (members[i].group)
			leave(i);
	for (int lane = LANE_NONE; lane < GROUPS_LANES; lane++)
		assert_null(groups_of_lane(groups, lane));
	groups_free(groups);
	return 0;
}

static void test_who_follows_a_channel(void **state)
{
	for (int round = 0; round < 1500; round++) {
		int i = (int)(random() % MEMBERS);

		if (members[i].group)
			leave(i);
		else
			join(i);
		for (int c = 0; c < CHANNELS; c++)
			expect_followers(channels[c]);
		expect_all();
	}
}

/* A channel of a view may be longer than any name. */
static void test_very_long_channels(void **state)
{
	char channel[2000];

	memset(channel, '/', sizeof(channel) - 1);
	channel[sizeof(channel) - 1] = '\0';
	memcpy(channel, "a/b/", 4);
	for (int i = 0; i < MEMBERS; i++)
		join(i);
	expect_followers(channel);
}

/* Joins a group that follows "all" and the channel with this number. */
static struct group *join_numbered(int number)
{
	char text[16];
	const char *const names[] = {"all", text};
	const size_t lengths[] = {3, (size_t)snprintf(text, sizeof(text), "n/%d", number)};

	return groups_join(groups, filter_new(names, lengths, 2, NULL, NULL, 0), 0);
}

static void count_streams(void *context, const char *channel, size_t length, size_t streams)
{
	size_t *counts = context;

	if (length == 3 && !memcmp(channel, "all", 3))
		counts[CROWD] += streams;
	else
		counts[strtol(channel + 2, NULL, 10)] += streams;
}

/* Half of a crowd is told of its channel, and all are told of the one that they share. */
static void expect_crowd(struct group *const *crowd)
{
	size_t counts[CROWD + 1] = {0}, count = 0;

	groups_channels(groups, count_streams, counts);
	for (int i = 0; i < CROWD; i++) {
		struct told told = {.count = 0};
		char channel[16];

		groups_of_channel(groups, channel,
			(size_t)snprintf(channel, sizeof(channel), "n/%d", i), tell, &told);
		assert_int_equal(told.count, crowd[i] != NULL);
		assert_int_equal(counts[i], crowd[i] != NULL);
		if (crowd[i])
			assert_ptr_equal(told.group[0], crowd[i]);
		count += crowd[i] != NULL;
	}
	assert_int_equal(counts[CROWD], count);
}

/* Many patterns, each of one group, and one pattern of many groups. */
static void test_crowd(void **state)
{
	struct group *crowd[CROWD];

	for (int i = 0; i < CROWD; i++)
		assert_non_null(crowd[i] = join_numbered(i));
	expect_crowd(crowd);
	/* Half of them leave, also the first and the last of the pattern that they share. */
	for (int i = 0; i < CROWD; i += 1 + (i > 0 && i < CROWD - 2)) {
		groups_release(groups, crowd[i]);
		crowd[i] = NULL;
	}
	expect_crowd(crowd);
	for (int i = 0; i < CROWD; i++)
		if (crowd[i])
			groups_release(groups, crowd[i]);
}

/* Even if any allocation fails, a group is complete or absent. */
static void test_out_of_memory(void **state)
{
	for (int list = 0; list < LISTS; list++) {
		struct group *group = NULL;

		for (long good = 0; !group; good++) {
			struct filter *filter = make_filter(list, 0);

			assert_true(good < 50);
			allow_allocations(good);
			group = groups_join(groups, filter, 0);
			assert_int_equal(allow_all_allocations(), group == NULL);
			for (int c = 0; c < CHANNELS && !group; c++)
				expect_followers(channels[c]);
			if (!group)
				expect_all();
		}
		members[0].group = group;
		for (int c = 0; c < CHANNELS; c++)
			expect_followers(channels[c]);
		leave(0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_follows_a_channel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_very_long_channels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crowd, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
