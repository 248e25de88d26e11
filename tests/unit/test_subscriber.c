/* links: stream/subscriber stream/lane protocol/framing stream/leave protocol/record stream/window stream/run protocol/sse protocol/wire log/gap base/utf8 base/buffer */
/* libs: --for-linker --wrap --for-linker malloc */
/*
 * One stream and its sink: whatever number of bytes is taken at a time, everything arrives
 * complete, and nothing overtakes a partial record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fastcgi.h>

#include "no_memory.h"
#include "protocol/record.h"
#include "protocol/sse.h"
#include "stream/subscriber.h"
#include "stream/window.h"

enum { RECORDS = 4, LONG = 150000, TAKEN_MAX = 2 * LONG };

static struct {
	struct sink sink;
	uint8_t bytes[TAKEN_MAX];
	size_t length, room;
	bool gone, wants_write;
} peer;

static struct subscriber subscriber;
static struct run run;
static uint8_t *records[RECORDS];

static ssize_t take(struct sink *sink, const struct iovec *iov, int count)
{
	size_t taken = 0;

	if (peer.gone)
		return -1;
	for (int i = 0; i < count && peer.room > 0; i++) {
		size_t n = iov[i].iov_len < peer.room ? iov[i].iov_len : peer.room;

		assert_true(peer.length + n <= TAKEN_MAX);
		memcpy(peer.bytes + peer.length, iov[i].iov_base, n);
		peer.length += n;
		peer.room -= n;
		taken += n;
	}
	return (ssize_t)taken;
}

static void note_want(struct sink *sink, bool want)
{
	peer.wants_write = want;
}

static void note_finished(struct sink *sink)
{
	fail_msg("that is for fanout to say");
}

static const struct sink_operations operations = {
	.write = take, .want_write = note_want, .finished = note_finished};

/* request_id 0: without frames. */
static void begin(uint16_t request_id, size_t room)
{
	const struct lane lane = {
		request_id ? &framing_fastcgi : &framing_none, request_id, LANE_PLAIN};

	subscriber_free(&subscriber);
	peer.sink.operations = &operations;
	peer.length = 0;
	peer.room = room;
	peer.gone = peer.wants_write = false;
	subscriber_init(&subscriber, &peer.sink, &lane, 1000);
	subscriber.state = SUBSCRIBER_LIVE;
}

/* As fanout does when the sink is writable again. */
static void more(size_t room)
{
	assert_true(subscriber.blocked);
	assert_true(peer.wants_write);
	subscriber.blocked = peer.wants_write = false;
	peer.room = room;
}

/* A run of records with these contents, with ids from `id` in steps of two. */
static void make_run(const size_t *contents, size_t count, int64_t id, bool with_hash)
{
	run_begin(&run, &subscriber.lane, subscriber.owed, subscriber.cut);
	for (size_t i = 0; i < count; i++) {
		bool shares = framing_may_share(subscriber.lane.framing, contents[i]);
		size_t header = shares || !subscriber.lane.framing->header ? 0 : RECORD_HEADER;
		size_t length = header ? record_framed_size(contents[i]) : contents[i];
		struct run_record r = {.id = id + 2 * (int64_t)i,
			.length = (uint32_t)length,
			.content = (uint32_t)contents[i]};

		free(records[i]);
		records[i] = malloc(length);
		for (size_t n = 0; n < contents[i]; n++)
			records[i][header + n] = (uint8_t)(n * 7 + (size_t)r.id);
		if (header)
			record_frame(records[i], contents[i], 1);
		r.bytes = records[i];
		r.hash = with_hash ? window_hash(r.bytes, r.length) : 0;
		if (!run_fits(&run, &r))
			break;
		run_add(&run, &r);
	}
}

static int tear_down(void **state)
{
	allow_all_allocations();
	subscriber_free(&subscriber);
	for (int i = 0; i < RECORDS; i++) {
		free(records[i]);
		records[i] = NULL;
	}
	return 0;
}

