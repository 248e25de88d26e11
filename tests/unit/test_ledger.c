/*
 * The checker of the torture run detects rows that are missing, repeated, out of order, sent to the
 * wrong client, or corrupt; and it accepts what a gap excuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../torture/ledger.c"
#include "../torture/row.c"
#include "../torture/seen.c"

enum { A = 0, AX = 1, B = 4 }; /* keys: channel a/0 without a type and with x, channel a/1 */

static struct ledger ledger;
static struct ledger_tally tally;

static void line(const char *text)
{
	ledger_line(&ledger, text, strlen(text), strlen(text), &tally);
}

static void lines(char *text)
{
	for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
		*end = '\0';
		line(at);
	}
}

static void control(const char *type, int64_t id, const char *data)
{
	char text[200];

	snprintf(text, sizeof text, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)id, type, data);
	lines(text);
}

static void position(int64_t id)
{
	control("position", id, "0");
}

static void row(int64_t id, int key, int64_t number, int64_t before)
{
	struct row r = {key, number, before, 2, 10};
	char data[200], text[600];

	data[row_write(data, &r)] = '\0';
	snprintf(text, sizeof text, "id: %lld\n", (long long)id);
	if (*row_type(key))
		snprintf(text + strlen(text), 20, "event: %s\n", row_type(key));
	*strchr(data, '\n') = '\0';
	snprintf(text + strlen(text), 300, "data: %s\ndata: %lld\ndata: %lld\n\n", data,
		(long long)number, (long long)number);
	lines(text);
}

/* A client of a/0 and a/0's x that has begun at 10. */
static int begin(void **state)
{
	memset(&tally, 0, sizeof tally);
	ledger_init(&ledger, "test", 1 << A | 1 << AX);
	position(10);
	return 0;
}

static int64_t wrong(void)
{
	return tally.lost + tally.twice + tally.disorder + tally.foreign + tally.corrupt +
	       tally.garbage + tally.needless + tally.untold + tally.unlike;
}

static void test_complete(void **state)
{
	row(11, A, 5, 9);
	row(12, AX, 1, 0);
	ledger_connected(&ledger);
	position(12);
	row(15, A, 6, 11);
	position(20);
	assert_int_equal(tally.rows, 3);
	assert_int_equal(wrong(), 0);
}

static void test_lost(void **state)
{
	row(11, A, 5, 9);
	row(15, A, 8, 14);
	assert_int_equal(tally.lost, 2);
	assert_int_equal(wrong(), 2);
}

static void test_lost_before_the_first(void **state)
{
	row(15, A, 8, 11);
	assert_int_equal(tally.lost, 1);
}

static void test_lost_at_the_end(void **state)
{
	int64_t ids[ROW_KEYS] = {0}, numbers[ROW_KEYS] = {0};

	row(11, A, 5, 9);
	ids[A] = ids[B] = 14;
	numbers[A] = numbers[B] = 7;
	ledger_close(&ledger, ids, numbers, &tally);
	assert_int_equal(tally.lost, 2);
}

static void test_repeated(void **state)
{
	row(11, A, 5, 9);
	row(11, A, 5, 9);
	assert_int_equal(tally.twice, 1);
}

static void test_out_of_order(void **state)
{
	row(12, A, 5, 9);
	row(11, AX, 1, 0);
	assert_int_equal(tally.disorder, 1);
}

static void test_position_goes_back(void **state)
{
	row(12, A, 5, 9);
	position(11);
	assert_int_equal(tally.disorder, 1);
}

static void test_resumed_elsewhere(void **state)
{
	row(12, A, 5, 9);
	ledger_connected(&ledger);
	position(14);
	assert_int_equal(tally.disorder, 1);
}

static void test_not_asked_for(void **state)
{
	row(12, B, 1, 0);
	assert_int_equal(tally.foreign, 1);
}

static void test_corrupt(void **state)
{
	line("id: 11");
	line("data: 0 5 9 0 3 FFG");
	line("");
	assert_int_equal(tally.corrupt, 1);
	line("id: 12");
	line("data: 0 5 9 1 3 FFF");
	line("");
	assert_int_equal(tally.corrupt, 2);
}

static void test_gap_excuses_what_is_before_it(void **state)
{
	row(11, A, 5, 9);
	control("gap", 20, "{\"reason\":\"pruned\"}");
	row(25, A, 9, 18);
	assert_int_equal(wrong(), 0);
	assert_int_equal(tally.gaps[LEDGER_PRUNED], 1);
	assert_int_equal(tally.owed, 1);
}

