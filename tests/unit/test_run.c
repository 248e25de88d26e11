/* links: stream/run stream/lane protocol/framing protocol/record protocol/sse protocol/wire log/gap base/utf8 base/buffer */
/*
 * Records in one vectored write, and the frames that they share: every number of bytes that a
 * socket may have taken, and the run that continues from there.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fastcgi.h>

#include "stream/run.h"

enum { MEMORY = 1 << 20, RECORDS = 40 };

static const struct lane lanes[] = {
	{&framing_fastcgi, 1, LANE_PLAIN},
	{&framing_chunked, 0, LANE_PLAIN},
	{&framing_none, 0, LANE_PLAIN},
};
enum { FASTCGI, CHUNKED, NONE, LANES };

static struct run run;
static uint8_t memory[MEMORY];
static uint8_t written[2 * MEMORY];
static size_t written_length;
static uint8_t content[2 * MEMORY];
static size_t content_length;

static int set_up(void **state)
{
	srandom(3);
	for (size_t i = 0; i < MEMORY; i++)
		memory[i] = (uint8_t)random();
	memset(&run, 0x55, sizeof(run));
	written_length = 0;
	return 0;
}

static struct run_record record_at(int64_t id, size_t at, size_t length)
{
	return (struct run_record){.id = id,
		.bytes = memory + at,
		.length = (uint32_t)length,
		.content = (uint32_t)length};
}

static void add(int64_t id, size_t at, size_t length)
{
	const struct run_record record = record_at(id, at, length);

	assert_false(run_is_full(&run));
	assert_true(run_fits(&run, &record));
	run_add(&run, &record);
}

/* Writes the bytes skip <= n < sent of the run, as a socket takes them. */
static void write_part(size_t skip, size_t sent)
{
	size_t at = 0;

	for (int i = 0; i < run.piece_count; i++) {
		const uint8_t *bytes = run.pieces[i].iov_base;

		for (size_t n = 0; n < run.pieces[i].iov_len; n++, at++)
			if (at >= skip && at < sent)
				written[written_length++] = bytes[n];
	}
	assert_int_equal(at, run.total);
}

/* The length of the frame at these bytes; sets where its content is. */
static size_t frame_at(int lane, const uint8_t *bytes, size_t *start, size_t *length)
{
	if (lane == FASTCGI) {
		assert_int_equal(bytes[0], FCGI_VERSION_1);
		assert_int_equal(bytes[1], FCGI_STDOUT);
		*start = FCGI_HEADER_LEN;
		*length = (size_t)bytes[4] << 8 | bytes[5];
		return *start + *length + bytes[6];
	}
	*length = strtoul((const char *)bytes, NULL, 16);
	*start = 6;
	assert_memory_equal(bytes + 4, "\r\n", 2);
	assert_memory_equal(bytes + *start + *length, "\r\n", 2);
	return *start + *length + 2;
}

/* Removes the frames of all that was written; returns how many there were. All are whole. */
static size_t unframe(int lane)
{
	size_t at = 0, frames = 0, start, length;

	content_length = 0;
	if (lane == NONE) {
		memcpy(content, written, content_length = written_length);
		return 0;
	}
	for (; at < written_length; frames++) {
		size_t size = frame_at(lane, written + at, &start, &length);

		assert_true(at + size <= written_length);
		memcpy(content + content_length, written + at + start, length);
		content_length += length;
		at += size;
	}
	return frames;
}

static void begin(int lane)
{
	run_begin(&run, &lanes[lane], 0, 0);
	written_length = 0;
}

static void test_empty_run(void **state)
{
	for (int lane = 0; lane < LANES; lane++) {
		struct run_place place;

		begin(lane);
		assert_false(run_is_full(&run));
		assert_int_equal(run.total, 0);
		place = run_place(&run, 0);
		assert_int_equal(place.whole + place.cut + place.owed + place.rest_length, 0);
		run_begin(&run, &lanes[lane], 7, 0);
		assert_int_equal(run_place(&run, 0).owed, 7);
	}
}

static void test_adjacent_bytes_are_one_piece(void **state)
{
	begin(NONE);
	add(1, 0, 10);
	add(2, 10, 20);
	add(4, 30, 1);
	assert_int_equal(run.piece_count, 1);
	add(5, 32, 5); /* one byte further */
	assert_int_equal(run.piece_count, 2);
	add(6, 30, 2); /* before, not behind */
	assert_int_equal(run.piece_count, 3);
	begin(CHUNKED);
	add(1, 0, 10);
	add(2, 10, 20);
	assert_int_equal(run.piece_count, 3); /* with what is around them */
}

/* A web server has less to do with one frame than with one for each row. */
static void test_short_records_share_frames(void **state)
{
	for (int lane = FASTCGI; lane <= CHUNKED; lane++) {
		begin(lane);
		for (int64_t id = 1; id <= 200; id++)
			add(id, (size_t)id * 200, 200);
		write_part(0, run.total);
		assert_int_equal(unframe(lane), 200 * 200 / FRAMING_SHARED_MAX + 1);
		assert_int_equal(content_length, 200 * 200);
		assert_memory_equal(content, memory + 200, 200 * 200);
	}
}

/* A longer record comes with its own frames. */
static void test_long_record_shares_nothing(void **state)
{
	begin(FASTCGI);
	add(1, 0, 10);
	add(2, 10, FRAMING_SHARED_MAX + 1);
	add(3, 10, FRAMING_SHARED_MAX + 1);
	add(4, 0, 20);
	assert_int_equal(run.total, 2 * FCGI_HEADER_LEN + 10 + 2 * (FRAMING_SHARED_MAX + 1) + 20);
	assert_int_equal(run_place(&run, 20).cut, 2);
	assert_int_equal(run_place(&run, 20).owed, 0);
}