/* The content of the received frames; complete records only. */
static size_t unframe(uint8_t *content, bool *ended)
{
	size_t at = 0, length = 0;

	*ended = false;
	while (at < peer.length) {
		const uint8_t *p = peer.bytes + at;
		size_t size = (size_t)p[4] << 8 | p[5];

		assert_false(*ended);
		assert_true(at + FCGI_HEADER_LEN + size + p[6] <= peer.length);
		*ended = p[1] == FCGI_END_REQUEST;
		if (!*ended) {
			memcpy(content + length, p + FCGI_HEADER_LEN, size);
			length += size;
		}
		at += FCGI_HEADER_LEN + size + p[6];
	}
	return length;
}

static void test_own_records_in_pieces(void **state)
{
	static const char words[] = "id: 5\nevent: position\ndata: 5\n\n";
	static uint8_t content[TAKEN_MAX];
	bool ended;

	for (size_t piece = 1; piece < sizeof(words) + 10; piece++) {
		enum subscriber_result r;

		begin(1, piece);
		r = subscriber_say(&subscriber, (const uint8_t *)words, sizeof(words) - 1, 1);
		while (r == SUBSCRIBER_BLOCKED) {
			more(piece);
			r = subscriber_flush(&subscriber, 2);
		}
		assert_int_equal(r, SUBSCRIBER_SENT);
		assert_int_equal(unframe(content, &ended), sizeof(words) - 1);
		assert_memory_equal(content, words, sizeof(words) - 1);
		assert_int_equal(subscriber_flush(&subscriber, 3), SUBSCRIBER_SENT);
	}
	begin(0, SIZE_MAX);
	subscriber_say(&subscriber, (const uint8_t *)words, sizeof(words) - 1, 1);
	assert_int_equal(peer.length, sizeof(words) - 1);
	assert_memory_equal(peer.bytes, words, sizeof(words) - 1);
}

/* The records after the cursor, as fanout would build them again. */
static void rest_of_run(const size_t *contents, size_t count)
{
	size_t whole = (size_t)(subscriber.cursor + 1 - 10) / 2 + (subscriber.cursor + 1) % 2;

	make_run(contents + whole, count - whole, 10 + 2 * (int64_t)whole, whole % 2);
}

static void expect_all_records(const size_t *contents, size_t count)
{
	static uint8_t content[TAKEN_MAX];
	size_t at = 0, length;
	bool ended;

	length = unframe(content, &ended);
	for (size_t i = 0; i < count; i++)
		for (size_t n = 0; n < contents[i]; n++, at++)
			if (at == length || content[at] != (uint8_t)(n * 7 + 10 + 2 * i))
				fail_msg("byte %zu of record %zu", n, i);
	assert_int_equal(at, length);
	assert_int_equal(subscriber.records, count);
	assert_int_equal(subscriber.cursor, 10 + 2 * (int64_t)(count - 1));
	assert_int_equal(subscriber.told, subscriber.cursor);
}

static void send_in_pieces(const size_t *contents, size_t count, size_t first, size_t piece)
{
	enum subscriber_result r;

	begin(1, first);
	subscriber.cursor = 9;
	make_run(contents, count, 10, false);
	r = subscriber_send(&subscriber, &run, 1);
	while (r == SUBSCRIBER_BLOCKED) {
		more(piece);
		if ((r = subscriber_flush(&subscriber, 2)) != SUBSCRIBER_SENT)
			continue;
		rest_of_run(contents, count);
		assert_true(subscriber_continues(&subscriber, &run));
		r = subscriber_send(&subscriber, &run, 2);
	}
	assert_int_equal(r, SUBSCRIBER_SENT);
	assert_int_equal(subscriber.owed, 0);
	expect_all_records(contents, count);
}

static void test_records_in_pieces(void **state)
{
	static const size_t contents[RECORDS] = {20, 1, 33, 5}, large[] = {3, LONG, 9};

	for (size_t first = 0; first < 100; first++)
		for (size_t piece = 1; piece < 40; piece += 6)
			send_in_pieces(contents, RECORDS, first, piece);
	for (size_t first = 0; first < LONG; first += 9973)
		send_in_pieces(large, 3, first, 30011);
}