static void test_gap_does_not_excuse_what_follows_it(void **state)
{
	row(11, A, 5, 9);
	control("gap", 20, "{\"reason\":\"pruned\"}");
	row(25, A, 9, 22);
	assert_int_equal(tally.lost, 3);
}

/* A client of all of a/0, which has its row 11. */
static void begin_whole_channel(void)
{
	ledger_init(&ledger, "test", (1 << ROW_TYPES) - 1);
	position(10);
	row(11, A, 5, 9);
}

static void test_owed_gap(void **state)
{
	begin_whole_channel();
	control("gap", 20, "{\"reason\":\"pruned\"}");
	row(25, AX, 1, 0);
	assert_int_equal(tally.owed, 0);
	row(26, A, 9, 18);
	row(27, A, 10, 26);
	assert_int_equal(tally.owed, 1);
	assert_int_equal(wrong(), 0);
}

static void test_missing_gap_is_found_at_the_end(void **state)
{
	int64_t ids[ROW_KEYS] = {[A] = 18}, numbers[ROW_KEYS] = {[A] = 8};

	begin_whole_channel();
	control("gap", 20, "{\"reason\":\"pruned\"}");
	ledger_close(&ledger, ids, numbers, &tally);
	assert_int_equal(tally.owed, 1);
	assert_int_equal(wrong(), 0);
}

static void test_needless_gap(void **state)
{
	int64_t ids[ROW_KEYS] = {[A] = 25}, numbers[ROW_KEYS] = {[A] = 6};

	begin_whole_channel();
	control("gap", 20, "{\"reason\":\"pruned\"}");
	row(25, A, 6, 11);
	assert_int_equal(wrong(), 0);
	ledger_close(&ledger, ids, numbers, &tally);
	assert_int_equal(tally.owed, 0);
	assert_int_equal(tally.needless, 1);
	assert_int_equal(wrong(), 1);
}

static void test_gap_of_another_type_is_not_needless(void **state)
{
	row(11, A, 5, 9);
	control("gap", 20, "{\"reason\":\"pruned\"}");
	row(25, A, 6, 11);
	row(26, AX, 1, 0);
	assert_int_equal(wrong(), 0);
}

static void test_gap_after_a_restore_is_not_needless(void **state)
{
	int64_t none[ROW_KEYS] = {0};

	begin_whole_channel();
	tally.restored = 1000;
	control("gap", 1000, "{\"reason\":\"pruned\"}");
	row(1001, A, 3, 7);
	ledger_close(&ledger, none, none, &tally);
	assert_int_equal(wrong(), 0);
}

/* The client gets a gap; then a failover takes back the deleted rows and their deletion. */
static void test_gap_whose_deletion_was_taken_back_is_not_needless(void **state)
{
	int64_t none[ROW_KEYS] = {0};

	begin_whole_channel();
	control("gap", 15, "{\"newest\":15,\"reason\":\"pruned\"}");
	tally.restored = 1000;
	row(1001, A, 6, 11);
	for (int key = AX; key < ROW_TYPES; key++)
		row(1001 + key, key, 1, 0);
	ledger_close(&ledger, none, none, &tally);
	assert_int_equal(wrong(), 0);
}

static void test_unreported_replaced_file(void **state)
{
	row(11, A, 5, 9);
	row(1001, A, 3, 7);
	assert_int_equal(tally.untold, 1);
	assert_int_equal(wrong(), 1);
}

static void test_replaced_file(void **state)
{
	row(11, A, 5, 9);
	control("gap", 1000, "{\"reason\":\"replaced\"}");
	row(1001, A, 3, 7);
	row(1002, A, 4, 1001);
	assert_int_equal(tally.gaps[LEDGER_REPLACED], 1);
	assert_int_equal(wrong(), 0);
}

/* It resumes on a copy that is far behind: what it has received above the gap comes again. */
static void test_gap_that_goes_back(void **state)
{
	row(11, A, 5, 9);
	row(12, A, 6, 11);
	row(13, AX, 3, 8);
	control("gap", 11, "{\"reason\":\"future\"}");
	row(12, A, 6, 11);
	row(13, AX, 3, 8);
	assert_int_equal(wrong(), 0);
	row(15, A, 8, 14);
	assert_int_equal(tally.lost, 1);
}