static size_t lengths[RECORDS], places[RECORDS];

static void make_records(void)
{
	size_t at = 0;

	for (int i = 0; i < RECORDS; i++) {
		lengths[i] = FRAMING_FILLER_MIN +
			     (size_t)random() % (i % 7 == 0 ? FRAMING_SHARED_MAX - 1 : 60);
		places[i] = at;
		at += lengths[i] + (random() % 2 ? 0 : 3);
	}
}

/* What the stream would store between two runs. */
static struct {
	size_t first; /* record */
	size_t cut, owed;
} left;

/* Sends the records from left.first on; the socket takes `room` bytes. */
static void send_some(int lane, size_t room)
{
	size_t skip = left.cut, sent;
	struct run_place place;

	run_begin(&run, &lanes[lane], left.owed, left.cut);
	for (size_t i = left.first; i < RECORDS; i++) {
		const struct run_record record = record_at((int64_t)i, places[i], lengths[i]);

		assert_true(run_fits(&run, &record));
		run_add(&run, &record);
	}
	sent = room < run.total - skip ? skip + room : run.total;
	write_part(skip, sent);
	place = run_place(&run, sent);
	/* The rest comes before everything else. */
	if (place.rest_length)
		memcpy(written + written_length, place.rest, place.rest_length);
	written_length += place.rest_length;
	left.first += place.whole;
	left.cut = place.cut;
	left.owed = place.owed;
}

static void test_every_partial_write(void **state)
{
	for (int round = 0; round < 300; round++) {
		int lane = round % LANES;
		size_t piece = (size_t)round / 3 % 90, at = 0;

		make_records();
		written_length = 0;
		left.first = left.cut = left.owed = 0;
		send_some(lane, piece);
		while (left.first < RECORDS)
			send_some(lane, 1 + (size_t)random() % (round % 2 ? 50 : 20000));
		assert_int_equal(left.cut + left.owed, 0);
		unframe(lane);
		for (int i = 0; i < RECORDS; at += lengths[i++])
			assert_memory_equal(content + at, memory + places[i], lengths[i]);
		assert_int_equal(at, content_length);
	}
}

/* Only what fits in a frame that was begun may follow; after it comes a new one. */
static void test_owed_frame(void **state)
{
	struct run_record record = record_at(1, 0, 11), shorter = record_at(1, 0, 9);

	for (int lane = FASTCGI; lane <= CHUNKED; lane++) {
		written_length = 0;
		run_begin(&run, &lanes[lane], 10, 0);
		assert_false(run_fits(&run, &record));
		/* The byte that remains has no room for a comment. */
		assert_false(run_fits(&run, &shorter));
		add(1, 0, 4);
		assert_int_equal(run.total, 4);
		assert_int_equal(run_place(&run, 4).owed, 6);
		assert_int_equal(run_place(&run, 3).owed, 7);
		assert_false(run_fits(&run, &record));
		add(2, 4, 6);
		assert_int_equal(run_place(&run, run.total).owed, 0);
		assert_int_equal(run.total, 10 + lanes[lane].framing->after);
		add(3, 0, 11);
		write_part(10 + lanes[lane].framing->after, run.total);
		assert_int_equal(unframe(lane), 1);
		assert_memory_equal(content, memory, 11);
	}
}

static void test_full_of_records(void **state)
{
	begin(FASTCGI);
	for (int64_t id = 1; id <= RUN_RECORDS; id++)
		add(id, (size_t)id * 2, 1);
	assert_true(run_is_full(&run));
	begin(FASTCGI);
	assert_false(run_is_full(&run));
}

/* One writev(2) takes them all, however they alternate. */
static void test_full_of_frames(void **state)
{
	begin(CHUNKED);
	for (int64_t id = 1; !run_is_full(&run); id++)
		add(id, id % 2 ? 0 : 5, id % 2 ? 1 : FRAMING_SHARED_MAX);
	assert_true(run.piece_count <= RUN_PIECES && run.piece_count <= IOV_MAX);
	assert_true(run.frame_count <= RUN_FRAMES);
	write_part(0, run.total);
	assert_int_equal(unframe(CHUNKED), run.frame_count);
}

static void test_full_of_bytes(void **state)
{
	static uint8_t large[RUN_BYTES + 1];
	struct run_record record = {.id = 1, .bytes = large, .length = RUN_BYTES - 1};

	record.content = record.length;
	begin(FASTCGI);
	run_add(&run, &record);
	assert_false(run_is_full(&run));
	record.length = record.content = 1;
	run_add(&run, &record);
	assert_true(run_is_full(&run));
	begin(FASTCGI);
	record.length = record.content = RUN_BYTES + 1;
	run_add(&run, &record);
	assert_true(run_is_full(&run));
	assert_int_equal(run_place(&run, RUN_BYTES).cut, RUN_BYTES);
	assert_int_equal(run_place(&run, RUN_BYTES + 1).whole, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty_run, set_up),
		cmocka_unit_test_setup(test_adjacent_bytes_are_one_piece, set_up),
		cmocka_unit_test_setup(test_short_records_share_frames, set_up),
		cmocka_unit_test_setup(test_long_record_shares_nothing, set_up),
		cmocka_unit_test_setup(test_every_partial_write, set_up),
		cmocka_unit_test_setup(test_owed_frame, set_up),
		cmocka_unit_test_setup(test_full_of_records, set_up),
		cmocka_unit_test_setup(test_full_of_frames, set_up),
		cmocka_unit_test_setup(test_full_of_bytes, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