/* Only exactly the same record continues a partial one. */
static void test_another_record_does_not_continue(void **state)
{
	static const size_t contents[] = {40, 40};
	size_t other = 41;

	begin(1, 20);
	subscriber.cursor = 9;
	make_run(contents, 2, 10, false);
	assert_int_equal(subscriber_send(&subscriber, &run, 1), SUBSCRIBER_BLOCKED);
	more(SIZE_MAX);
	make_run(contents + 1, 1, 12, true); /* the next */
	assert_false(subscriber_continues(&subscriber, &run));
	make_run(&other, 1, 10, true); /* of another length */
	assert_false(subscriber_continues(&subscriber, &run));
	make_run(contents, 1, 10, false); /* with other bytes, after the part already sent */
	records[0][37] ^= 1;
	assert_false(subscriber_continues(&subscriber, &run));
	run_begin(&run, &subscriber.lane, subscriber.owed, subscriber.cut);
	assert_false(subscriber_continues(&subscriber, &run));
	make_run(contents + 1, 1, 12, true);
	assert_int_equal(subscriber_send(&subscriber, &run, 2), SUBSCRIBER_LOST);
	assert_int_equal(subscriber.reason, LEAVE_CUT);
	assert_int_equal(peer.length, 20);
}

static void test_disconnected_peer(void **state)
{
	static const size_t contents[] = {40};

	begin(1, SIZE_MAX);
	peer.gone = true;
	make_run(contents, 1, 10, true);
	assert_int_equal(subscriber_send(&subscriber, &run, 1), SUBSCRIBER_LOST);
	assert_int_equal(subscriber.reason, LEAVE_CLIENT);
	begin(1, SIZE_MAX);
	peer.gone = true;
	assert_int_equal(subscriber_say(&subscriber, (const uint8_t *)"x", 1, 1), SUBSCRIBER_LOST);
}

/* The stall timer starts when the sink is full, and restarts with every byte. */
static void test_stall_timer_restarts_with_every_byte(void **state)
{
	static const size_t contents[] = {40};

	begin(1, 10);
	make_run(contents, 1, 10, true);
	subscriber.cursor = 9;
	subscriber_send(&subscriber, &run, 5000);
	assert_int_equal(subscriber.moved_ms, 5000);
	more(10);
	subscriber_send(&subscriber, &run, 6000);
	assert_int_equal(subscriber.moved_ms, 6000);
	begin(1, 0);
	subscriber.cursor = 9;
	subscriber_send(&subscriber, &run, 7000);
	assert_int_equal(subscriber.moved_ms, 7000);
	assert_true(peer.wants_write);
}

/* The final record follows the record in progress, and END_REQUEST follows it. */
static void test_last_record(void **state)
{
	static uint8_t content[TAKEN_MAX];
	static const char words[] = "retry: 2000\n";
	enum subscriber_result r = SUBSCRIBER_BLOCKED;
	bool ended;

	begin(1, 5);
	subscriber_leave(&subscriber, LEAVE_AGE, (const uint8_t *)words, sizeof(words) - 1);
	subscriber_leave(&subscriber, LEAVE_SHUTDOWN, (const uint8_t *)"no", 2);
	assert_int_equal(subscriber.state, SUBSCRIBER_DRAIN);
	assert_int_equal(subscriber.reason, LEAVE_AGE);
	assert_int_equal(peer.length, 0);
	for (r = subscriber_farewell(&subscriber, 1); r == SUBSCRIBER_BLOCKED;
		r = subscriber_flush(&subscriber, 1))
		more(5);
	assert_int_equal(r, SUBSCRIBER_SENT);
	assert_int_equal(unframe(content, &ended), sizeof(words) - 1);
	assert_memory_equal(content, words, sizeof(words) - 1);
	assert_true(ended);
}