/* Rows of the new file that were deleted before the gap are behind it too. Later ones are not. */
static void test_rows_deleted_before_a_gap_for_a_new_file(void **state)
{
	row(11, A, 5, 9);
	control("gap", 100,
		"{\"requested\":\"11\",\"oldest\":1,\"newest\":140,\"reason\":\"replaced\"}");
	row(141, A, 9, 130);
	assert_int_equal(wrong(), 0);
	row(143, A, 11, 142);
	assert_int_equal(tally.lost, 1);
}

static void test_cut_event_is_dropped(void **state)
{
	line("id: 11");
	line("data: 0 5 9 0 3 FFF");
	ledger_connected(&ledger);
	position(10);
	row(11, A, 5, 9);
	assert_int_equal(tally.rows, 1);
	assert_int_equal(wrong(), 0);
}

/* Rows in the middle were deleted: the gap says where the last may be missing; the rest follows. */
static void test_gap_before_a_deleted_middle(void **state)
{
	row(11, A, 5, 9);
	control("gap", 11,
		"{\"requested\":\"11\",\"oldest\":1,\"newest\":20,\"reason\":\"pruned\"}");
	row(12, AX, 1, 0);
	row(18, A, 8, 16);
	row(21, A, 9, 18);
	assert_int_equal(wrong(), 0);
	assert_int_equal(tally.owed, 1);
	row(25, A, 11, 23);
	assert_int_equal(tally.lost, 1);
}

/* The first rows after the gap show nothing, but a later one does. */
static void test_gap_for_rows_of_the_middle_is_owed(void **state)
{
	begin_whole_channel();
	control("gap", 11, "{\"newest\":20,\"reason\":\"pruned\"}");
	for (int key = AX; key < ROW_TYPES; key++)
		row(21 + key, key, 1, 0);
	row(30, A, 6, 11);
	assert_int_equal(tally.needless, 1);
	begin_whole_channel();
	control("gap", 11, "{\"newest\":20,\"reason\":\"pruned\"}");
	row(12, A, 6, 11);
	for (int key = AX; key < ROW_TYPES; key++)
		row(12 + key, key, 1, 0);
	row(20, A, 8, 18);
	assert_int_equal(tally.needless, 1);
	assert_int_equal(tally.owed, 1);
}

static void test_rows_of_one_commit(void **state)
{
	row(11, A, 5, 9);
	row(12, A, 6, ROW_SAME_COMMIT);
	row(13, A, 7, ROW_SAME_COMMIT);
	assert_int_equal(wrong(), 0);
	row(15, A, 9, ROW_SAME_COMMIT);
	assert_int_equal(tally.lost, 1);
	row(16, A, 8, ROW_SAME_COMMIT);
	assert_int_equal(tally.twice, 1);
}

static void test_first_row_in_the_middle_of_a_commit(void **state)
{
	row(11, A, 5, ROW_SAME_COMMIT);
	row(12, A, 6, ROW_SAME_COMMIT);
	assert_int_equal(wrong(), 0);
}

/* Rows of a commit may be gone, and after a new file no number tells. */
static void test_gap_in_a_commit_after_a_new_file_is_undecidable(void **state)
{
	int64_t none[ROW_KEYS] = {0};

	begin_whole_channel();
	control("gap", 11, "{\"reason\":\"replaced\"}");
	control("gap", 11, "{\"newest\":20,\"reason\":\"pruned\"}");
	row(18, A, 9, ROW_SAME_COMMIT);
	row(21, A, 10, 18);
	ledger_close(&ledger, none, none, &tally);
	assert_int_equal(wrong(), 0);
}

static void test_row_that_was_taken_back(void **state)
{
	int64_t ids[ROW_KEYS] = {[A] = 11}, numbers[ROW_KEYS] = {[A] = 5};

	row(11, A, 5, 9);
	row(12, A, 6, 11);
	ledger_close(&ledger, ids, numbers, &tally);
	assert_int_equal(tally.untold, 1);
}

static void test_denied_is_counted(void **state)
{
	line("event: denied");
	line("data: {\"reason\":\"revoked\"}");
	line("");
	row(11, A, 5, 9);
	assert_int_equal(tally.denied, 1);
}

/* Reads the row as another client. */
static void others_row(int64_t id, int key, int64_t number, int64_t before)
{
	static struct ledger other;
	struct ledger own = ledger;

	ledger_init(&other, "other", 1 << A | 1 << AX);
	ledger = other;
	position(before);
	row(id, key, number, before);
	ledger = own;
}