/* Sends the record that was cut, alone: those that came after it in its frame are gone. */
static void finish_cut_record(const size_t *contents)
{
	size_t number = (size_t)(subscriber.cursor + 1 - 10) / 2;

	if (!subscriber.cut)
		return;
	make_run(contents + number, 1, 10 + 2 * (int64_t)number, true);
	assert_int_equal(subscriber_send(&subscriber, &run, 2), SUBSCRIBER_SENT);
}

/* After the records come at most one comment, and then the words. */
static void expect_filler(const uint8_t *content, size_t length, const char *words)
{
	size_t end = length - strlen(words);

	assert_memory_equal(content + end, words, strlen(words));
	if (end == 0)
		return;
	assert_int_equal(content[end - 1], '\n');
	assert_int_equal(content[0], ':');
	assert_null(memchr(content, '\n', end - 1));
}

/* Sends records of a shared frame, which the sink cuts, and the rest of the one that was cut. */
static void send_cut_run(const size_t *contents, size_t count)
{
	subscriber.cursor = 9;
	make_run(contents, count, 10, true);
	assert_int_equal(subscriber_send(&subscriber, &run, 1), SUBSCRIBER_BLOCKED);
	more(SIZE_MAX);
	assert_int_equal(subscriber_flush(&subscriber, 2), SUBSCRIBER_SENT);
	finish_cut_record(contents);
}

/*
 * The socket takes k bytes of a frame that several records share, and the records after the first
 * of them are gone before it takes more. Whatever is sent then follows a whole frame.
 */
static void test_filler_completes_a_shared_frame(void **state)
{
	static const size_t contents[] = {20, 33, FRAMING_FILLER_MIN};
	static const char words[] = "retry: 2000\n";
	static uint8_t content[TAKEN_MAX];

	for (size_t k = 0; k < 2 * (RECORD_HEADER + 55); k++) {
		bool ended, leaves = k % 2;
		size_t length, rows = 0;

		begin(1, k / 2);
		send_cut_run(contents, 3);
		if (leaves) {
			subscriber_leave(
				&subscriber, LEAVE_AGE, (const uint8_t *)words, strlen(words));
			assert_int_equal(subscriber_farewell(&subscriber, 2), SUBSCRIBER_SENT);
		} else {
			assert_int_equal(subscriber_say(&subscriber, (const uint8_t *)words,
						 strlen(words), 2),
				SUBSCRIBER_SENT);
		}
		assert_int_equal(subscriber.owed, 0);
		length = unframe(content, &ended);
		assert_int_equal(ended, leaves);
		for (size_t i = 0; i < subscriber.records; i++)
			rows += contents[i];
		expect_filler(content + rows, length - rows, words);
	}
}

/* The same for a chunk, which also has an end. */
static void test_filler_completes_a_shared_chunk(void **state)
{
	static const size_t contents[] = {20, 33};
	enum { CONTENT = 53, HEADER = 6, WHOLE = HEADER + CONTENT + 2 };

	for (size_t k = 0; k < WHOLE; k++) {
		begin(1, k);
		subscriber.lane.framing = &framing_chunked;
		send_cut_run(contents, 2);
		if (subscriber.owed)
			assert_int_equal(subscriber_fill(&subscriber, 2), SUBSCRIBER_SENT);
		assert_int_equal(subscriber.owed, 0);
		assert_int_equal(peer.length, k ? WHOLE : 0);
		if (k == 0)
			continue;
		assert_memory_equal(peer.bytes, "0035\r\n", HEADER);
		assert_memory_equal(peer.bytes + HEADER + CONTENT, "\r\n", 2);
		if (subscriber.records < 2)
			expect_filler(peer.bytes + HEADER + 20 * subscriber.records,
				CONTENT - 20 * subscriber.records, "");
	}
}

static void test_filler_in_pieces(void **state)
{
	static const size_t contents[] = {20, 33};
	static uint8_t content[TAKEN_MAX];
	enum subscriber_result r;
	bool ended;

	begin(1, RECORD_HEADER + 20);
	subscriber.cursor = 9;
	make_run(contents, 2, 10, true);
	assert_int_equal(subscriber_send(&subscriber, &run, 1), SUBSCRIBER_BLOCKED);
	assert_int_equal(subscriber.owed, 33);
	more(7);
	for (r = subscriber_fill(&subscriber, 1); r == SUBSCRIBER_BLOCKED;
		r = subscriber_flush(&subscriber, 2))
		more(7);
	assert_int_equal(r, SUBSCRIBER_SENT);
	assert_int_equal(unframe(content, &ended), 53);
	expect_filler(content + 20, 33, "");
}

static void test_out_of_memory_for_filler(void **state)
{
	static const size_t contents[] = {20, 33};

	begin(1, RECORD_HEADER + 20);
	subscriber.cursor = 9;
	make_run(contents, 2, 10, true);
	assert_int_equal(subscriber_send(&subscriber, &run, 1), SUBSCRIBER_BLOCKED);
	more(SIZE_MAX);
	allow_allocations(0);
	assert_int_equal(subscriber_fill(&subscriber, 2), SUBSCRIBER_LOST);
	assert_true(allow_all_allocations());
	assert_int_equal(subscriber.reason, LEAVE_MEMORY);
}

#define END "id: 10\n\n"

/*
 * A record of so many bytes, id 10, that ends as rows do; it was interrupted after `cut` framed
 * bytes.
 */
static void give_up(uint16_t request_id, size_t length, size_t cut)
{
	begin(request_id, cut);
	subscriber.cursor = 9;
	make_run(&length, 1, 10, request_id != 0);
	assert_int_equal(subscriber_send(&subscriber, &run, 1), SUBSCRIBER_BLOCKED);
	subscriber_give_up_cut(&subscriber);
}

/*
 * The row was deleted, but only its id and the empty line are missing. Otherwise a client that
 * keeps an id as soon as its line arrives would resume after a row that it never delivered.
 */
static void test_record_is_completed_without_its_row(void **state)
{
	static const size_t lengths[] = {40, RECORD_CONTENT_MAX, RECORD_CONTENT_MAX + 1,
		RECORD_CONTENT_MAX + RECORD_LAST_MIN, 2 * RECORD_CONTENT_MAX + 7, LONG};
	static uint8_t content[TAKEN_MAX];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t whole = record_framed_size(lengths[i]), cut = whole;

		while (--cut > 0 &&
			lengths[i] - framing_content(&framing_fastcgi, lengths[i], cut) <=
				sizeof(END) - 1) {
			size_t sent = framing_content(&framing_fastcgi, lengths[i], cut);
			size_t end = lengths[i] - (sizeof(END) - 1);
			bool ended;

			give_up(1, lengths[i], cut);
			more(SIZE_MAX);
			assert_int_equal(subscriber_flush(&subscriber, 2), SUBSCRIBER_SENT);
			assert_int_equal(subscriber.state, SUBSCRIBER_LIVE);
			assert_int_equal(subscriber.cursor, 10);
			assert_int_equal(subscriber.told, 10);
			assert_int_equal(unframe(content, &ended), lengths[i]);
			assert_false(ended);
			assert_memory_equal(content + sent, &END[sent - end], lengths[i] - sent);
		}
		assert_true(cut > 0 && cut < whole - 1);
	}
}

static void test_record_is_completed_without_framing(void **state)
{
	for (size_t cut = 40 - (sizeof(END) - 1); cut < 40; cut++) {
		give_up(0, 40, cut);
		more(SIZE_MAX);
		assert_int_equal(subscriber_flush(&subscriber, 2), SUBSCRIBER_SENT);
		assert_int_equal(peer.length, 40);
		assert_memory_equal(
			peer.bytes + cut, &END[cut - (40 - (sizeof(END) - 1))], 40 - cut);
		assert_int_equal(subscriber.cursor, 10);
	}
}