static void test_one_id_is_one_row_for_all_clients(void **state)
{
	tally.seen = seen_new();
	row(11, A, 5, 9);
	others_row(11, A, 5, 9);
	row(12, AX, 1, 0);
	row((1LL << 40) + 1, A, 6, 11);
	others_row((1LL << 40) + 1, A, 6, 11);
	assert_int_equal(wrong(), 0);
	others_row(11, A, 6, 9);
	assert_int_equal(tally.unlike, 1);
	others_row(11, AX, 5, 9);
	assert_int_equal(tally.unlike, 2);
	others_row(12, AX, 1, 11);
	assert_int_equal(tally.unlike, 3);
	free(tally.seen);
}

static void test_a_long_line_is_the_same_however_much_of_it_is_there(void **state)
{
	char text[1000];

	memset(text, 'x', sizeof text);
	assert_true(
		seen_hash(SEEN_START, text, 122, 1000) == seen_hash(SEEN_START, text, 1000, 1000));
	assert_true(
		seen_hash(SEEN_START, text, 122, 999) != seen_hash(SEEN_START, text, 122, 1000));
}

/* Too many to remember: forgotten ids are no errors, and most are remembered. */
static void test_many_ids_of_one_row_each(void **state)
{
	struct seen *s = seen_new();
	int found = 0;

	for (int64_t id = 1; id <= SEEN_MAX + 1000; id++)
		assert_true(seen_same(s, id, (uint64_t)id));
	for (int64_t id = SEEN_MAX + 1; id <= SEEN_MAX + 1000; id++)
		found += !seen_same(s, id, 0);
	assert_in_range(found, 900, 1000);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_complete, begin),
		cmocka_unit_test_setup(test_lost, begin),
		cmocka_unit_test_setup(test_lost_before_the_first, begin),
		cmocka_unit_test_setup(test_lost_at_the_end, begin),
		cmocka_unit_test_setup(test_repeated, begin),
		cmocka_unit_test_setup(test_out_of_order, begin),
		cmocka_unit_test_setup(test_position_goes_back, begin),
		cmocka_unit_test_setup(test_resumed_elsewhere, begin),
		cmocka_unit_test_setup(test_not_asked_for, begin),
		cmocka_unit_test_setup(test_corrupt, begin),
		cmocka_unit_test_setup(test_gap_excuses_what_is_before_it, begin),
		cmocka_unit_test_setup(test_gap_does_not_excuse_what_follows_it, begin),
		cmocka_unit_test_setup(test_owed_gap, begin),
		cmocka_unit_test_setup(test_missing_gap_is_found_at_the_end, begin),
		cmocka_unit_test_setup(test_needless_gap, begin),
		cmocka_unit_test_setup(test_gap_of_another_type_is_not_needless, begin),
		cmocka_unit_test_setup(test_gap_after_a_restore_is_not_needless, begin),
		cmocka_unit_test_setup(
			test_gap_whose_deletion_was_taken_back_is_not_needless, begin),
		cmocka_unit_test_setup(test_unreported_replaced_file, begin),
		cmocka_unit_test_setup(test_replaced_file, begin),
		cmocka_unit_test_setup(test_gap_that_goes_back, begin),
		cmocka_unit_test_setup(test_rows_deleted_before_a_gap_for_a_new_file, begin),
		cmocka_unit_test_setup(test_cut_event_is_dropped, begin),
		cmocka_unit_test_setup(test_gap_before_a_deleted_middle, begin),
		cmocka_unit_test_setup(test_gap_for_rows_of_the_middle_is_owed, begin),
		cmocka_unit_test_setup(test_rows_of_one_commit, begin),
		cmocka_unit_test_setup(test_first_row_in_the_middle_of_a_commit, begin),
		cmocka_unit_test_setup(test_gap_in_a_commit_after_a_new_file_is_undecidable, begin),
		cmocka_unit_test_setup(test_row_that_was_taken_back, begin),
		cmocka_unit_test_setup(test_denied_is_counted, begin),
		cmocka_unit_test_setup(test_one_id_is_one_row_for_all_clients, begin),
		cmocka_unit_test(test_a_long_line_is_the_same_however_much_of_it_is_there),
		cmocka_unit_test(test_many_ids_of_one_row_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