/* A record that cannot be finished is padded: frames stay complete, but no line is completed. */
static void test_giving_up_at_every_byte(void **state)
{
	static uint8_t content[TAKEN_MAX];
	size_t framed = record_framed_size(LONG);

	for (size_t cut = 1; cut < framed; cut += cut < 40 || cut % 65536 < 40 ? 1 : 3001) {
		enum subscriber_result r;
		size_t length, sent = framing_content(&framing_fastcgi, LONG, cut);
		bool ended;

		if (LONG - sent <= sizeof(END) - 1)
			break;
		give_up(1, LONG, cut);
		assert_int_equal(subscriber.reason, LEAVE_CUT);
		more(SIZE_MAX);
		assert_int_equal(subscriber_flush(&subscriber, 2), SUBSCRIBER_SENT);
		r = subscriber_farewell(&subscriber, 2);
		assert_int_equal(r, SUBSCRIBER_SENT);
		length = unframe(content, &ended);
		assert_true(ended);
		assert_true(length >= sent && length <= LONG);
		assert_null(memchr(content + sent, '\n', length - sent));
		for (size_t i = 0; i < sent; i++)
			if (content[i] != (uint8_t)(i * 7 + 10))
				fail_msg("byte %zu of %zu", i, cut);
	}
}

static void test_out_of_memory_for_own_records(void **state)
{
	begin(1, SIZE_MAX);
	allow_allocations(0);
	assert_int_equal(subscriber_say(&subscriber, (const uint8_t *)"x", 1, 1), SUBSCRIBER_LOST);
	assert_int_equal(subscriber.reason, LEAVE_MEMORY);
	begin(1, SIZE_MAX);
	subscriber_leave(&subscriber, LEAVE_AGE, (const uint8_t *)"x", 1);
	/* Ends without a final record. */
	assert_int_equal(subscriber_farewell(&subscriber, 1), SUBSCRIBER_SENT);
	assert_true(allow_all_allocations());
	assert_int_equal(peer.length, 0);
}

static void test_lists(void **state)
{
	struct subscriber all[3];
	struct subscriber_list list = {NULL, NULL, 0};

	for (int i = 0; i < 3; i++) {
		subscriber_init(&all[i], &peer.sink, &subscriber.lane, 0);
		subscriber_list_push(&list, &all[i], SUBSCRIBER_IN_QUEUE);
		assert_int_equal(all[i].where, SUBSCRIBER_IN_QUEUE);
	}
	subscriber_list_remove(&list, &all[1]);
	assert_int_equal(all[1].where, SUBSCRIBER_NOWHERE);
	subscriber_list_push(&list, &all[1], SUBSCRIBER_WAITING);
	assert_int_equal(list.count, 3);
	assert_ptr_equal(subscriber_list_pop(&list), &all[0]);
	assert_ptr_equal(subscriber_list_pop(&list), &all[2]);
	assert_ptr_equal(subscriber_list_pop(&list), &all[1]);
	assert_null(subscriber_list_pop(&list));
	assert_int_equal(list.count, 0);
}

static void test_reasons_have_distinct_names(void **state)
{
	for (int i = 0; i < LEAVE_REASONS; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(leave_names[i], leave_names[j]);
	assert_string_equal(leave_names[LEAVE_CLIENT], "client");
	assert_string_equal(leave_names[LEAVE_MEMORY], "memory");
}

#define TEST(function) cmocka_unit_test_teardown(function, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_own_records_in_pieces),
		TEST(test_records_in_pieces),
		TEST(test_another_record_does_not_continue),
		TEST(test_disconnected_peer),
		TEST(test_stall_timer_restarts_with_every_byte),
		TEST(test_last_record),
		TEST(test_filler_completes_a_shared_frame),
		TEST(test_filler_completes_a_shared_chunk),
		TEST(test_filler_in_pieces),
		TEST(test_out_of_memory_for_filler),
		TEST(test_record_is_completed_without_its_row),
		TEST(test_record_is_completed_without_framing),
		TEST(test_giving_up_at_every_byte),
		TEST(test_out_of_memory_for_own_records),
		TEST(test_lists),
		TEST(test_reasons_have_distinct_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
